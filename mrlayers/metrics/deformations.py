"""What a displacement field does to space: local volume change, and folding.

A displacement `u` is `(*volume, ndim)`, in voxels, one field at a time: 1-D `(n, 1)`, 2-D `(height, width, 2)`, 3-D
`(depth, height, width, 3)`, finite, with at least two voxels along every axis. The Jacobian determinant is that of
`p -> p + u(p)`: `J(p) = det(I + du/dp)`. It is the volume that a voxel at `p` covers in the moving image, over its own: 1 where
nothing changes, below 1 where the moving image is expanded, 0 or negative where the map folds. The size of voxels cancels: in mm
the matrix is `S (I + du/dp) S^-1` with `S` the diagonal of spacings, and that has the same determinant.
"""

from collections import namedtuple

import numpy as np

from mrlayers.checks import describe, refusal, require_choice

NAMES = ("central", "forward")
DEFINITIONS = {"jacobian_determinant": NAMES, "jacobian_statistics": NAMES}
LEARN2REG_MARGIN = 2
LEARN2REG_OFFSET = 3.0


class JacobianStatistics(
    namedtuple(
        "JacobianStatistics",
        "definition voxels mean standard_deviation minimum maximum folded folded_fraction sdlogj",
    )
):
    """What `jacobian_statistics` found; `_asdict()` makes a row of a table of it, `str()` a line."""

    __slots__ = ()

    def __str__(self):
        return "{0.folded} of {0.voxels} voxels folded ({1:.3g} %, {0.definition}), SDlogJ {0.sdlogj:.4g}".format(
            self, 100 * self.folded_fraction
        )


def jacobian_determinant(displacement, definition="central"):
    """Local volume change `det(I + du/dp)` of `p -> p + u(p)`, without unit.

    Args:
        displacement: `(*volume, ndim)`, see the module.
        definition: a name below.

    Definitions:
        central: half the difference of both neighbours, one-sided on the faces of the volume (`numpy.gradient`; the evaluations
            of VoxelMorph and TransMorph). Blind to a voxel that jumps over its neighbour: inside an alternating field it is 1.
        forward: the difference to the next voxel (ICON's folding count): the signed volume that the edges starting at a voxel
            span. The last voxel along each axis has none.

        Positive determinants by one definition alone do not prove that a map is one-to-one (the reference).

    Returns:
        float64 `volume` for "central", and one less along every axis for "forward".

    Raises:
        ValueError: a shape other than `(*volume, ndim)`, values that are not finite, an unknown `definition`.

    Reference: Liu et al., On finite difference Jacobian computation in deformable image registration, IJCV 132, 2024.
    """
    require_choice("definition", definition, NAMES)
    displacement = _field(displacement)
    ndim = displacement.shape[-1]
    matrix = [_derivative(displacement, axis, definition) for axis in range(ndim)]
    for axis in range(ndim):
        matrix[axis][..., axis] += 1.0
    return _determinant([[row[..., column] for column in range(ndim)] for row in matrix])


def jacobian_statistics(displacement, definition="central", mask=None):
    """Folding and spread of the Jacobian determinant, over a volume or over a part of it.

    Args:
        displacement: `(*volume, ndim)`, see the module.
        definition: "central" or "forward", as for `jacobian_determinant`. The last voxel along each axis does not count with
            "forward". `sdlogj` has a definition of its own.
        mask: boolean, of the volume's shape: the voxels that count, such as the brain. `None` counts all.

    Returns:
        A named tuple: `definition`, `voxels` (how many count), `mean`, `standard_deviation`, `minimum` and `maximum` of the
        determinant, `folded` (how many are 0 or negative), `folded_fraction` (of `voxels`, 0 to 1) and `sdlogj`.

        `sdlogj` is the standard deviation of `log(clip(J + 3, 1e-9, 1e9))` by central differences, two voxels or more from
        every face, whatever the `definition`: Learn2Reg's. NaN where nothing is left. The 3 keeps moderate folding finite; the
        challenge's script counts folds behind it too, and so finds none. Here they are counted before.

    Raises:
        ValueError: as for `jacobian_determinant`; a mask that is not boolean, of another shape, or false wherever a
            determinant is.

    Reference: Hering et al., Learn2Reg, IEEE TMI 42(3), 2023.
    """
    displacement = _field(displacement)
    mask = _mask(mask, displacement.shape[:-1])
    determinant = jacobian_determinant(displacement, definition)
    central = determinant if definition == "central" else jacobian_determinant(displacement)
    values = determinant[mask[tuple(slice(size) for size in determinant.shape)]]
    if not values.size:
        raise refusal("`mask` must be true somewhere, the last voxel along each axis aside", "none", "mask=None")
    inner = (slice(LEARN2REG_MARGIN, -LEARN2REG_MARGIN),) * mask.ndim
    logarithm = np.log(np.clip(central[inner][mask[inner]] + LEARN2REG_OFFSET, 1e-9, 1e9))
    folded = np.count_nonzero(values <= 0)
    return JacobianStatistics(
        definition=definition,
        voxels=values.size,
        mean=values.mean(),
        standard_deviation=values.std(),
        minimum=values.min(),
        maximum=values.max(),
        folded=folded,
        folded_fraction=folded / values.size,
        sdlogj=logarithm.std() if logarithm.size else np.nan,
    )


def _derivative(displacement, axis, definition):
    """`du/dp` along one axis."""
    if definition == "central":
        return np.gradient(displacement, axis=axis)
    axes = range(displacement.ndim - 1)
    here = tuple(slice(None, -1) for _ in axes)
    ahead = tuple(slice(1, None) if other == axis else slice(None, -1) for other in axes)
    return displacement[ahead] - displacement[here]


def _determinant(matrix):
    """Laplace's expansion along the first row; the entries are volumes."""
    first, rest = matrix[0], matrix[1:]
    if not rest:
        return first[0]
    total = 0.0
    for column, entry in enumerate(first):
        total = total + (-1.0) ** column * entry * _determinant([row[:column] + row[column + 1 :] for row in rest])
    return total


def _field(displacement):
    displacement = np.asarray(displacement)
    shape = displacement.shape
    if len(shape) < 2 or shape[-1] != len(shape) - 1 or min(shape[:-1]) < 2 or displacement.dtype.kind not in "iuf":
        batch = shape[-1:] == (len(shape) - 2,)
        advice = "displacement[0], a loop over fields" if batch else "numpy.moveaxis where the components come first"
        raise refusal(
            "`displacement` must be real, of one field (*volume, ndim) with two voxels or more along every axis",
            "%s of %s" % (displacement.dtype, describe(shape)),
            advice,
        )
    if not np.isfinite(displacement).all():
        received = "%d values that are not" % np.count_nonzero(~np.isfinite(displacement))
        raise refusal("`displacement` must be finite", received, "a registration that has not diverged")
    return displacement.astype("float64", copy=False)


def _mask(mask, volume):
    if mask is None:
        return np.ones(volume, bool)
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != volume:
        raise refusal(
            "`mask` must be boolean, of the volume's shape, %s" % (volume,),
            "%s of %s" % (mask.dtype, describe(mask.shape)),
            "`mask > 0`, without an axis of channels",
        )
    return mask
