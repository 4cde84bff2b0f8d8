"""Compiling for an NPU, with a stand-in for `npu_bridge` and without one: same numbers, callbacks, ranks, and each refusal."""

import numpy as np
import pytest

from mrlayers import DataConsistency
from mrlayers.backend import RUNTIME, keras, set_seed
from runtime import random
from zoo import npu, training
from zoo.npu import sessions
from zoo.npu.pinning import pinned
from zoo.optimizers import adam

pytestmark = pytest.mark.skipif(RUNTIME != "tensorflow1", reason="npu_bridge supports TensorFlow 1.15 only")
SIZE = 8


class Batches:
    """Batches of two images, the last of one where `remainder` is set."""

    def __init__(self, count=2, remainder=False):
        self.count = count
        self.remainder = remainder

    def __len__(self):
        return self.count

    def epoch(self, index):
        for number in range(self.count):
            batch = 1 if self.remainder and number == self.count - 1 else 2
            image = random(batch, SIZE, SIZE, 2, seed=100 * index + number)
            yield {"image": image, "kspace": image, "mask": np.ones((batch, SIZE, 1, 1), "float32")}, image


def network(engine="fft", normalize=False):
    set_seed(1)  # of the graph, which is a new one in every session
    inputs = [keras.Input((SIZE, SIZE, 2), name="image"), keras.Input((SIZE, SIZE, 2), name="kspace")]
    inputs.append(keras.Input((SIZE, 1, 1), name="mask"))
    x = keras.layers.Conv2D(2, 3, padding="same", name="conv", kernel_initializer=keras.initializers.glorot_uniform(1))(
        inputs[0]
    )
    if normalize:
        x = keras.layers.BatchNormalization(name="normalization")(x)
    return keras.Model(inputs, DataConsistency(engine=engine, name="consistency")([x] + inputs[1:]))


def train(optimizer="adam", epochs=2, **options):
    """The weights after some steps, and the model; inside of a session that is open."""
    model = network(**{name: options.pop(name) for name in ("engine", "normalize") if name in options})
    npu.compile(model, optimizer, "mse", **options)
    for inputs, target in [batch for epoch in range(epochs) for batch in Batches().epoch(epoch)]:
        model.train_on_batch(inputs, target)
    return model.get_weights(), model


def plain_weights(optimizer="adam"):
    """The same steps without anything of ours."""
    model = network()
    model.compile(optimizer, "mse")
    for inputs, target in [batch for epoch in range(2) for batch in Batches().epoch(epoch)]:
        model.train_on_batch(inputs, target)
    weights = model.get_weights()
    keras.backend.clear_session()
    return weights


def parameters():
    return sessions.current("a test").config.graph_options.rewrite_options.custom_optimizers[0].parameter_map


def types(graph):
    return {operation.type for operation in graph.get_operations()}


def marked(graph):
    return [operation for operation in graph.get_operations() if "_fake_all_reduce" in operation.node_def.attr]


def assert_close(weights, expected):
    for value, other in zip(weights, expected):
        np.testing.assert_allclose(value, other, rtol=1e-5, atol=1e-6)


def test_trains_on_the_cpu_without_npu_bridge_and_says_so():
    expected = plain_weights()
    with pytest.warns(UserWarning, match="TensorFlow runs on the CPU"), npu.session(precision_mode="allow_mix_precision"):
        with pytest.warns(UserWarning, match="`loss_scale` is left out"):
            assert_close(train(loss_scale="dynamic")[0], expected)


@pytest.mark.parametrize("year", [2021, 2023, 2026])
@pytest.mark.parametrize("loss_scale", [None, 1024, "dynamic"])
def test_weights_are_those_of_plain_keras(install, year, loss_scale):
    expected = plain_weights()
    calls = install(year)
    with npu.session():
        assert_close(train(loss_scale=loss_scale)[0], expected)
    assert [call[0] for call in calls if call[0].startswith("NPU")] == ["NPULossScaleOptimizer"] * (loss_scale is not None)
    assert "npu_distributed_optimizer_wrapper" not in [call[0] for call in calls]


@pytest.mark.parametrize("loss_scale", [None, 1024, "dynamic"])
def test_weights_are_those_of_plain_tensorflow_optimizers(install, loss_scale):
    import tensorflow as tf

    expected = plain_weights(tf.compat.v1.train.AdamOptimizer())
    install()
    with npu.session():
        assert_close(train(tf.compat.v1.train.AdamOptimizer(), loss_scale=loss_scale)[0], expected)


def test_an_overflow_is_left_out_and_two_halve_the_scale(install):
    install()
    with npu.session():
        model = network("matmul")
        npu.compile(model, keras.optimizers.SGD(0.01), "mse", loss_scale="dynamic")
        before, state = model.get_weights(), model.optimizer.get_weights()
        assert state[1] == 2.0**32
        inputs, target = next(Batches().epoch(0))
        model.train_on_batch(inputs, target * np.float32(np.inf))
        assert model.optimizer.get_weights()[1] == 2.0**32
        model.train_on_batch(inputs, target * np.float32(np.inf))
        assert model.optimizer.get_weights()[1] == 2.0**31
        assert all(np.array_equal(value, other) for value, other in zip(model.get_weights(), before))


@pytest.mark.parametrize("engine, mixed", [("fft", True), ("matmul", False)])
def test_mixed_compiling_is_on_exactly_with_pinned_operations(install, engine, mixed):
    install()
    with npu.session():
        assert not parameters()["mix_compile_mode"].b
        _, model = train(engine=engine, epochs=1)
        assert parameters()["mix_compile_mode"].b == mixed == bool(pinned(model.outputs[0].graph))


def test_weights_of_before_keep_their_values_when_the_session_follows(install):
    install()
    with npu.session():
        model = network()
        weights = [weight + 0.25 for weight in model.get_weights()]
        model.set_weights(weights)
        first = keras.backend.get_session()
        npu.compile(model, "adam", "mse")
        assert keras.backend.get_session() is not first
        assert all(np.array_equal(value, other) for value, other in zip(model.get_weights(), weights))


@pytest.mark.parametrize("year", [2021, 2026])
@pytest.mark.parametrize("kind", ["adam", "tf.train"])
@pytest.mark.parametrize("loss_scale", [None, "dynamic"])
def test_two_ranks_have_one_all_reduce_for_each_gradient(install, two_ranks, year, kind, loss_scale):
    import tensorflow as tf

    calls = install(year)
    optimizer = tf.compat.v1.train.AdamOptimizer() if kind == "tf.train" else kind
    with npu.session():
        _, model = train(optimizer, epochs=1, loss_scale=loss_scale)
        assert len(marked(model.outputs[0].graph)) == len(model.trainable_weights) == 2
    assert (("NPULossScaleOptimizer", True) in calls) == (loss_scale is not None)


def test_one_rank_has_no_all_reduce(install):
    calls = install()
    with npu.session():
        _, model = train(epochs=1)
        assert marked(model.outputs[0].graph) == calls == []
        assert "get_updates" not in vars(model.optimizer)


def test_the_broadcast_callback_knows_all_variables(install, two_ranks):
    calls = install()
    with npu.session():
        model = network()
        npu.compile(model, "adam", "mse", loss_scale="dynamic")
        model.fit(Batches().epoch(0), steps_per_epoch=2, callbacks=npu.callbacks(), verbose=0)
    # two weights and two moments of each, the step and four numbers of Adam, three of the loss scale, two of the mean loss
    assert [call for call in calls if call[0] == "broadcast"] == [("broadcast", 0, 14)]


def test_an_old_adapter_without_broadcast_says_so(install, two_ranks):
    install(2021)
    with pytest.warns(UserWarning, match="same seed"):
        assert len(npu.callbacks()) == 1


@pytest.mark.parametrize("loss_scale", [None, "dynamic"])
def test_callbacks_set_the_learning_rate(install, loss_scale):
    install()
    with npu.session():
        model = network()
        npu.compile(model, keras.optimizers.Adam(0.01), "mse", loss_scale=loss_scale)
        plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
        batches = (batch for epoch in range(3) for batch in Batches().epoch(epoch))
        model.fit(batches, steps_per_epoch=2, epochs=3, callbacks=[plateau] + npu.callbacks(), verbose=0)
        np.testing.assert_allclose(keras.backend.get_value(model.optimizer.lr), 0.0025)


def test_a_resumed_run_equals_one_that_was_not_stopped(install, tmp_path):
    install()
    weights = {}
    for name, stops in (("whole", (2,)), ("resumed", (1, 2))):
        for stop in stops:
            with npu.session():
                model = network()
                npu.compile(model, adam(0.01, accumulate=2), "mse", loss_scale="dynamic")
                training.fit(model, Batches(), stop, str(tmp_path / name), resume=stop == 2 and name == "resumed", verbose=0)
                weights[name] = model.get_weights()
    assert all(np.array_equal(value, other) for value, other in zip(weights["whole"], weights["resumed"]))


def test_batch_normalization_is_in_the_form_that_npus_have(install):
    install()
    with npu.session():
        found = types(train(normalize=True, epochs=1)[1].outputs[0].graph)
    assert {"FusedBatchNorm", "FusedBatchNormGrad"} <= found and not [name for name in found if name.endswith("V3")]


def test_refuses_batch_normalization_from_outside_of_the_session(install):
    install()
    model = network(normalize=True)
    with npu.session(), pytest.raises(ValueError, match="FusedBatchNormV3 of `normalization/.* inside of `npu.session`"):
        npu.compile(model, "adam", "mse")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"loss_scale": 0.5}, "`loss_scale` must be None, 'dynamic' or a number of at least 1. Received: 0.5"),
        ({"loss_scale": True}, "Received: True"),
        ({"optimizer": "adma"}, "`optimizer` must be one of Keras or tf.train. Received: 'adma'"),
        ({"optimizer": adam, "loss_scale": 2}, "must not scale the loss beside"),
        ({"optimizer": "clip", "loss_scale": 2}, "must not clip gradients with a loss scale"),
    ],
)
def test_refuses_optimizers_and_loss_scales(install, options, message):
    install()
    if options.get("optimizer") is adam:
        options = dict(options, optimizer=adam(loss_scale=8))
    if options.get("optimizer") == "clip":
        options = dict(options, optimizer=keras.optimizers.Adam(clipnorm=1.0))
    with npu.session(), pytest.raises(ValueError, match=message):
        npu.compile(network(), **dict({"optimizer": "adam", "loss": "mse"}, **options))


def test_refuses_a_layer_whose_complex_numbers_would_reach_the_npu(install):
    import tensorflow as tf

    def magnitude(x):
        return tf.abs(tf.signal.fft2d(tf.complex(x[..., 0], x[..., 1])))

    install()
    with npu.session():
        image = keras.Input((SIZE, SIZE, 2), name="image")
        model = keras.Model(image, keras.layers.Lambda(magnitude, name="naive")(image))
        with pytest.raises(ValueError, match="of layer naive touches complex numbers and is not marked"):
            npu.compile(model, "adam", "mse")


def test_refuses_to_compile_without_a_session():
    with pytest.raises(ValueError, match=r"`npu.compile` must be called inside of `with npu.session"):
        npu.compile(network(), "adam", "mse")


def test_refuses_a_model_of_another_graph(install):
    install()
    with npu.session():
        keras.backend.clear_session()
        with pytest.raises(ValueError, match="`model` must be built in the graph of the open session.*npu.clear_session"):
            npu.compile(network(), "adam", "mse")


def test_refuses_unknown_sizes(install):
    install()
    with npu.session():
        image = keras.Input((None, SIZE, 2), name="image")
        model = keras.Model(image, keras.layers.Conv2D(2, 3, padding="same")(image))
        with pytest.raises(ValueError, match=r"known sizes.*input `image` \(None, None, 8, 2\)"):
            npu.compile(model, "adam", "mse")


def test_refuses_ranks_without_npu_bridge(two_ranks):
    with pytest.warns(UserWarning), npu.session():
        with pytest.raises(ValueError, match="`RANK_SIZE` must be 1 without `npu_bridge`.*Received: 2"):
            npu.compile(network(), "adam", "mse")


@pytest.mark.parametrize("in_validation", [False, True])
def test_refuses_a_batch_of_another_size(install, tmp_path, in_validation):
    install()
    short = Batches(3, remainder=True)
    with npu.session():
        model = network()
        npu.compile(model, "adam", "mse")
        data = (Batches(), short) if in_validation else (short, None)
        with pytest.raises(ValueError, match="Batches must be of one size.*1 images in batch 3 of .*, 2 before"):
            training.fit(model, data[0], 1, str(tmp_path / "run"), validation=data[1], callbacks=npu.callbacks(), verbose=0)


def test_whole_batches_leave_out_the_smaller_last_one():
    batches = npu.whole_batches(Batches(3, remainder=True))
    assert len(batches) == len(list(batches.epoch(0))) == 2
    assert len(npu.whole_batches(Batches(3))) == 3


@pytest.mark.parametrize(
    "order, message", [((2, 0, 1), "2 images in batch 2 of 3, 1"), ((0, 2, 1), "1 images in batch 2 of 3, 2")]
)
def test_whole_batches_refuse_other_sizes(order, message):
    class Uneven(Batches):
        def epoch(self, index):
            batches = list(super().epoch(index))
            return (batches[number] for number in order)

    with pytest.raises(ValueError, match=message):
        list(npu.whole_batches(Uneven(3, remainder=True)).epoch(0))
