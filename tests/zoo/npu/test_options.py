"""The options of the adapter: types and fields, what excludes what, the file of precisions, and TensorFlow running with them."""

import json

import pytest

from mrlayers.backend import RUNTIME, keras
from zoo import npu
from zoo.npu.options import KEYS, parameters

tensorflow1 = pytest.mark.skipif(RUNTIME != "tensorflow1", reason="npu_bridge supports TensorFlow 1.15 only")


@pytest.fixture
def mixlist(tmp_path):
    return npu.write_mixlist(str(tmp_path / "mixlist.json"))


def parameter_map(config):
    (optimizer,) = config.graph_options.rewrite_options.custom_optimizers
    assert optimizer.name == "NpuOptimizer"
    return optimizer.parameter_map


@tensorflow1
def test_values_stand_in_the_field_of_their_type(mixlist):
    options = {"session_device_id": 3, "jit_compile": "false", "hcom_parallel": False, "aicore_num": "24|48"}
    found = parameter_map(npu.session_config(True, "allow_mix_precision", mixlist, "dumps", "times", **options))
    fields = {name: (value.WhichOneof("value"), getattr(value, value.WhichOneof("value"))) for name, value in found.items()}
    trace = json.loads(fields.pop("profiling_options")[1].decode())
    assert trace["output"] == "times" and trace["task_trace"] == "on"
    assert fields == {
        "use_off_line": ("b", True),
        "mix_compile_mode": ("b", True),
        "precision_mode": ("s", b"allow_mix_precision"),
        "modify_mixlist": ("s", mixlist.encode()),
        "enable_dump": ("b", True),
        "dump_path": ("s", b"dumps"),
        "profiling_mode": ("b", True),
        "session_device_id": ("i", 3),
        "jit_compile": ("s", b"false"),
        "hcom_parallel": ("b", False),
        "aicore_num": ("s", b"24|48"),
    }


@tensorflow1
def test_passes_of_tensorflow_are_truly_off():
    rewriting = npu.session_config().graph_options.rewrite_options
    assert rewriting.remapping == rewriting.OFF
    assert rewriting.memory_optimization == rewriting.NO_MEM_OPT != rewriting.OFF
    assert npu.session_config().allow_soft_placement


@tensorflow1
def test_mixed_compiling_follows_the_graph():
    import tensorflow as tf
    from tensorflow.core.framework import attr_value_pb2

    assert not parameter_map(npu.session_config())["mix_compile_mode"].b
    graph = tf.compat.v1.get_default_graph()
    with graph._attr_scope({"_without_npu_compile": attr_value_pb2.AttrValue(b=True)}):
        tf.constant(1.0)
    assert parameter_map(npu.session_config())["mix_compile_mode"].b
    assert not parameter_map(npu.session_config(False))["mix_compile_mode"].b
    with pytest.raises(ValueError, match="`iterations_per_loop` must be 1"):
        npu.session_config(iterations_per_loop=100)


@tensorflow1
def test_tensorflow_runs_with_the_options_on_the_cpu():
    import tensorflow as tf

    with tf.compat.v1.Session(config=npu.session_config(True, "force_fp16")) as session:
        assert session.run(tf.constant(1.5) * 2) == 3


@tensorflow1
def test_warns_of_options_that_are_newer_than_the_adapter(install):
    install(2021)
    with pytest.warns(UserWarning, match="`deterministic` is known from the adapters of 2023 on; this one looks like 2021"):
        npu.session_config(deterministic=1)


def test_table_has_the_keys_that_came_in_2026():
    assert (
        sorted(name for name, (_, year) in KEYS.items() if year == 2026)
        == (
            "aicore_num all_tensor_not_empty auto_multistream_parallel_mode compile_dynamic_mode compile_hybrid_mode "
            "export_compile_stat graph_max_parallel_model_num input_batch_cpy input_fusion_size oo_constant_folding oo_level "
            "optimization_switch quant_dumpable shape_generalization_mode variable_use_1g_huge_page"
        ).split()
    )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"precision_mod": "force_fp16"}, "Received: `precision_mod`. Try `precision_mode`"),
        ({"mix_compile_mode": True}, "Received: `mix_compile_mode`. Try `mix_compile`"),
        ({"zzz": True}, "Try one of `zoo.npu.options.KEYS`"),
        ({"precision_mode": "fp16"}, "`precision_mode` must be one of 'allow_mix_precision', .* Received: 'fp16'"),
        ({"precision_mode_v2": "force_fp16"}, "`precision_mode_v2` must be one of 'fp16', .* Received: 'force_fp16'"),
        ({"mix_compile": 1}, "`mix_compile_mode` must be of type bool. Received: 1. Try mix_compile_mode=True"),
        ({"jit_compile": True}, "`jit_compile` must be of type str. Received: True"),
        ({"session_device_id": True}, "`session_device_id` must be of type int. Received: True"),
        ({"dump": 1}, "`dump_path` must be of type str. Received: 1"),
        ({"mix_compile": True, "iterations_per_loop": 10}, "`iterations_per_loop` must be 1 in mixed compiling.*Received: 10"),
        ({"mix_compile": True, "input_shape": "x:1,2"}, "`input_shape` must be left out in mixed compiling"),
        ({"mix_compile": True, "dynamic_dims": "1;2"}, "`dynamic_dims` must be left out in mixed compiling"),
        ({"in_out_pair": "[]"}, "`in_out_pair` must go with mixed compiling"),
        (
            {"precision_mode": "force_fp16", "precision_mode_v2": "fp16"},
            "must not both be given. Received: 'force_fp16' and 'fp16'",
        ),
        ({"modify_mixlist": "x.json"}, "must go with a mixed precision mode. Received: precision_mode=None"),
        ({"modify_mixlist": "x.json", "precision_mode": "allow_mix_precision"}, "Received: x.json, which is no file"),
        ({"dump": "a", "enable_dump_debug": True}, "`enable_dump` and `enable_dump_debug` must not both be on"),
        ({"enable_dump_debug": True}, "`enable_dump_debug` must go with a folder. Received: no `dump_path`"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        parameters(**dict({"mix_compile": False}, **options))


def test_mixlist_goes_with_both_ways_to_say_mixed(mixlist):
    for options in ({"precision_mode": "allow_mix_precision_bf16"}, {"precision_mode_v2": "mixed_float16"}):
        assert parameters(False, modify_mixlist=mixlist, **options)["modify_mixlist"] == mixlist


def test_mixlist_protects_products_and_what_is_asked_for(tmp_path):
    path = str(tmp_path / "deep" / "mixlist.json")
    npu.write_mixlist(path, black=("MatMul", "ReduceSumD"), white=("Conv2D",))
    with open(path) as file:
        assert json.load(file) == {"black-list": {"to-add": ["MatMul", "ReduceSumD"]}, "white-list": {"to-add": ["Conv2D"]}}
    with open(npu.write_mixlist(path)) as file:
        assert json.load(file) == {"black-list": {"to-add": ["MatMul", "BatchMatMul", "BatchMatMulV2"]}}
    with pytest.raises(ValueError, match="`black` and `white` must have no type in common. Received: MatMul"):
        npu.write_mixlist(path, white=("MatMul",))


@tensorflow1
def test_the_session_of_keras_without_ours_has_no_options():
    assert not keras.backend.get_session()._config.graph_options.rewrite_options.custom_optimizers
