"""Deep-cascade MR reconstruction."""

from zoo.cascade.network import deep_cascade
from zoo.cascade.published import load_published

__all__ = ["deep_cascade", "load_published"]
