"""VoxelMorph: learned registration of MR volumes."""

from zoo.voxelmorph.network import voxelmorph, voxelmorph_diffeomorphic
from zoo.voxelmorph.objective import compile_registration, field_shape
from zoo.voxelmorph.published import load_published
from zoo.voxelmorph.refinement import refine

__all__ = [
    "compile_registration",
    "field_shape",
    "load_published",
    "refine",
    "voxelmorph",
    "voxelmorph_diffeomorphic",
]
