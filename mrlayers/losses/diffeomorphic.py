"""The prior of the probabilistic diffeomorphic model."""

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import describe, refusal
from mrlayers.losses.volumes import as_floats, differences, mean_of_samples, part, volume_axes


@keras.saving.register_keras_serializable(package="mrlayers")
class KL(keras.losses.Loss):
    """Divergence of a diagonal Gaussian posterior of velocities from a smooth prior, up to constants.

    `ndim / 2 * mean(lambda * D * exp(log_variance) - log_variance) + lambda / 4 * sum_axes mean(differences(mean)^2)`

    The prior's precision is `lambda` times the Laplacian of the grid: `D` is its diagonal, the number of neighbours that a
    voxel has inside the volume (2 * ndim, fewer at the faces), and differences are those of neighbours along an axis. Means are
    over all voxels, or pairs of neighbours, and components: the published code's, which divides by their number.

    Args:
        prior_lambda: precision of the prior, above 0: the larger, the smoother the velocity. The paper has 25 with an image
            noise of 0.01; the published script starts at 10 with 0.02 (see `MSE`).

    Call arguments:
        y_true: not used; Keras wants an array of the shape of `y_pred`, such as zeros.
        y_pred: `(batch, *volume, 2 * ndim)`: the mean of the velocity (in voxels), then the logarithm of its variance, at least
            two voxels along each axis.

    Returns: `(batch,)`, or what `reduction` makes of it; float32 also in mixed precision.

    Raises:
        ValueError: `prior_lambda` that is not positive, another number of channels, a volume one voxel thin.

    Reference: Dalca et al., Unsupervised learning of probabilistic diffeomorphic registration for images and surfaces,
    Medical Image Analysis 57, 2019.
    """

    def __init__(self, prior_lambda=10.0, **kwargs):
        if not 0 < prior_lambda < float("inf"):
            raise refusal("`prior_lambda` must be a number above 0", repr(prior_lambda), "prior_lambda=10.0")
        super().__init__(**kwargs)
        self.prior_lambda = prior_lambda

    def call(self, y_true, y_pred):
        posterior = as_floats(y_pred)
        axes = volume_axes(posterior, smallest=2)
        ndim = len(axes)
        if backend.static_shape(posterior)[-1] not in (None, 2 * ndim):
            raise refusal(
                "`y_pred` must have {} channels, mean and log variance of {} components".format(2 * ndim, ndim),
                describe(backend.static_shape(posterior)),
                "`numpy.concatenate([mean, log_variance], axis=-1)`",
            )
        mean, log_variance = posterior[..., :ndim], posterior[..., ndim:]
        variance = ops.exp(log_variance)
        trace, roughness = 0.0, 0.0
        for axis in axes:
            trace = trace + _mean_times_neighbours(variance, axis)
            roughness = roughness + mean_of_samples(ops.square(differences(mean, axis)))
        divergence = self.prior_lambda * trace - mean_of_samples(log_variance)
        return 0.5 * ndim * divergence + 0.25 * self.prior_lambda * roughness

    def get_config(self):
        config = super().get_config()
        config.update(prior_lambda=self.prior_lambda)
        return config


def _mean_times_neighbours(x, axis):
    """`mean(n * x)`, where n is the number of neighbours along `axis`: 1 at both ends, else 2, so `2 x` less both ends once."""
    size = ops.cast(ops.shape(x)[axis], backend.dtype_name(x))
    ends = mean_of_samples(part(x, axis, None, 1)) + mean_of_samples(part(x, axis, -1, None))
    return 2.0 * mean_of_samples(x) - ends / size
