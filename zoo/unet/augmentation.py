"""Random bending, turning and lighting of images, with the same geometry for their labels. No Keras here.

One set of coordinates says where each pixel of the output comes from: image and labels are read there, once, so nothing is
interpolated twice and labels cannot slip.
"""

import numpy as np
import scipy.interpolate
import scipy.ndimage

from mrlayers.checks import refusal, require_choice

PADDINGS = {"mirror": "mirror", "zero": "grid-constant"}  # what SciPy calls them; its "constant" is zero a hair too early
GREY = 0.5  # pixels of 0..1 become -1..1 for the networks, so this is their zero


class Augmentation:
    """How far images may be changed at random; 0 leaves a part out. The defaults suit cells, which have no up and down.

    Each image is drawn as `output(p) = image(A (p + e(p)) + c)` with `p` from the middle of the patch: an elastic deformation
    `e`, then flips, rotation, zoom and crop in the matrix `A`, at the place `c` where the patch was cut. Then gamma and
    brightness follow. Works on 2-D and 3-D images with any number of channels, which all change alike.

    Args:
        flips: Whether each axis is reversed in half of all cases.
        rotation: Degrees. In 2-D the angle is uniform in `[-rotation, rotation]`; in 3-D there is one such angle for each of
            the three planes. Voxels are taken as cubes.
        elastic: Standard deviation of the displacements at 3 points along each axis, as a fraction of the size of the patch;
            between them they are interpolated by cubic splines. The paper's 10 pixels of 512 are 0.02.
        zoom: Largest magnification and reduction, less 1: 0.2 is from 1 / 1.2 to 1.2, uniform in the logarithm.
        crop: How much may be cut off at each side, as a fraction of the size, before the rest is stretched to full size again:
            each side has its own uniform number from 0 to `crop`. Below 0.5; published networks have 0.3.
        gamma: Intensities in 0..1 are raised to the power `exp(g)`, `g` uniform in `[-gamma, gamma]`.
        brightness: What is added to intensities of 0..1, uniform in `[-brightness, brightness]`; they are clipped after that.
            The published 0.2 is of -1..1, and here 0.1.

    Raises:
        ValueError: When an argument is out of range.

    Example:
        >>> published = Augmentation(rotation=0, elastic=0, zoom=0, crop=0.3, gamma=0, brightness=0.1)

    References:
        - Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015, section 3.1.
    """

    def __init__(self, flips=True, rotation=180.0, elastic=0.02, zoom=0.2, crop=0.0, gamma=0.2, brightness=0.1):
        limits = dict(rotation=180, elastic=0.2, zoom=4, crop=0.49, gamma=2, brightness=1)
        for name, value in dict(
            rotation=rotation, elastic=elastic, zoom=zoom, crop=crop, gamma=gamma, brightness=brightness
        ).items():
            if not 0 <= value <= limits[name]:
                raise refusal("`%s` must be from 0 to %g" % (name, limits[name]), repr(value), "%s=0" % name)
        self.flips = flips
        self.rotation = rotation
        self.elastic = elastic
        self.zoom = zoom
        self.crop = crop
        self.gamma = gamma
        self.brightness = brightness

    def coordinates(self, shape, random):
        """Where the pixels of a patch of `shape` come from, seen from its middle: float64 `(ndim,) + shape`, in pixels."""
        shape, ndim = np.asarray(shape), len(shape)
        matrix, shift = np.eye(ndim), np.zeros(ndim)
        if self.flips:
            matrix *= 1 - 2 * random.randint(0, 2, ndim)
        if self.rotation:
            for first in range(ndim):
                for second in range(first + 1, ndim):
                    matrix = matrix.dot(_rotation(random.uniform(-self.rotation, self.rotation), first, second, ndim))
        if self.zoom:
            matrix /= np.exp(random.uniform(-1, 1) * np.log(1 + self.zoom))
        if self.crop:
            low, high = random.uniform(0, self.crop, (2, ndim))
            matrix = np.diag(1 - low - high).dot(matrix)
            shift = (low - high) / 2 * shape
        place = np.stack(np.meshgrid(*(np.arange(size) - (size - 1) / 2 for size in shape), indexing="ij"))
        if self.elastic:
            place += _elastic(shape, self.elastic, random)
        return np.tensordot(matrix, place, 1) + shift.reshape((ndim,) + (1,) * ndim)

    def lighting(self, image, random):
        """An image of 0..1 with another gamma and brightness, in 0..1 again."""
        if self.gamma:
            image = np.clip(image, 0, 1) ** np.float32(np.exp(random.uniform(-self.gamma, self.gamma)))
        if self.brightness:
            image = np.clip(image + np.float32(random.uniform(-self.brightness, self.brightness)), 0, 1)
        return image

    def __call__(self, image, labels, corner, size, margin, padding, random):
        """Draws one patch.

        Args:
            image: float32 `shape + (channels,)`, 0..1.
            labels: Integers, `shape`.
            corner: First pixel of the patch before it is changed.
            size: Its size.
            margin: By how much the image reaches beyond the labels at each side.
            padding: `"mirror"` or `"zero"`, which is the grey that becomes 0 for a network; labels are 0 there.
            random: `numpy.random.RandomState`.

        Returns:
            `(image, labels)`: float32 `size + 2 * margin` with channels, and labels of `size` in their dtype.
        """
        ndim = labels.ndim
        middle = [first + (length - 1) / 2 for first, length in zip(corner, size)]
        coordinates = self.coordinates([length + 2 * margin for length in size], random)
        coordinates += np.reshape(middle, (ndim,) + (1,) * ndim)
        inner = (slice(None),) + tuple(slice(margin, margin + length) for length in size)
        patch = sample(image, coordinates, padding)
        return self.lighting(patch, random), sample_labels(labels, coordinates[inner], padding)


def sample(image, coordinates, padding="mirror"):
    """Linear interpolation of an image at any places.

    Args:
        image: float32 `shape + (channels,)`.
        coordinates: `(ndim,) + new_shape`, in pixels.
        padding: What lies outside: `"mirror"` (the pixel at the edge is not repeated), or `"zero"`, grey of 0.5.

    Returns:
        float32 `new_shape + (channels,)`.
    """
    require_choice("padding", padding, PADDINGS)
    how = dict(order=1, mode=PADDINGS[padding], cval=GREY)
    channels = [scipy.ndimage.map_coordinates(image[..., channel], coordinates, **how) for channel in range(image.shape[-1])]
    return np.stack(channels, axis=-1)


def sample_labels(labels, coordinates, padding="mirror"):
    """Labels at any places, those of the nearest pixel, `(ndim,) + new_shape` to `new_shape`; outside as `sample`, or 0."""
    require_choice("padding", padding, PADDINGS)
    return scipy.ndimage.map_coordinates(labels, coordinates, order=0, mode=PADDINGS[padding], cval=0)


def cut(image, labels, corner, size, margin=0, padding="mirror"):
    """As `Augmentation` does it with nothing to change: copies pixels and interpolates none."""
    require_choice("padding", padding, PADDINGS)
    places = [np.arange(first - margin, first + length + margin) for first, length in zip(corner, size)]
    patch = image[np.ix_(*(mirrored(place, length) for place, length in zip(places, labels.shape)))]
    if padding == "zero":
        for axis, (place, length) in enumerate(zip(places, labels.shape)):
            patch[(slice(None),) * axis + ((place < 0) | (place >= length),)] = GREY
    return patch, labels[tuple(slice(first, first + length) for first, length in zip(corner, size))]


def mirrored(places, length):
    """Pixels of an axis of this length for any integers: -1 is 1, -2 is 2, and `length` is `length - 2`."""
    if length == 1:
        return np.zeros_like(places)
    places = np.abs(places) % (2 * length - 2)
    return np.minimum(places, 2 * length - 2 - places)


def _rotation(degrees, first, second, ndim):
    matrix, angle = np.eye(ndim), np.deg2rad(degrees)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def _elastic(shape, amount, random, nodes=3):
    """Random displacements at `nodes` points along each axis, `(ndim,) + shape` of cubic splines between them, in pixels."""
    ndim = len(shape)
    field = amount * np.reshape(shape, (ndim,) + (1,) * ndim) * random.standard_normal((ndim,) + (nodes,) * ndim)
    for axis, size in enumerate(shape):
        spline = scipy.interpolate.CubicSpline(np.arange(nodes), np.eye(nodes), bc_type="natural")
        weights = spline(np.linspace(0, nodes - 1, size))
        field = np.moveaxis(np.tensordot(weights, field, (1, 1 + axis)), 0, 1 + axis)
    return field
