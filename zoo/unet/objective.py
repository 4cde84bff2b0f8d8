"""The losses a U-Net is trained with, by name."""

from mrlayers import losses
from mrlayers.checks import refusal, require_choice
from zoo.unet.recipes import LOSSES


def segmentation_loss(name, weighted=False):
    """A loss of logits.

    Args:
        name: `"cross-entropy"`; `"dice-cross-entropy"`, the sum of NVIDIA's UNet_Medical; `"dice"`, its second part alone;
            `"focal"`; `"tversky"`.
        weighted: whether the last channel of the target is the weight of a pixel. `"cross-entropy"` only.

    Returns:
        `keras.losses.Loss`.
    """
    require_choice("name", name, LOSSES)
    if weighted and name != "cross-entropy":
        raise refusal("`--border-weight` goes with `--loss cross-entropy`", "--loss %s" % name, "that loss")
    if name == "cross-entropy":
        return losses.CrossEntropy(from_logits=True, weighted=weighted)
    if name == "dice-cross-entropy":
        return losses.DiceCrossEntropy(from_logits=True)
    if name == "dice":
        return losses.Dice.preset("nvidia", from_logits=True)
    return (losses.Focal if name == "focal" else losses.Tversky)(from_logits=True)
