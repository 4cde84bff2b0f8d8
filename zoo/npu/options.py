"""The options of the TF Adapter in a table with types, and the session configuration that is made of them."""

import difflib
import json
import os
import warnings

from mrlayers.checks import refusal, require_choice
from zoo.files import written_whole
from zoo.npu import bridge
from zoo.npu.pinning import pinned

PRECISION_MODES = (
    "allow_mix_precision",
    "allow_mix_precision_fp16",
    "allow_mix_precision_bf16",
    "allow_fp32_to_fp16",
    "allow_fp32_to_bf16",
    "force_fp16",
    "force_fp32",
    "cube_fp16in_fp32out",
    "must_keep_origin_dtype",
)
CHOICES = {
    "precision_mode": PRECISION_MODES,
    "precision_mode_v2": ("fp16", "origin", "cube_fp16in_fp32out", "mixed_float16", "mixed_bfloat16"),
    "graph_run_mode": (0, 1),
    "dynamic_graph_execute_mode": ("dynamic_execute", "lazy_recompile"),
    "op_compiler_cache_mode": ("enable", "force", "disable"),
    "buffer_optimize": ("l2_optimize", "off_optimize"),
    "variable_placement": ("Device", "Host"),
    "jit_compile": ("auto", "true", "false"),
}
# The adapter ignores a key that it does not know, and reads a value of another type as that type's default, both without a
# word. The year is that of the first adapter known to have the key (2021: February; 2023: r1.15). The type `object` stands for
# keys whose type no source tells: what is given goes into the field of its own type.
_TABLE = (
    (
        2021,
        bool,
        "use_off_line mix_compile_mode enable_data_pre_proc variable_format_optimize hcom_parallel hcom_multi_mode "
        "is_tailing_optimization enable_dump enable_dump_debug profiling_mode dynamic_input enable_compress_weight",
    ),
    (
        2021,
        int,
        "iterations_per_loop graph_run_mode op_debug_level enable_exception_dump enable_small_channel dynamic_node_type "
        "session_device_id local_rank_id task_index",
    ),
    (
        2021,
        str,
        "precision_mode graph_memory_max_size variable_memory_max_size stream_max_parallel_num buffer_optimize "
        "fusion_switch_file enable_scope_fusion_passes op_select_implmode optypelist_for_implmode dump_path dump_step dump_mode "
        "dump_debug_mode profiling_options input_shape dynamic_dims dynamic_graph_execute_mode dynamic_inputs_shape_range "
        "compress_weight_conf op_compiler_cache_mode op_compiler_cache_dir debug_dir work_path local_device_list job "
        "auto_tune_mode mstune_mode",
    ),
    (2023, bool, "in_out_pair_flag external_weight frozen_variable lower_functional_ops enable_graph_parallel"),
    (
        2023,
        int,
        "deterministic hccl_timeout static_memory_policy atomic_clean_policy topo_sorting_mode op_execute_timeout op_wait_timeout "
        "graph_exec_timeout stream_sync_timeout event_sync_timeout",
    ),
    (
        2023,
        str,
        "in_out_pair precision_mode_v2 modify_mixlist customize_dtypes op_precision_mode HCCL_algorithm dump_data dump_layer "
        "op_debug_config aoe_mode aoe_config_file graph_compiler_cache_dir jit_compile variable_placement "
        "memory_optimization_policy insert_op_file soc_config device_type distribute_config graph_parallel_option_path graph_slice "
        "resource_config_path es_cluster_config ac_parallel_enable experimental_accelerate_train_mode "
        "experimental_logical_device_cluster_deploy_mode experimental_logical_device_id experimental_model_deploy_mode "
        "experimental_model_deploy_devicelist",
    ),
    (2026, bool, "oo_constant_folding"),
    (2026, int, "export_compile_stat graph_max_parallel_model_num input_fusion_size"),
    (2026, str, "oo_level shape_generalization_mode"),
    (
        2026,
        object,
        "aicore_num all_tensor_not_empty auto_multistream_parallel_mode compile_dynamic_mode compile_hybrid_mode input_batch_cpy "
        "optimization_switch quant_dumpable variable_use_1g_huge_page",
    ),
)
KEYS = {name: (kind, year) for year, kind, names in _TABLE for name in names.split()}
FIELDS = {bool: "b", int: "i", str: "s"}
ARGUMENTS = ("mix_compile", "precision_mode", "modify_mixlist", "dump", "profiling")


def session_config(mix_compile=None, precision_mode=None, modify_mixlist=None, dump=None, profiling=None, **options):
    """A `tf.ConfigProto` for a session on an NPU; TensorFlow without `npu_bridge` runs it on the CPU and ignores these options.

    Args:
        mix_compile: whether operations may run on the host beside the NPU. `None`: when the default graph, as it is now, holds
            operations that are pinned to the host. `npu.compile` asks again when the whole training step is in the graph.
        precision_mode: `None` for the default of the chip, or one of `options.PRECISION_MODES`. `"force_fp32"` still prefers
            products of half precision; only `"must_keep_origin_dtype"` does not.
        modify_mixlist: a JSON file of `write_mixlist`; needs a precision mode with mix in its name.
        dump: a folder for what goes in and out of the operations.
        profiling: a folder for the times of the operations.
        **options: other keys of the adapter's parameter map, `options.KEYS`, each of its own type.

    Raises:
        ValueError: an unknown option (with the nearest valid name), a value of another type, options that exclude each other.
    """
    tf = bridge.tensorflow("npu.session_config")
    if mix_compile is None:
        mix_compile = bool(pinned(tf.compat.v1.get_default_graph()))
    values = parameters(mix_compile, precision_mode, modify_mixlist, dump, profiling, **options)
    if bridge.is_available():
        _warn_of_newer(values)
    config = tf.compat.v1.ConfigProto(allow_soft_placement=True)
    rewriting = config.graph_options.rewrite_options
    rewriting.remapping = rewriting.OFF  # which would fuse what the adapter takes apart
    # Published scripts assign OFF here too, which in this field means MANUAL: the pass would still run, and it is known to
    # crash.
    rewriting.memory_optimization = rewriting.NO_MEM_OPT
    optimizer = rewriting.custom_optimizers.add()
    optimizer.name = "NpuOptimizer"
    for name, value in values.items():
        encoded = value.encode() if isinstance(value, str) else value
        setattr(optimizer.parameter_map[name], FIELDS[type(value)], encoded)
    return config


def parameters(mix_compile, precision_mode=None, modify_mixlist=None, dump=None, profiling=None, **options):
    """The parameter map of `session_config` as a dict from names to values of their own type, checked."""
    for name in options:
        if name not in KEYS or name == "mix_compile_mode":
            names = sorted(set(KEYS) - {"mix_compile_mode"} | set(ARGUMENTS))
            nearest = difflib.get_close_matches(name, names, 1, 0.4)
            advice = "`%s`" % nearest[0] if nearest else "one of `zoo.npu.options.KEYS`"
            raise refusal("`options` must be known to the adapter, which ignores others without a word", "`%s`" % name, advice)
    values = dict({"use_off_line": True, "mix_compile_mode": mix_compile}, **options)
    values.update(
        (name, value)
        for name, value in (("precision_mode", precision_mode), ("modify_mixlist", modify_mixlist))
        if value is not None
    )
    if dump is not None:
        values.update(enable_dump=True, dump_path=dump)
    if profiling is not None:
        trace = {"output": profiling, "training_trace": "on", "task_trace": "on"}
        values.update(profiling_mode=True, profiling_options=json.dumps(trace))
    for name, value in values.items():
        _require_type(name, value)
        if name in CHOICES:
            require_choice(name, value, CHOICES[name])
    _refuse_combinations(values)
    return values


def write_mixlist(path, black=("MatMul", "BatchMatMul", "BatchMatMulV2"), white=()):
    """Writes the JSON file that `modify_mixlist` reads, and returns `path`.

    Args:
        path: of the file.
        black: types of operations that keep float32. The products are here by default, which the Fourier transform of the
            engine `"matmul"` is made of, those of its gradients included; convolutions are not among them.
        white: types of operations that are computed in half precision.

    Raises:
        ValueError: a type in both.
    """
    both = sorted(set(black) & set(white))
    if both:
        raise refusal("`black` and `white` must have no type in common", ", ".join(both), "to leave it out of one of them")
    lists = {"black-list": {"to-add": list(black)}, "white-list": {"to-add": list(white)}}
    with written_whole(path) as temporary, open(temporary, "w") as file:
        json.dump({name: content for name, content in lists.items() if content["to-add"]}, file, indent=1)
    return path


def _require_type(name, value):
    kind = KEYS[name][0]
    kinds = tuple(FIELDS) if kind is object else (kind,)
    if type(value) not in kinds:
        expected = "`%s` must be of type %s" % (name, " or ".join(each.__name__ for each in kinds))
        example = {bool: "True", int: "1", str: "'...'"}[kinds[0]]
        raise refusal(expected, repr(value), "%s=%s" % (name, example))


def _refuse_combinations(values):
    """What the adapter refuses later, or not at all, in words."""
    mixed = values["mix_compile_mode"]
    if mixed and values.get("iterations_per_loop", 1) != 1:
        expected = "`iterations_per_loop` must be 1 in mixed compiling, where every step returns to the host"
        raise refusal(expected, values["iterations_per_loop"], "1, or `engine='matmul'` without pinned operations")
    for name in ("input_shape", "dynamic_dims"):
        if mixed and name in values:
            expected = "`%s` must be left out in mixed compiling, which has no shape profiles" % name
            raise refusal(expected, repr(values[name]), "fixed shapes, or `engine='matmul'` without pinned operations")
    if "in_out_pair" in values and not mixed:
        expected = "`in_out_pair` must go with mixed compiling"
        raise refusal(expected, "mix_compile=%r" % mixed, "mix_compile=True")
    if "precision_mode" in values and "precision_mode_v2" in values:
        received = "%r and %r" % (values["precision_mode"], values["precision_mode_v2"])
        raise refusal("`precision_mode` and `precision_mode_v2` must not both be given", received, "the first")
    if "modify_mixlist" in values:
        mode = values.get("precision_mode", values.get("precision_mode_v2"))
        if "mix" not in str(mode):
            expected = "`modify_mixlist` must go with a mixed precision mode"
            raise refusal(expected, "precision_mode=%r" % mode, "precision_mode='allow_mix_precision'")
        if not os.path.isfile(values["modify_mixlist"]):
            expected = "`modify_mixlist` must be a JSON file"
            raise refusal(expected, "%s, which is no file" % values["modify_mixlist"], "npu.write_mixlist(path)")
    dumps = [name for name in ("enable_dump", "enable_dump_debug") if values.get(name)]
    if len(dumps) == 2:
        raise refusal("`enable_dump` and `enable_dump_debug` must not both be on", "both", "one run with each")
    if dumps and not values.get("dump_path"):
        raise refusal("`%s` must go with a folder" % dumps[0], "no `dump_path`", "dump_path='dump'")


def _warn_of_newer(values):
    year = bridge.year()
    for name in values:
        if KEYS[name][1] > year:
            warnings.warn(
                "`%s` is known from the adapters of %d on; this one looks like %d, and may ignore it."
                % (name, KEYS[name][1], year)
            )
