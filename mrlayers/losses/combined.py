"""Overlap of whole classes and probability of single pixels together."""

from mrlayers.backend import keras
from mrlayers.checks import refusal, require_choice
from mrlayers.losses.entropy import CrossEntropy
from mrlayers.losses.overlap import PRESETS, Dice
from mrlayers.losses.segmentations import require_whole_labels


@keras.saving.register_keras_serializable(package="mrlayers")
class DiceCrossEntropy(keras.losses.Loss):
    """`dice_weight * Dice + cross_entropy_weight * CrossEntropy` of the same prediction.

    By default the published loss of NVIDIA's UNet_Medical and of the Ascend ModelZoo's UNet2D: the mean over pixels of softmax
    cross-entropy, plus the mean over classes, background and all, of one minus Dice with squared denominators and a smoothing of
    1e-6. With `preset="nnunet"` it is that of nnU-Net 2 (plus 1: see `Dice`), with `preset=None` that of `Dice()`.

    Args:
        dice_weight: weight of the Dice loss, 0 or more.
        cross_entropy_weight: weight of the cross-entropy, 0 or more.
        from_logits: `True` when `y_pred` are logits, as the models of `zoo.unet` return them.
        weighted: `True` when `y_true` has one channel more, the last: the weight of each pixel in the cross-entropy. Dice counts
            every pixel as one.
        preset: definition of Dice, a name of `Dice.preset`, or `None` for the defaults of `Dice`.
        dice: further arguments of `Dice`, a dictionary such as `{"per": "image", "background": False}`, instead of those of the
            preset. `labels` holds for both losses.

    Call arguments:
        y_true: a label map `(batch, *volume, 1)`, or one-hot or probabilities `(batch, *volume, channels)`; one channel more
            with `weighted=True`.
        y_pred: probabilities or logits, `(batch, *volume, channels)`. One channel is a mask: see both losses.

    Returns: `(batch,)`, or what `reduction` makes of it; float32 also in mixed precision.

    Raises:
        ValueError: weights below 0, an unknown preset, arguments that `Dice` does not have, and what both losses refuse.
    """

    def __init__(
        self, dice_weight=1.0, cross_entropy_weight=1.0, from_logits=False, weighted=False, preset="nvidia", dice=None, **kwargs
    ):
        if not all(0 <= weight < float("inf") for weight in (dice_weight, cross_entropy_weight)):
            received = "{!r} and {!r}".format(dice_weight, cross_entropy_weight)
            raise refusal("`dice_weight` and `cross_entropy_weight` must be numbers of at least 0", received, "1.0 for both")
        require_choice("preset", preset, sorted(PRESETS) + [None])
        super().__init__(**kwargs)
        self.dice_weight = dice_weight
        self.cross_entropy_weight = cross_entropy_weight
        self.from_logits = bool(from_logits)
        self.weighted = bool(weighted)
        self.preset = preset
        self.dice = _checked_options(dice)
        options = dict(self.dice, from_logits=self.from_logits)
        self._overlap = Dice(**options) if preset is None else Dice.preset(preset, **options)
        self._entropy = CrossEntropy(from_logits, weighted, self._overlap.labels)

    def __call__(self, y_true, y_pred, sample_weight=None):
        require_whole_labels(y_true, y_pred, self.weighted)
        return super().__call__(y_true, y_pred, sample_weight=sample_weight)

    def call(self, y_true, y_pred):
        entropy = self._entropy.call(y_true, y_pred)
        overlap = self._overlap.call(y_true[..., :-1] if self.weighted else y_true, y_pred)
        return self.dice_weight * overlap + self.cross_entropy_weight * entropy

    def get_config(self):
        config = super().get_config()
        config.update(
            dice_weight=self.dice_weight,
            cross_entropy_weight=self.cross_entropy_weight,
            from_logits=self.from_logits,
            weighted=self.weighted,
            preset=self.preset,
            dice=self.dice,
        )
        return config


def _checked_options(dice):
    options = {} if dice is None else dice
    known = sorted(set(Dice().get_config()) - set(keras.losses.Loss().get_config()) - {"from_logits"})
    if not isinstance(options, dict) or not set(options) <= set(known):
        raise refusal(
            "`dice` must be a dictionary of arguments of `Dice`: {}".format(", ".join(known)), repr(dice), "dice=None"
        )
    return dict(options)
