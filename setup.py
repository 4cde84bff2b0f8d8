"""Installs mrlayers: `pip install mrlayers[tensorflow]`, or `[jax]`, `[torch]`; on Python 3.7 with TensorFlow 1.15.0."""

import io
import os
import sys

if sys.version_info[:2] != (3, 7) and sys.version_info < (3, 10):
    sys.exit(
        "mrlayers runs on Python 3.10 and later (Keras 3) and on Python 3.7 (TensorFlow 1.15), not on Python %d.%d: "
        "install Python 3.11, make a virtual environment with it, and install mrlayers there." % sys.version_info[:2]
    )

from setuptools import find_packages, setup

TF1 = '; python_version < "3.8"'  # this line and TF1_REQUIRES die with TensorFlow 1.15
KERAS3 = '; python_version >= "3.10"'

TF1_REQUIRES = [
    "tensorflow==1.15.0",  # the last one that Ascend's npu_bridge supports; dies with TensorFlow 1.15
    "numpy<1.20",  # from 1.20 on tf.meshgrid fails on symbolic shapes; dies with TensorFlow 1.15
    "protobuf<3.21",  # from 4 (3.21) on importing TensorFlow fails; dies with TensorFlow 1.15
    "h5py<3",  # from 3 on loading weights fails; dies with TensorFlow 1.15
    "scipy",
    "nibabel",
    "neurite==0.2",  # the last one on TensorFlow; dies with TensorFlow 1.15
    "scikit-image",
    "pillow",
]
KERAS3_REQUIRES = ["keras>=3.8", "numpy", "scipy", "h5py", "nibabel", "scikit-image", "pillow"]
EXTRAS = {  # on Python 3.7 the first five add nothing
    "tensorflow": ["tensorflow>=2.16" + KERAS3],
    "jax": ["jax" + KERAS3],
    "torch": ["torch>=2.1" + KERAS3],
    "neurite": ["neurite>=0.3" + KERAS3],
    "onnx": ["onnx" + KERAS3, "onnxscript" + KERAS3],
    "plots": ["matplotlib", "tensorboard"],
    "fetch": ["pooch", "tqdm"],
    "test": [
        "pytest>=7",
        "pooch",
        "SimpleITK<2.3" + TF1,  # which the written warps are held against
        "SimpleITK" + KERAS3,
        "onnxruntime" + KERAS3,
    ],
}

here = os.path.dirname(os.path.abspath(__file__))
readme = os.path.join(here, "README.md")

setup(
    name="mrlayers",
    version="0.1.0",
    description="Reusable Keras layers for MR imaging, on TensorFlow 1.15 and on Keras 3 (TensorFlow, JAX, PyTorch)",
    long_description=io.open(readme, encoding="utf-8").read() if os.path.exists(readme) else "",
    long_description_content_type="text/markdown",
    author="the mrlayers team",
    license="Apache-2.0",
    packages=find_packages(here, include=["mrlayers", "mrlayers.*", "zoo", "zoo.*"]),
    python_requires=">=3.7, !=3.8.*, !=3.9.*",  # becomes ">=3.10" when TensorFlow 1.15 dies
    install_requires=[name + TF1 for name in TF1_REQUIRES] + [name + KERAS3 for name in KERAS3_REQUIRES],
    extras_require=EXTRAS,
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.7",  # dies with TensorFlow 1.15
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
)
