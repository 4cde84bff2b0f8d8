"""The simulated division of a training step between host and NPU."""

import pytest

from mrlayers import FFT, IFFT
from mrlayers.backend import keras
from runtime import RUNTIME
from zoo.cascade import crnn_mri, deep_cascade
from zoo.npu.partition import simulate_partition, training_step

pytestmark = pytest.mark.skipif(RUNTIME != "tensorflow1", reason="NPUs run TensorFlow 1.15")

CASCADES = 5


def simulated(model, **options):
    model.compile("adam", "mse")
    return simulate_partition(keras.backend.get_session().graph, training_step(model), **options)


def cascade(engine):
    return deep_cascade((8, 6), (8, 1, 1), CASCADES, 2, 4, engine=engine)


def transform_by_transform():
    """The same network with two transforms in place of each `DataConsistency`."""
    image, kspace, mask = inputs = [keras.Input(shape) for shape in [(8, 6, 2), (8, 6, 2), (8, 1, 1)]]
    x = image
    for _ in range(CASCADES):
        x = keras.layers.Conv2D(2, 3, padding="same")(keras.layers.Conv2D(4, 3, padding="same", activation="relu")(x))
        predicted = FFT(axes=-3, engine="fft")(x)
        unmeasured = keras.layers.Lambda(lambda pair: pair[0] * (1 - pair[1]))([predicted, mask])
        x = IFFT(axes=-3, engine="fft")(keras.layers.Add()([unmeasured, kspace]))
    return keras.Model(inputs, x)


def test_a_whole_data_consistency_is_one_visit_to_the_host():
    whole, apart = simulated(cascade("fft")), simulated(transform_by_transform())
    assert whole.segments <= 2 * CASCADES + 1
    assert whole.round_trips == whole.segments - 1
    assert 1.8 < apart.segments / whole.segments < 2.2
    assert apart.bytes > whole.bytes


@pytest.mark.parametrize("engine", ["matmul", "split"])
def test_matrix_products_never_leave_the_npu(engine):
    assert simulated(cascade(engine)).segments == 1


def test_recurrent_network():
    model = crnn_mri((3, 8, 6), (3, 8, 1, 1), CASCADES, 3, 4, engine="fft")
    assert simulated(model).segments <= 2 * CASCADES + 1


def test_bytes_are_those_of_the_tensors_that_cross():
    """A transform between two products of an image of 4x6 pairs: there and back again, forward only."""
    import tensorflow as tf

    weight = tf.compat.v1.get_variable("weight", (1, 4, 6, 2))
    x = tf.compat.v1.placeholder("float32", (None, 4, 6, 2))
    y = FFT(engine="fft")(x * weight) * weight
    found = simulate_partition(y.graph, [y], batch_size=3)
    assert (found.segments, found.round_trips, found.crossings) == (2, 1, 3)  # the fed image comes from the host too
    assert found.bytes == 3 * (3 * 4 * 6 * 2 * 4)


def test_types_that_the_npu_does_not_know_stay():
    import tensorflow as tf

    x = tf.compat.v1.placeholder("float32", (2, 3))
    y = tf.exp(tf.sin(tf.cos(x)))
    assert simulate_partition(y.graph, [y]).segments == 1
    found = simulate_partition(y.graph, [y], supported_ops={"Cos", "Exp"})
    assert (found.npu, found.host, found.segments) == (2, 2, 2)


def test_a_loop_stays_whole():
    import tensorflow as tf

    x = tf.compat.v1.placeholder("float32", (1, 8, 6, 2))
    plain = tf.while_loop(lambda i, z: i < 3, lambda i, z: (i + 1, tf.sin(z)), [0, x])[1]
    pinned = tf.while_loop(lambda i, z: i < 3, lambda i, z: (i + 1, tf.sin(FFT(engine="fft")(z))), [0, x])[1]
    assert simulate_partition(x.graph, [plain]).npu > 5
    found = simulate_partition(x.graph, [pinned])
    assert found.segments == 0 and found.npu == 0
