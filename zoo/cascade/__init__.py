"""Deep-cascade MR reconstruction."""

from zoo.cascade.crnn import crnn_mri
from zoo.cascade.dynamic import dynamic_cascade
from zoo.cascade.network import deep_cascade
from zoo.cascade.published import convert_published, load_published

__all__ = ["convert_published", "crnn_mri", "deep_cascade", "dynamic_cascade", "load_published"]
