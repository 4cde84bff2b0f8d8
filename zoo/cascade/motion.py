"""Random turning, shifting and bending of complex images and series, the same in all frames. No Keras here."""

import numpy as np
import scipy.ndimage

from mrlayers.checks import refusal, require_choice
from zoo.cascade.ellipses import rotation

NODES = 4  # along each axis, at which the elastic deformation is drawn


class Motion:
    """How far an image or a series may be moved at random before it is undersampled; 0 and `False` leave a part out.

    A pixel `p`, seen from the middle, is read at `F (R (p + e(p)) + s)`: an elastic deformation `e`, then a rotation `R`, a
    shift `s` and flips `F`. All frames of a series are read at the same places, so what moved over time moves as before. Image and
    phase are read together, as real and imaginary parts, in one interpolation; flips alone move pixels and interpolate none.
    Outside the image its mirror image is read. Pixels are taken as squares.

    The kinds of changes are those of the paper, the ranges are ours. An object of this class is an `augmentation` for
    `zoo.cascade.data.UndersampledImages`.

    Args:
        flips: Whether height and width are each reversed in half of all cases.
        rotation: Degrees, 0 to 180; the angle is uniform in `[-rotation, rotation]`.
        translation: Largest shift along each axis as a fraction of its size, 0 to 0.5, uniform.
        elastic: Standard deviation of the displacements at 4 points along each axis, as a fraction of the size, 0 to 0.05;
            between them they are interpolated by cubic splines. Above that the image would fold.
        time: Whether a series begins at a random frame, what was before it following its end, and runs backwards in half of all
            cases. Right where the series is periodic, such as one heart beat; images have no time and stay as they are.
        order: Of the splines that interpolate pixels: 1 is linear and fast, 3 is cubic and blurs less, but it rings at edges.

    Raises:
        ValueError: When an argument is out of range.

    Example:
        >>> batches = UndersampledImages(series, mask_function, augmentation=Motion(rotation=20))

    References:
        - Schlemper et al., A Deep Cascade of Convolutional Neural Networks for Dynamic MR Image Reconstruction, IEEE TMI 37(2),
          2018.
    """

    def __init__(self, flips=True, rotation=180.0, translation=0.1, elastic=0.02, time=True, order=3):
        limits = dict(rotation=180, translation=0.5, elastic=0.05)
        for name, value in dict(rotation=rotation, translation=translation, elastic=elastic).items():
            if not isinstance(value, (int, float, np.number)) or not 0 <= value <= limits[name]:
                raise refusal("`%s` must be from 0 to %g" % (name, limits[name]), repr(value), "%s=0" % name)
        for name, value in dict(flips=flips, time=time).items():
            require_choice(name, value, (True, False))
        require_choice("order", order, (1, 3))
        self.flips = flips
        self.rotation = rotation
        self.translation = translation
        self.elastic = elastic
        self.time = time
        self.order = order

    def __call__(self, image, random):
        """Draws one version of an image.

        Args:
            image: Complex or real `(height, width)`, or a series `(time, height, width)`.
            random: `numpy.random.RandomState`.

        Returns:
            complex64 of the same shape.

        Raises:
            ValueError: When `image` has another rank.
        """
        image = np.asarray(image, np.complex64)
        if image.ndim not in (2, 3):
            raise refusal(
                "`image` must be (height, width) or (time, height, width)", image.shape, "one of the images at a time"
            )
        if self.flips:
            down, across = 1 - 2 * random.randint(0, 2, 2)
            image = image[..., ::down, ::across]
        if self.time and image.ndim == 3:
            first, direction = random.randint(len(image)), 1 - 2 * random.randint(2)
            image = np.roll(image, first, axis=0)[::direction]
        if self.rotation or self.translation or self.elastic:
            places = self._places(image.shape[-2:], random)
            frames = image.reshape((-1,) + image.shape[-2:])
            read = dict(order=self.order, mode="mirror")
            moved = [[scipy.ndimage.map_coordinates(part, places, **read) for part in (f.real, f.imag)] for f in frames]
            image = np.reshape([real + 1j * imaginary for real, imaginary in moved], image.shape)
        return np.array(image, order="C")

    def _places(self, shape, random):
        """Where the pixels of the result come from: float64 `(2, height, width)`, in pixels."""
        size = np.reshape(shape, (2, 1, 1)).astype(float)
        places = np.indices(shape) - (size - 1) / 2
        if self.elastic:
            nodes = self.elastic * size * random.standard_normal((2, NODES, NODES))
            places += [scipy.ndimage.zoom(part, np.array(shape) / NODES, order=3, mode="nearest") for part in nodes]
        if self.rotation:
            places = np.tensordot(rotation(random.uniform(-self.rotation, self.rotation)), places, 1)
        if self.translation:
            places += size * random.uniform(-self.translation, self.translation, (2, 1, 1))
        return places + (size - 1) / 2
