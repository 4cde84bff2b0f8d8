"""How networks are trained: our own recipe, the two published ones, and what each says where nothing else is asked. No Keras here."""

from zoo.unet.augmentation import Augmentation

RECIPES = {
    "mrlayers": {
        "network": "unet",
        "loss": "dice-cross-entropy",
        "learning_rate": 2e-3,
        "learning_rate_decay": 0.8,
        "weight_decay": 0.0,
        "batch_size": 4,
        "steps": 1000,
        "resize": None,
        "surroundings": "mirror",
        "loss_scale": None,
    },
    "mindspore": {
        "network": "unet_mindspore",
        "loss": "cross-entropy",
        "learning_rate": 1e-4,
        "learning_rate_decay": 1.0,
        "weight_decay": 5e-4,
        "batch_size": 16,
        "steps": 600,
        "resize": 388,
        "surroundings": "zero",
        "loss_scale": "1024",
    },
    "nvidia": {
        "network": "unet_medical",
        "loss": "dice-cross-entropy",
        "learning_rate": 1e-4,
        "learning_rate_decay": 1.0,
        "weight_decay": 0.0,  # 5e-4 on its command line, which nothing there reads
        "batch_size": 8,
        "steps": 6400,
        "resize": 388,
        "surroundings": "zero",
        "loss_scale": None,
    },
}
NETWORKS = ("unet", "unet_mindspore", "unet_medical")
LOSSES = ("cross-entropy", "dice-cross-entropy", "dice", "focal", "tversky")


def complete(settings):
    """Settings of the command line, with those of the recipe wherever they are `None`.

    Args:
        settings: dict with the name of a recipe, `"recipe"`, and any of its settings.

    Returns:
        dict.
    """
    recipe = RECIPES[settings["recipe"]]
    return dict(settings, **{name: value for name, value in recipe.items() if settings.get(name) is None})


def augmentation(settings):
    """That of the recipe: elastic deformation, rotation, zoom and gamma here; flips, crops and brightness in the published ones."""
    if settings["recipe"] == "mrlayers":
        return Augmentation()
    return Augmentation(rotation=0, elastic=0, zoom=0, crop=0.3, gamma=0, brightness=0.1)
