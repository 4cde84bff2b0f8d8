"""Displacement fields in files: NIfTI that ITK, SimpleITK and ANTs open, and `.npz` for every other grid. No Keras here.

In memory a displacement is in voxels, `(*volume, ndim)`, ij order, pull-back: `moved(p) = moving(p + u(p))`. A NIfTI warp
holds what ITK expects of a displacement field: for each voxel `p` of the fixed image, where the moving image has that point in
space, minus where `p` is, in millimetres to the left, back and up (LPS). An affine is NIfTI's: `(4, 4)`, for images of two
axes too, from voxels to millimetres to the right, front and up (RAS).
"""

import collections
import os

import nibabel
import numpy as np

from mrlayers.checks import refusal
from zoo.files import existing, reading, written_whole

VECTOR, DISPLACEMENT = 1007, 1006  # NIfTI's intent codes; ITK takes the components of 1007 as they are and turns those of 1006
NIFTYREG = "NREG_TRANS"  # the intent name of NiftyReg's fields: code 1007, but positions, velocities or splines as well
LPS = np.array([-1.0, -1.0, 1.0])  # times RAS
SHEAR = 0.05  # voxels

Warp = collections.namedtuple("Warp", "displacement affine")


def write_warp(path, displacement, affine, moving_affine=None):
    """Writes a displacement field whole or not at all.

    `.nii` and `.nii.gz` hold float32 `(x, y, z, 1, 3)`, or `(x, y, 1, 1, 2)` for two dimensions, millimetres, LPS, intent code
    1007 (vector). `.npz` holds `displacement`, float32 in voxels of the fixed image, and `affine`; it
    takes one dimension and axes that are not orthogonal as well.

    Args:
        path: File to write, `.nii`, `.nii.gz` or `.npz`.
        displacement: Real `(*volume, ndim)` such that `p` is in voxels of the fixed image, `p + u(p)` of the moving one.
        affine: Of the fixed image, `(4, 4)`.
        moving_affine: Of the moving image where it has another one; `None` stands for `affine`.

    Raises:
        ValueError: When shapes do not fit, numbers are not finite, or the format cannot hold the grid (see `require_grid`).
    """
    displacement = _displacement(displacement)
    require_grid(path, displacement.shape[:-1], affine)
    if moving_affine is not None:
        displacement = to_voxels(to_world(displacement, affine, moving_affine), affine)
    with written_whole(path) as temporary:
        if _is_npz(path):
            np.savez_compressed(temporary, displacement=displacement.astype(np.float32), affine=_affine(affine))
        else:
            ndim = displacement.shape[-1]
            components = (LPS[:ndim] * to_world(displacement, affine)).astype(np.float32)
            components = components.reshape(displacement.shape[:-1] + (1,) * (4 - ndim) + (ndim,))
            nibabel.save(nibabel.Nifti1Image(components, None, _header(affine)), temporary)


def read_warp(path, moving_affine=None):
    """Reads what `write_warp` writes, and the displacement fields of ITK and ANTs.

    Components are LPS where the intent code is 1007 (vector), as in ITK, and RAS where it is 1006 (displacement vector), as in
    FreeSurfer, Slicer and ITK from 5.4 on.

    Args:
        path: `.nii`, `.nii.gz` or `.npz`.
        moving_affine: `(4, 4)`, of the image to warp where its grid is not that of the file.

    Returns:
        `Warp(displacement, affine)`: float32 `(*volume, ndim)` such that `p + u(p)` is in voxels of the image to warp, and the
        affine of the fixed image, float64 `(4, 4)`.

    Raises:
        FileNotFoundError: When there is nothing at `path`.
        ValueError: When it cannot be read or is no displacement field; what it is instead is said.
    """
    path = existing(path)
    displacement, affine = (_read_npz if _is_npz(path) else _read_nifti)(path)
    if moving_affine is not None:
        displacement = to_voxels(to_world(displacement, affine), affine, moving_affine)
    return Warp(displacement.astype(np.float32, order="C"), affine)


def to_world(displacement, affine, moving_affine=None):
    """Displacements in voxels as `moving_affine (p + u(p)) - affine p`: float64, millimetres, RAS, `(*volume, ndim)`."""
    moving = plane(affine if moving_affine is None else moving_affine, displacement.shape[-1])
    return displacement @ moving[:-1, :-1].T + _offset(displacement.shape, affine, moving)


def to_voxels(world, affine, moving_affine=None):
    """The inverse of `to_world`: float64 `(*volume, ndim)`, `p + u(p)` in voxels of the grid of `moving_affine`."""
    moving = plane(affine if moving_affine is None else moving_affine, world.shape[-1])
    return (world - _offset(world.shape, affine, moving)) @ np.linalg.inv(moving[:-1, :-1]).T


def plane(affine, ndim):
    """The part `(ndim + 1, ndim + 1)` of an affine that concerns an image of `ndim` axes; they must not leave their plane."""
    affine = _affine(affine)
    linear = np.abs(affine[:3, :3])
    if max(linear[:ndim, ndim:].max(initial=0), linear[ndim:, :ndim].max(initial=0)) > 1e-5 * linear.max():
        received = "axes %s" % np.round(affine[:3, :ndim].T, 3).tolist()
        raise refusal("`affine` of a %d-D image must keep to its own axes" % ndim, received, ".npz, or the whole volume")
    kept = list(range(ndim)) + [3]
    return affine[np.ix_(kept, kept)]


def require_grid(path, volume_shape, affine):
    """Refuses a grid that the file format of `path` cannot hold, before a long computation as well as before writing.

    ITK's images have orthogonal axes, two or three of them, and more than one voxel along the last. Axes that are not quite so
    are taken when ITK's grid, with the nearest axes that are, is nowhere further away than 0.05 voxels, and else refused.
    """
    affine, ndim = _affine(affine), len(volume_shape)
    if _is_npz(path):
        return
    if not os.fspath(path).lower().endswith((".nii", ".nii.gz")):
        raise refusal("`path` of a warp must end in .nii, .nii.gz or .npz", path, "warp.nii.gz")
    if ndim == 1 or volume_shape[-1] == 1:
        received = "shape %s for %s" % (tuple(volume_shape), path)
        expected = "A displacement field for ITK must have two or three axes and more than one voxel along the last"
        raise refusal(expected, received, ".npz")
    axes = plane(affine, ndim)[:-1, :-1]
    corners = np.indices((2,) * ndim).reshape(ndim, -1) * (np.reshape(volume_shape, (ndim, 1)) - 1)
    shear = np.abs(np.linalg.solve(axes, (_header(affine).get_qform()[:ndim, :ndim] - axes) @ corners)).max()
    if shear > SHEAR:
        received = "axes that differ from orthogonal ones by %.2g voxels at a corner, for %s" % (shear, path)
        raise refusal("`affine` must have orthogonal axes for ITK", received, ".npz, or resampling the fixed image")


def _displacement(displacement):
    displacement = np.asarray(displacement)
    ndim = displacement.ndim - 1
    if displacement.dtype.kind != "f" or ndim not in (1, 2, 3) or displacement.shape[-1] != ndim:
        received = "%s %s" % (displacement.dtype, displacement.shape)
        raise refusal("`displacement` must be real (*volume, ndim) for 1, 2 or 3 dimensions", received, "displacement[0]")
    if not np.isfinite(displacement).all():
        raise refusal("`displacement` must be finite", "NaN or infinity", "other weights, or to register again")
    return displacement


def _affine(affine):
    affine = np.asarray(affine, np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or not np.linalg.det(affine):
        received = "shape %s" % (affine.shape,) if affine.shape != (4, 4) else "a matrix that is singular or not finite"
        raise refusal("`affine` must be an invertible matrix of shape (4, 4)", received, "numpy.eye(4)")
    return affine


def _offset(shape, affine, moving):
    """What a displacement of zero voxels is in space, `(moving - affine) p`: nothing for one grid."""
    difference = moving - plane(affine, shape[-1])
    if not difference.any():
        return 0.0
    return np.moveaxis(np.indices(shape[:-1]), 0, -1) @ difference[:-1, :-1].T + difference[:-1, -1]


def _header(affine):
    """A NIfTI header for the affine: ITK takes the sform where its axes are orthogonal to 1e-4, else the qform, always so."""
    header = nibabel.Nifti1Header()
    header.set_qform(affine, 1)
    header.set_sform(affine, 1)
    header.set_intent(VECTOR)
    header.set_xyzt_units("mm")
    header["descrip"] = b"displacement, mm, LPS (ITK)"
    return header


def _is_npz(path):
    return os.fspath(path).lower().endswith(".npz")


def _read_npz(path):
    with reading(path), np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if not {"displacement", "affine"} <= set(arrays):
        received = "%s, which holds %s" % (path, ", ".join(sorted(arrays)) or "no arrays at all")
        raise refusal("`path` must hold `displacement` and `affine`", received, "a file that write_warp wrote")
    return _displacement(arrays["displacement"]), _affine(arrays["affine"])


def _read_nifti(path):
    with reading(path):
        image = nibabel.load(path)
    header, shape, ndim = image.header, image.shape, image.shape[-1]
    field = isinstance(image, nibabel.Nifti1Image) and len(shape) == 5 and ndim in (2, 3) and shape[ndim:4] == (1,) * (4 - ndim)
    if not field or int(header["intent_code"]) not in (VECTOR, DISPLACEMENT) or header.get_intent()[2] == NIFTYREG:
        expected = "`path` must hold a displacement field, shape (x, y, z, 1, 3) with intent code 1007 (vector)"
        raise refusal(expected, "%s, %s" % (path, _kind(image)), "the warp that goes with it")
    with reading(path):
        components = np.asarray(image.dataobj, np.float64).reshape(shape[:ndim] + (ndim,))
    world = components * (LPS[:ndim] if int(header["intent_code"]) == VECTOR else 1.0)
    return to_voxels(_displacement(world), image.affine), _affine(image.affine)


def _kind(image):
    if not isinstance(image, nibabel.Nifti1Image):
        return "a %s of shape %s" % (type(image).__name__, image.shape)
    meaning, _, name = image.header.get_intent()
    return "shape %s with intent code %d (%s)" % (image.shape, image.header["intent_code"], name or meaning)
