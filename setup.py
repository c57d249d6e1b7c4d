"""Builds the C kernels; all other packaging metadata is in pyproject.toml."""

import sys

from setuptools import Extension, setup

# PyTorch has loaded libgomp by the time the kernels are imported; they share its threads.
OPENMP = ["-fopenmp"] if sys.platform == "linux" else []
# The kernels call no function of the C library; auditwheel wants to see which one they run with.
LIBC = ["-Wl,--no-as-needed", "-lc"] if sys.platform == "linux" else []

# Optional: without a compiler the package installs all the same, and PyTorch does their work.
KERNELS = Extension(
    "audiocodec.engine._kernels",
    ["audiocodec/engine/_kernels.c"],
    define_macros=[("Py_LIMITED_API", "0x030B0000")],
    py_limited_api=True,
    extra_compile_args=["-O3", "-ffp-contract=fast", "-fno-math-errno", *OPENMP],
    extra_link_args=[*OPENMP, *LIBC],
    optional=True,
)

setup(ext_modules=[KERNELS], options={"bdist_wheel": {"py_limited_api": "cp311"}})
