"""The session of Keras with the options of the NPU: set in time, kept by `clear_session`, closed at the end."""

import pytest

from mrlayers.backend import RUNTIME, keras
from zoo import npu
from zoo.npu import sessions

pytestmark = pytest.mark.skipif(RUNTIME != "tensorflow1", reason="npu_bridge supports TensorFlow 1.15 only")


def network():
    image = keras.Input((3,), name="image")
    return keras.Model(image, keras.layers.Dense(2, name="dense")(image))


def precision():
    """The precision mode of the session that Keras uses; `None` where it has no options."""
    optimizers = keras.backend.get_session()._config.graph_options.rewrite_options.custom_optimizers
    return optimizers[0].parameter_map["precision_mode"].s.decode() if optimizers else None


def test_keras_trains_in_the_session_until_it_is_closed(install):
    install()
    with npu.session(precision_mode="force_fp16"):
        inside = keras.backend.get_session()
        assert network().get_weights() and keras.backend.get_session() is inside
        assert precision() == "force_fp16"
    with pytest.raises(RuntimeError, match="closed"):
        inside.run(inside.graph.get_operations()[0])
    assert precision() is None
    with npu.session():  # nothing of the first is left
        assert len(network().get_weights()) == 2


def test_an_error_closes_it_too(install):
    install()
    with pytest.raises(KeyError), npu.session():
        raise KeyError
    with npu.session():
        pass


def test_clear_session_of_keras_loses_the_options_and_ours_does_not(install):
    install()
    with npu.session(precision_mode="force_fp16"):
        network().get_weights()
        npu.clear_session()
        assert precision() == "force_fp16"
        assert network().layers[-1].name == "dense" and len(network().get_weights()) == 2
        keras.backend.clear_session()
        assert precision() is None
        npu.clear_session()
        assert precision() == "force_fp16"


def test_refuses_a_session_that_comes_too_late(install):
    install()
    model = network()
    with npu.session():  # a model without values is in time
        assert len(model.get_weights()) == 2
    model = network()
    model.get_weights()
    message = r"before any weight has a value, .* Received: a Keras graph with 2 initialized variables, `dense/kernel:0` first"
    with pytest.raises(ValueError, match=message), npu.session():
        pass


def test_refuses_a_session_in_a_session(install):
    install()
    with npu.session(), pytest.raises(ValueError, match="must not be inside of another. .* Try `npu.clear_session"):
        with npu.session():
            pass


def test_refuses_to_clear_without_a_session():
    with pytest.raises(ValueError, match="`npu.clear_session` must be called inside of"):
        npu.clear_session()


def test_wrong_options_leave_no_session_behind(install):
    install()
    with pytest.raises(ValueError, match="`precision_mode` must be one of"), npu.session(precision_mode="half"):
        pass
    with pytest.raises(ValueError, match="no open session"):
        sessions.current("a test")


def test_ranks_find_each_other_first_and_part_last(install, two_ranks):
    calls = install()
    with npu.session(precision_mode="force_fp16"):
        (initialize,) = calls
        assert initialize[0] == "init_resource"
        assert initialize[1].graph_options.rewrite_options.custom_optimizers[0].name == "NpuOptimizer"
        assert "NPUShutdown" not in [operation.name for operation in keras.backend.get_session().graph.get_operations()]
        npu.clear_session()
    assert [call[0] for call in calls] == ["init_resource", "shutdown_resource", "close_session"]


def test_one_rank_and_old_adapters_need_no_resources(install, two_ranks, monkeypatch):
    of_2021 = install(2021)
    with npu.session():
        pass
    monkeypatch.setenv("RANK_SIZE", "1")
    monkeypatch.setenv("RANK_ID", "0")
    of_2026 = install(2026)
    with npu.session():
        pass
    assert of_2021 == of_2026 == []
