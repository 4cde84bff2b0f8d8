"""How rough a displacement or velocity field is: first and second differences."""

from mrlayers.backend import keras, ops
from mrlayers.checks import require_choice
from mrlayers.losses.volumes import as_floats, checked_spacing, differences, mean_of_samples, spacing_of_axes, volume_axes

PENALTIES = {"l1": "abs", "l2": "square"}


@keras.saving.register_keras_serializable(package="mrlayers")
class Gradient(keras.losses.Loss):
    """First derivatives of a field: the smoothness penalty of VoxelMorph.

    `mean_axes mean_elements penalty((u[i + 1] - u[i]) / spacing)` with forward differences along each axis of the volume;
    `penalty` is the square or the magnitude. The inner mean is over all differences of all components, without a factor 1/2.
    Zero for a constant field. The subgradient of `"l1"` at a difference of zero is zero.

    Args:
        penalty: `"l2"` (squares, prefers even bending) or `"l1"` (magnitudes, allows sliding).
        spacing: size of a voxel, in mm or any other unit, by which differences are divided: one number, one for each axis, or
            `None` for 1. The components of the field stay in the unit that they have.

    Call arguments:
        y_true: not used; Keras wants an array of the shape of `y_pred`, such as zeros.
        y_pred: the field `(batch, *volume, components)`, at least two voxels along each axis.

    Returns: `(batch,)`, or what `reduction` makes of it; float32 also in mixed precision.

    Raises:
        ValueError: unknown penalty, spacing that is not positive or has another number of axes, a volume one voxel thin.

    Reference: Balakrishnan et al., VoxelMorph: a learning framework for deformable medical image registration,
    IEEE TMI 38(8), 2019.
    """

    def __init__(self, penalty="l2", spacing=None, **kwargs):
        require_choice("penalty", penalty, sorted(PENALTIES))
        super().__init__(**kwargs)
        self.penalty = penalty
        self.spacing = checked_spacing(spacing)

    def call(self, y_true, y_pred):
        field = as_floats(y_pred)
        axes = volume_axes(field, smallest=2)
        penalty = getattr(ops, PENALTIES[self.penalty])
        steps = zip(axes, spacing_of_axes(self.spacing, axes))
        return sum(mean_of_samples(penalty(differences(field, axis) / size)) for axis, size in steps) / len(axes)

    def get_config(self):
        config = super().get_config()
        config.update(penalty=self.penalty, spacing=self.spacing)
        return config


@keras.saving.register_keras_serializable(package="mrlayers")
class BendingEnergy(keras.losses.Loss):
    """Second derivatives of a field, mixed ones included: the energy of a thin plate. Zero for every affine field.

    `sum_i sum_j mean((d_i d_j u)^2)` over all pairs of axes, so that each mixed derivative counts twice:
    `u_xx^2 + u_yy^2 + 2 u_xy^2` in two dimensions. `d_i` is the forward difference along axis i divided by its spacing:
    `d_i d_i u = (u[i + 2] - 2 u[i + 1] + u[i]) / spacing_i^2`. Each mean is over all places where the stencil fits into the
    volume and over the components of the field (a sum over components is as many times larger as there are components).

    Args:
        spacing: size of a voxel, as in `Gradient`.

    Call arguments:
        y_true: not used, as in `Gradient`.
        y_pred: the field `(batch, *volume, components)`, at least three voxels along each axis.

    Returns: `(batch,)`, or what `reduction` makes of it; float32 also in mixed precision.

    Raises:
        ValueError: spacing that is not positive or has another number of axes, a volume less than three voxels thick.

    Reference: Rueckert et al., Nonrigid registration using free-form deformations: application to breast MR images,
    IEEE TMI 18(8), 1999.
    """

    def __init__(self, spacing=None, **kwargs):
        super().__init__(**kwargs)
        self.spacing = checked_spacing(spacing)

    def call(self, y_true, y_pred):
        field = as_floats(y_pred)
        axes = volume_axes(field, smallest=3)
        sizes = spacing_of_axes(self.spacing, axes)
        energy = 0.0
        for index, (first, size) in enumerate(zip(axes, sizes)):
            slope = differences(field, first) / size
            for second, other in zip(axes[index:], sizes[index:]):
                times = 1.0 if first == second else 2.0
                energy = energy + times * mean_of_samples(ops.square(differences(slope, second) / other))
        return energy

    def get_config(self):
        config = super().get_config()
        config.update(spacing=self.spacing)
        return config
