"""Host pinning on the graphs of TensorFlow 1.15: every complex node, in every graph that Keras builds. No NPU was at hand."""

import numpy as np
import pytest

from mrlayers import FFT, IFFT, DataConsistency, TemporalFourier
from mrlayers.backend import keras
from runtime import RUNTIME, random
from zoo.cascade import crnn_mri, deep_cascade, dynamic_cascade
from zoo.npu import pinning

pytestmark = pytest.mark.skipif(RUNTIME != "tensorflow1", reason="NPUs run TensorFlow 1.15")

SIZE, FRAMES = (8, 6), 3
LINES, SERIES_LINES = (8, 1, 1), (FRAMES, 8, 1, 1)


def consistency(**options):
    """A convolution before and behind it, so that gradients go through."""
    inputs = [keras.Input(shape, name=name) for name, shape in zip("ikm", [SIZE + (2,), SIZE + (2,), LINES])]
    x = keras.layers.Conv2D(2, 3, padding="same", name="before")(inputs[0])
    x = DataConsistency(engine="fft", name="consistency", **options)([x] + inputs[1:])
    return keras.Model(inputs, keras.layers.Conv2D(2, 3, padding="same", name="behind")(x))


MODELS = {
    "hard": lambda: consistency(),
    "weighted": lambda: consistency(data_weight=2.0, centered=True),
    "trainable": lambda: consistency(data_weight=2.0, trainable=True),
    "zero-filled": lambda: consistency(reference="image"),
    "static": lambda: deep_cascade(SIZE, LINES, 2, 2, 4, engine="fft"),
    "static, learned weight": lambda: deep_cascade(
        SIZE, LINES, 2, 2, 4, data_weight=1.0, trainable_data_weight=True, engine="fft"
    ),
    "dynamic": lambda: dynamic_cascade((FRAMES,) + SIZE, SERIES_LINES, 2, 2, 4, engine="fft"),
    "sharing": lambda: dynamic_cascade((FRAMES,) + SIZE, SERIES_LINES, 2, 2, 4, distances=(0, 1), engine="fft"),
    "crnn": lambda: crnn_mri((FRAMES,) + SIZE, SERIES_LINES, 2, 3, 4, engine="fft"),
}


def graph():
    return keras.backend.get_session().graph


def adam():
    import tensorflow as tf

    return {"keras": keras.optimizers.Adam(1e-3), "tf.train": tf.compat.v1.train.AdamOptimizer(1e-3)}


def use(model, optimizer):
    """All three functions that Keras makes, and what the training step returned."""
    arrays = [random(4, *[int(size) for size in x.shape[1:]], seed=index) for index, x in enumerate(model.inputs)]
    arrays[-1] = (arrays[-1] > 0).astype("float32")
    target = random(4, *[int(size) for size in model.output_shape[1:]], seed=9)
    model.compile(optimizer, loss="mse")
    losses = model.fit(arrays, target, batch_size=2, epochs=2, shuffle=False, verbose=0).history["loss"]
    model.evaluate(arrays, target, batch_size=2, verbose=0)
    return losses, model.predict(arrays, batch_size=2)


@pytest.mark.parametrize("optimizer", ["keras", "tf.train"])
@pytest.mark.parametrize("name", list(MODELS))
def test_every_complex_node_is_marked(name, optimizer):
    use(MODELS[name](), adam()[optimizer])
    touching = [operation for operation in graph().get_operations() if pinning.touches_complex(operation)]
    assert len(touching) > 10
    assert all(pinning.is_pinned(operation) for operation in touching)
    assert pinning.check_host_pinning(graph()) > len(touching)


@pytest.mark.parametrize("name", ["trainable", "static", "crnn"])
def test_numbers_are_those_of_plain_tensorflow(name, monkeypatch):
    """Marks and own gradients taken away, TensorFlow's own in their place."""
    from mrlayers import backend
    from mrlayers.backend import tensorflow_kernels

    found = []
    for plain in (False, True):
        keras.backend.clear_session()
        if plain:
            monkeypatch.setattr(backend, "fourier", lambda x, axes, inverse: tensorflow_kernels.transform(x, axes, inverse))
            monkeypatch.setattr(backend, "fourier_projection", tensorflow_kernels.projection)
        model = MODELS[name]()
        model.set_weights([0.1 * random(*weight.shape, seed=7) for weight in model.get_weights()])
        found.append(use(model, adam()["keras"]))
        assert bool(pinning.violations(graph())) == plain
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-4, atol=1e-5)


def test_second_gradients_are_marked_too():
    import tensorflow as tf

    for layer in (FFT(engine="fft"), IFFT(axes=-3, engine="fft"), DataConsistency(engine="fft")):
        x = tf.constant(random(1, 8, 6, 2))
        inputs = [x, tf.constant(random(1, 8, 6, 2)), tf.ones((1, 8, 1, 1))] if isinstance(layer, DataConsistency) else x
        (gradient,) = tf.gradients(tf.reduce_sum(layer(inputs) ** 4), [x])
        (second,) = tf.gradients(tf.reduce_sum(gradient**2), [x])
        tf.gradients(tf.reduce_sum(second**2), [x])
    x = tf.constant(random(1, 3, 8, 6, 2))
    tf.gradients(tf.reduce_sum(TemporalFourier(engine="fft")(x) ** 2), [x])
    assert pinning.check_host_pinning(tf.compat.v1.get_default_graph()) > 100


@pytest.mark.parametrize("engine", ["matmul", "split"])
def test_matrix_products_keep_their_precision_in_either_direction(engine):
    """All products of transforms carry `_keep_dtype`, those of gradients too; convolutions and their gradients do not."""
    model = deep_cascade(SIZE, LINES, 2, 2, 4, engine=engine)
    use(model, adam()["keras"])
    operations = graph().get_operations()
    products = [operation for operation in operations if operation.type == "MatMul"]
    assert any("gradients" in operation.name for operation in products)
    assert all(operation.get_attr("_keep_dtype") == 1 for operation in products)
    assert not any("_keep_dtype" in operation.node_def.attr for operation in operations if operation.type.startswith("Conv2D"))


def test_inside_of_branches_and_loops():
    import tensorflow as tf

    x, layer = tf.constant(random(1, 8, 6, 2)), FFT(engine="fft")
    y = tf.cond(tf.reduce_sum(x) > 0, lambda: layer(x), lambda: IFFT(engine="fft")(x))
    _, z = tf.while_loop(lambda i, z: i < 3, lambda i, z: (i + 1, layer(z) * 0.5), [0, y])
    (gradient,) = tf.gradients(tf.reduce_sum(z**2), [x])
    assert pinning.check_host_pinning(tf.compat.v1.get_default_graph()) > 20
    # 1/4 |F F F x|^2 / 16 is a multiple of |x|^2, whatever the branch was
    np.testing.assert_allclose(keras.backend.get_session().run(gradient), 2 * random(1, 8, 6, 2) / 64, rtol=1e-4, atol=1e-6)


def test_functions_are_looked_into():
    import tensorflow as tf

    x = tf.constant(random(1, 8, 6, 2))
    tf.function(lambda x: FFT(engine="fft")(x), autograph=False)(x)
    assert pinning.violations(tf.compat.v1.get_default_graph()) == []
    tf.function(lambda x: tf.signal.fft2d(tf.complex(x[..., 0], x[..., 1])), autograph=False)(x)
    assert any("of function" in line for line in pinning.violations(tf.compat.v1.get_default_graph()))


def test_a_scope_around_the_forward_pass_is_caught():
    """What published advice amounts to: gradients escape."""
    import tensorflow as tf

    from mrlayers.backend import tf1_marks

    class Naive(keras.layers.Layer):
        def call(self, x):
            with tf1_marks.on_host(x) as (x,):
                z = tf.signal.fft2d(tf.complex(x[..., 0], x[..., 1]))
                return tf.stack([tf.math.real(z), tf.math.imag(z)], axis=-1)

    image = keras.Input((8, 6, 2))
    model = keras.Model(image, Naive(name="naive")(keras.layers.Conv2D(2, 3, padding="same")(image)))
    model.compile("adam", "mse")
    assert pinning.violations(graph()) == []
    model.train_on_batch(random(1, 8, 6, 2), random(1, 8, 6, 2))
    with pytest.raises(ValueError, match="of layer naive touches complex numbers and is not marked"):
        pinning.check_host_pinning(graph())


def test_variables_and_other_types_may_not_be_on_the_host():
    import tensorflow as tf

    from mrlayers.backend import tf1_marks

    with tf1_marks.on_host():
        weight = tf.compat.v1.get_variable("weight", (), use_resource=True)
        index = tf.constant(3) + tf.cast(weight, "int32")
    tf.identity(index)
    found = pinning.violations(tf.compat.v1.get_default_graph())
    assert any("is marked and touches a variable" in line for line in found)
    assert any("takes int32 from" in line for line in found)
