"""Packaging of audiocodec; settings of the tools are in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup

TEST = [
    "pytest>=8",
    "hypothesis>=6.100",
    "ruff>=0.12",
    "mypy>=1.11",
    "import-linter>=2.0",
    "playwright>=1.45",
    "triton>=3; sys_platform == 'linux' and platform_machine == 'x86_64'",  # its interpreter
]
TRAIN = ["tensorboard>=2.14"]
EVAL = [
    "pystoi>=0.4.1",
    "pesq>=0.0.4",
    "visqol-python[accel,lattice]>=3.8",
    "scipy>=1.10",
    "pyarrow>=16",
    "matplotlib>=3.8",
]
PEERS = ["transformers>=5", "snac>=1.2"]  # whose codecs can be measured beside ours
EXPORT = ["onnx>=1.15", "onnxruntime>=1.16"]
TOKENS = ["pyarrow>=16"]
RAY = [*TOKENS, "ray[data]>=2.9"]
READERS = ["datasets>=3", "webdataset>=0.2.100"]  # open our token shards without us
REFERENCE = ["auraloss>=0.4", "torchmetrics>=1.4"]  # compute some of the same figures

OPENMP = ["-fopenmp"] if sys.platform == "linux" else []  # the one that torch has loaded

# What the networks need beside products of matrices; where it cannot be built, torch does it.
KERNELS = Extension(
    "audiocodec.engine._kernels",
    ["audiocodec/engine/_kernels.c"],
    extra_compile_args=["-O3", "-ffp-contract=fast", "-fno-math-errno", *OPENMP],
    extra_link_args=OPENMP,
    optional=True,
)

setup(
    name="audiocodec",
    version="0.1.0",
    description="Neural audio codec: 44.1 kHz audio to about 8 kbit/s of tokens, and back",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    ext_modules=[KERNELS],
    packages=find_packages(include=["audiocodec", "audiocodec.*"]),
    package_data={
        "audiocodec": [
            "py.typed",
            "container/FORMAT.md",
            "weights/builtin/*",
            "lab/train/conf/**/*.yml",
            "lab/evaluate/report/*.html",
            "lab/evaluate/report/*.css",
            "lab/evaluate/report/*.js",
            "lab/evaluate/listening/page/*",
        ],
    },
    install_requires=[
        "torch>=2.4,<3",
        "numpy>=1.26,<3",
        "soundfile>=0.12.1",
        "soxr>=0.5",
        "safetensors>=0.4.3",
        "huggingface_hub>=0.25",
        "argbind>=0.3.9",
        "pyyaml>=6",
        "tqdm>=4.66",
    ],
    extras_require={
        "train": TRAIN,
        "eval": EVAL,
        "peers": PEERS,
        "export": EXPORT,
        "tokens": TOKENS,
        "ray": RAY,
        "test": TEST + TRAIN + EVAL + PEERS + EXPORT + RAY + READERS + REFERENCE,
    },
    entry_points={"console_scripts": ["audiocodec = audiocodec.cli:main"]},
    classifiers=[
        "License :: OSI Approved :: MIT License",
        "Programming Language :: Python :: 3",
        "Topic :: Multimedia :: Sound/Audio :: Compression",
    ],
)
