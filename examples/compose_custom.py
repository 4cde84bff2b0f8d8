"""A reconstruction network of your own from the layers: recursive U-Nets that share a learned trust in the data.

About a minute on two CPU cores:

    python examples/compose_custom.py
"""

import argparse
import functools

from mrlayers import IFFT, DataConsistency, backend, sampling
from mrlayers.backend import keras
from zoo.cascade import data, evaluation, phantoms


def small_unet(x, name):
    """One level down and up again, with a skip connection."""
    convolution = functools.partial(keras.layers.Conv2D, kernel_size=3, padding="same", activation="relu")
    skip = convolution(16, name=name + "_in")(x)
    deep = keras.layers.MaxPooling2D(name=name + "_down")(skip)
    deep = convolution(32, name=name + "_deep")(deep)
    up = keras.layers.UpSampling2D(name=name + "_up")(deep)
    joined = keras.layers.Concatenate(name=name + "_join")([skip, up])
    return keras.layers.Conv2D(2, 3, padding="same", kernel_initializer="zeros", name=name + "_out")(joined)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12, help="passes over 48 phantoms (default: %(default)s)")
    options = parser.parse_args()
    size = (96, 96)
    image = keras.Input(size + (2,), name="image")
    kspace = keras.Input(size + (2,), name="kspace")
    mask = keras.Input((size[0], 1, 1), name="mask")

    zero_filled = IFFT()(kspace)  # once for all blocks
    consistency = DataConsistency(data_weight=5.0, trainable=True, reference="image")
    x = image
    for block in range(3):
        x = keras.layers.Add()([x, small_unet(x, "block{}".format(block))])
        x = consistency([x, zero_filled, mask])
    model = keras.Model([image, kspace, mask], x)
    model.compile(keras.optimizers.Adam(2e-3), loss="mse", **backend.COMPILE_OPTIONS)

    lines = functools.partial(sampling.cartesian_mask, size, acceleration=4)
    train = data.UndersampledImages(phantoms.random_phantoms(48, size, seed=1), lines)
    test = data.UndersampledImages(phantoms.random_phantoms(12, size, seed=2), lines, shuffle=False)
    for epoch in range(options.epochs):
        loss = [float(model.train_on_batch(inputs, target)) for inputs, target in train.epoch(epoch)]
        print("epoch {:2d}: loss {:.6f}".format(epoch + 1, sum(loss) / len(loss)))
    print(evaluation.report(*evaluation.reconstruct(model, test)))


if __name__ == "__main__":
    main()
