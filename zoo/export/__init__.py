"""Trained networks for machines without Keras: frozen graphs, the files that go with them, SavedModel and ONNX."""

from zoo.export.binary import from_bin, to_bin
from zoo.export.converter import atc_command, describe, inspect
from zoo.export.formats import freeze, onnx, savedmodel
from zoo.export.precision import compare, report, write_csv

__all__ = [
    "atc_command",
    "compare",
    "describe",
    "freeze",
    "from_bin",
    "inspect",
    "onnx",
    "report",
    "savedmodel",
    "to_bin",
    "write_csv",
]
