"""What a frozen graph holds, and the command that converts it for an Ascend chip."""

import os
import re
import shlex
from collections import Counter, namedtuple

from mrlayers.checks import refusal, require_choice
from zoo.files import reader

# The list of the converter itself comes with CANN, which has not been at hand. This one is ours: the operators that the networks of
# this package are frozen to. Looked up by name in what is public of CANN: the operator prototypes of its graph IR (headers
# `third_party/fwkacllib/inc/ops` of mindspore-ai/akg, and CANN's operator specifications, which quote them) and registrations of its
# TensorFlow parser; but for Add, Const, Conv2D, Identity, Mul, Placeholder, Relu, Reshape, Softmax and Sub, which every published
# network has. FusedBatchNorm stands there as BatchNorm, Mean as ReduceMean, Conv3DBackpropInputV2 and ResizeNearestNeighbor under
# names with and without V2. That there is a prototype does not say on which chip and in which precision there is a kernel.
OPERATORS = frozenset(
    """
    Add BiasAdd Cast ConcatV2 Const Conv2D Conv2DBackpropInput Conv3D Conv3DBackpropInputV2 Exp ExpandDims Fill Floor
    FusedBatchNorm GatherV2 Greater Identity LeakyRelu MatMul MaxPool MaxPool3D Maximum Mean Minimum Mul Pack Pad Placeholder
    RealDiv Relu Reshape ResizeNearestNeighbor SelectV2 Softmax Softplus Split Sqrt Square StridedSlice Sub Tile Transpose Unpack
    """.split()
)
PRECISION_MODES = ("allow_fp32_to_fp16", "must_keep_origin_dtype", "allow_mix_precision", "force_fp32", "force_fp16")

Description = namedtuple("Description", "inputs outputs operators unlisted complex_nodes")
Description.__doc__ = """`inputs` and `outputs`: lists of `(name, shape, dtype)`. `operators`: how often each occurs. `unlisted`: those
that are not in `OPERATORS`. `complex_nodes`: names of the nodes that touch a complex tensor."""


def inspect(path):
    """What a frozen graph holds, as a `Description`; needs TensorFlow, of any version.

    Args:
        path: `.pb` of `freeze`, or any other frozen graph.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file of another kind.
    """
    tools = reader("zoo.npu.frozen", "tensorflow", path)
    definition = tools.read(path)
    operators = Counter(node.op for node in definition.node)
    unlisted = sorted(set(operators) - OPERATORS)
    return Description(*tools.signature(definition) + (operators, unlisted, tools.complex_nodes(definition)))


def describe(description):
    """A `Description` as text."""
    lines = []
    for title, tensors in (("inputs", description.inputs), ("outputs", description.outputs)):
        lines.append(title)
        lines += ["  %-24s%s %s" % (name, dtype, _sizes(shape, "x")) for name, shape, dtype in tensors]
    lines.append("operators")
    lines += ["  %-24s%d" % pair for pair in sorted(description.operators.items(), key=lambda pair: (-pair[1], pair[0]))]
    lines.append("complex: " + (", ".join(description.complex_nodes) or "none"))
    lines.append("not in our list of the converter's operators: " + (", ".join(description.unlisted) or "none"))
    return "\n".join(lines)


def atc_command(path, soc_version, output=None, precision_mode="allow_fp32_to_fp16", keep_dtype=None):
    """The command that converts a frozen graph to an `.om` file, as one line for a shell. None has been run here.

    The converter's own default, `force_fp16`, computes all in half precision. `allow_fp32_to_fp16`, as the published scripts have it,
    still lets matrix products and convolutions take half-precision inputs; a round trip of the Fourier transform then has
    about 70 dB instead of 130. `keep_dtype` names a file with the one line `OpType::MatMul`, by which the transforms are kept
    in float32 where the chip can; `must_keep_origin_dtype` keeps everything, and may take the chip's slow cores for it.

    Args:
        path: the frozen graph.
        soc_version: of the chip: `Ascend310`, `Ascend310P3`, `Ascend910A` ...
        output: name of the `.om` without its ending. `None`: that of the graph.
        precision_mode: one of `PRECISION_MODES`.
        keep_dtype: a file for the converter's `--keep_dtype`, which has no effect with `must_keep_origin_dtype`.

    Raises:
        ValueError: no name of a chip, an unknown precision mode, inputs of unknown size or complex ones, or no frozen graph.
    """
    if not re.match(r"Ascend\d{3}\w*$", str(soc_version)):
        raise refusal(
            "`soc_version` must be the name of an Ascend chip", repr(soc_version), "Ascend310, Ascend310P3 or Ascend910A"
        )
    require_choice("precision_mode", precision_mode, PRECISION_MODES)
    description = inspect(path)
    for name, shape, dtype in description.inputs:
        if None in shape or "complex" in dtype:
            advice = "`zoo.export.freeze`, which fixes the batch and all sizes"
            raise refusal("`path` must have real inputs of known size", "%s with %s %s" % (name, dtype, shape), advice)
    shapes = ";".join("%s:%s" % (name, _sizes(shape, ",")) for name, shape, _ in description.inputs)
    options = [("model", path), ("framework", "3"), ("input_shape", shapes)]
    if all(len(shape) <= 4 for _, shape, _ in description.inputs):
        options.append(("input_format", "NHWC"))
    options += [
        ("out_nodes", ";".join(name + ":0" for name, _, _ in description.outputs)),
        ("output", output or os.path.splitext(path)[0]),
        ("soc_version", soc_version),
        ("precision_mode", precision_mode),
    ]
    if keep_dtype:
        options.append(("keep_dtype", keep_dtype))
    return " ".join(["atc"] + ["--%s=%s" % (name, shlex.quote(value)) for name, value in options])


def _sizes(shape, between):
    return between.join("?" if size is None else str(size) for size in shape)
