"""Convolutional recurrence over iterations, and over time in both directions."""

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import describe, fits, refusal, require_integer
from mrlayers.unet.convolutions import built, fresh


@keras.saving.register_keras_serializable(package="mrlayers")
class ConvRecurrent2D(keras.layers.Layer):
    """A convolutional recurrent cell: `activation(convolution(x) + convolution(hidden))`, each convolution with its bias.

    In an unrolled reconstruction the recurrence goes over the iterations: the hidden state is what the layer made of the image
    one iteration ago. One layer serves all iterations, `hidden = layer([x, hidden])`; `layer(x)` alone is the first one,
    whose hidden state is zero.

    Args:
        filters: channels of the hidden state, which is the output.
        kernel_size: in pixels, odd, the same along both axes.
        activation: name of a Keras activation; `None` is linear.
        kernel_initializer: of the convolutions, a name or a Keras initializer.

    Call arguments:
        inputs: one list `[x, hidden]`, or `x` alone.

    Input shape: `x` `(batch, [time,] height, width, channels)`, the channels known; the hidden state the same with `filters`
        channels. Frames do not know of each other.

    Output shape: that of the hidden state.

    Raises:
        ValueError: an argument out of its range, tensors of another rank or of shapes that do not fit.

    Example:

    >>> import numpy as np
    >>> from mrlayers import ConvRecurrent2D
    >>> layer, x = ConvRecurrent2D(4), np.ones((1, 3, 8, 6, 2), "float32")
    >>> hidden = layer(x)
    >>> hidden = layer([x, hidden])

    References:
        Qin et al., Convolutional recurrent neural networks for dynamic MR image reconstruction, IEEE TMI 38 (2019), CRNN-i. The
        authors' `conv1_x` and `conv1_h` are `input_convolution` and `iteration_convolution`.
    """

    ranks = {
        4: "(batch, height, width, channels)",
        5: "(batch, time, height, width, channels)",
    }

    def __init__(self, filters, kernel_size=3, activation="relu", kernel_initializer="he_normal", **kwargs):
        require_integer("filters", filters, 1)
        require_integer("kernel_size", kernel_size, 1)
        if kernel_size % 2 == 0:
            raise refusal("`kernel_size` must be odd", repr(kernel_size), "kernel_size=%d" % (kernel_size + 1))
        if activation is not None and not (isinstance(activation, str) and hasattr(keras.activations, activation)):
            raise refusal("`activation` must be the name of a Keras activation, or None", repr(activation), "activation='relu'")
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.activation = activation
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        alone = not hasattr(input_shape[0], "__len__")
        shapes = self._checked([backend.static_shape(shape) for shape in ([input_shape] if alone else input_shape)])
        self._add_convolutions((None,) + shapes[0][-3:])
        super().build(input_shape)

    def call(self, inputs):
        return keras.activations.get(self.activation)(self._sum_of_convolutions(inputs))

    def compute_output_shape(self, input_shape):
        alone = not hasattr(input_shape[0], "__len__")
        shapes = self._checked([backend.static_shape(shape) for shape in ([input_shape] if alone else input_shape)])
        return shapes[0][:-1] + (self.filters,)

    def get_config(self):
        config = super().get_config()
        config.update(
            filters=self.filters,
            kernel_size=self.kernel_size,
            activation=self.activation,
            kernel_initializer=keras.initializers.serialize(self.kernel_initializer),
        )
        return config

    def _add_convolutions(self, frame):
        self.input_convolution = self._convolution("input_convolution", frame)
        self.iteration_convolution = self._convolution("iteration_convolution", frame[:-1] + (self.filters,))

    def _convolution(self, name, frame):
        # The private name dies with TensorFlow 1.15.
        options = {"dtype": getattr(self, "dtype_policy", None) or self._dtype_policy, "trainable": self.trainable}
        initializer = fresh(self.kernel_initializer)
        convolution = keras.layers.Conv2D(
            self.filters, self.kernel_size, padding="same", kernel_initializer=initializer, name=name, **options
        )
        return built(backend.without_copies(convolution), frame)

    def _sum_of_convolutions(self, inputs):
        """Of all frames at once: what each contributes by itself does not wait for the frame before."""
        tensors = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        self._checked([backend.static_shape(x) for x in tensors])
        frames = [ops.reshape(x, (-1,) + tuple(ops.shape(x)[-3:])) for x in tensors]
        total = self.input_convolution(frames[0])
        if len(frames) == 2:
            total = total + self.iteration_convolution(frames[1])
        else:
            total = total + _of_zeros(self.iteration_convolution, total)
        return ops.reshape(total, tuple(ops.shape(tensors[0])[:-1]) + (self.filters,))

    def _checked(self, shapes):
        expected = " or ".join(self.ranks[rank] for rank in sorted(self.ranks))
        if len(shapes) not in (1, 2):
            raise refusal(
                "`inputs` must be one list of two tensors, [x, hidden], or x alone",
                "%d tensors" % len(shapes),
                "`layer([x, hidden])`",
            )
        if len(shapes[0]) not in self.ranks or shapes[0][-1] is None:
            raise refusal(
                "`x` must have the shape %s, with a known number of channels" % expected,
                describe(shapes[0]),
                "`numpy.expand_dims(x, 1)`" if len(shapes[0]) == 4 else "`numpy.expand_dims(x, -1)`",
            )
        hidden = shapes[0][:-1] + (self.filters,)
        if len(shapes) == 2 and not fits(shapes[1], hidden):
            raise refusal(
                "The hidden state must have the shape {} of the output".format(hidden),
                describe(shapes[1]),
                "what the layer returned in the iteration before",
            )
        return shapes


@keras.saving.register_keras_serializable(package="mrlayers")
class BidirectionalConvRecurrent2D(ConvRecurrent2D):
    """Convolutional recurrence over time, in both directions, and over iterations.

    One cell goes through the frames from the first to the last and from the last to the first, with the same weights:
    `state[t] = activation(convolution(x[t]) + convolution(hidden[t]) + convolution(state[t -+ 1]))`, each convolution with its
    bias, `hidden` from the iteration before, zeros outside of the series. The output is the sum of the two directions, so a series
    that runs backwards gives the output that runs backwards.

    What frames contribute by themselves is computed once, for all frames and both directions; the two directions then go
    through time together, as one batch.

    Args:
        filters: channels of the hidden state, which is the output.
        kernel_size: in pixels, odd, the same along both axes.
        activation: name of a Keras activation; `None` is linear.
        kernel_initializer: of the convolutions, a name or a Keras initializer.

    Call arguments:
        inputs: one list `[x, hidden]`, or `x` alone in the first iteration.

    Input shape: `x` `(batch, time, height, width, channels)`, the number of frames and the channels known; the hidden state the
        same with `filters` channels.

    Output shape: that of the hidden state.

    Raises:
        ValueError: as of `ConvRecurrent2D`, and a number of frames that is not known in advance.

    Example:

    >>> import numpy as np
    >>> from mrlayers import BidirectionalConvRecurrent2D
    >>> layer, x = BidirectionalConvRecurrent2D(4), np.ones((1, 3, 8, 6, 2), "float32")
    >>> hidden = layer(x)
    >>> hidden = layer([x, hidden])

    References:
        Qin et al., Convolutional recurrent neural networks for dynamic MR image reconstruction, IEEE TMI 38 (2019), BCRNN-t-i.
        The authors' `i2h`, `ih2ih` and `h2h` are `input_convolution`, `iteration_convolution` and `time_convolution`.
    """

    ranks = {5: ConvRecurrent2D.ranks[5]}

    def call(self, inputs):
        return self._recur(self._sum_of_convolutions(inputs))

    def _add_convolutions(self, frame):
        super()._add_convolutions(frame)
        self.time_convolution = self._convolution("time_convolution", frame[:-1] + (self.filters,))

    def _recur(self, given):
        """Through time, from what every frame contributes by itself: `(batch, time, height, width, filters)` to the same.

        Unrolled: a loop of XLA would be compiled in a third of the time, and take five times as long on CPUs.
        """
        batch = ops.shape(given)[0]
        activation = keras.activations.get(self.activation)
        frames = ops.unstack(given, axis=1)
        states = []
        for first, last in zip(frames, reversed(frames)):
            total = ops.concatenate([first, last], axis=0)  # one frame on in either direction
            before = self.time_convolution(states[-1]) if states else _of_zeros(self.time_convolution, total)
            states.append(activation(total + before))
        both = [forward[:batch] + backward[batch:] for forward, backward in zip(states, reversed(states))]
        return ops.stack(both, axis=1)

    def _checked(self, shapes):
        super()._checked(shapes)
        if shapes[0][1] is None:
            raise refusal(
                "`x` must have a known number of frames",
                describe(shapes[0]),
                "`keras.Input((frames, height, width, channels))`",
            )
        return shapes


def _of_zeros(convolution, like):
    """What a convolution makes of zeros: its bias."""
    return ops.cast(convolution.bias, backend.dtype_name(like))
