"""Package definition of ov3d_perception, for colcon (ament_python) and for pip."""

import re
from pathlib import Path

from setuptools import find_packages, setup

NAME = "ov3d_perception"
HERE = Path(__file__).resolve().parent
FILES = ["rosbags", "plyfile", "pypcd4", "matplotlib", "pillow"]


def version() -> str:
    """Read the version from its one place, the package itself, without importing it."""
    found = re.search(r'^__version__ = "([^"]+)"$', (HERE / NAME / "__init__.py").read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{NAME}/__init__.py states no __version__")
    return found[1]


def shared(folder: str, pattern: str) -> list:
    """Files of this package to install below share/ov3d_perception; never from outside the package."""
    return sorted(str(path.relative_to(HERE)) for path in (HERE / folder).glob(pattern))


setup(
    name=NAME,
    version=version(),
    description="Open-vocabulary segmentation of lidar point clouds: torch-free core and ROS 2 node",
    license="Apache-2.0",
    maintainer="ov3d maintainers",
    maintainer_email="ov3d@users.noreply.github.com",
    python_requires=">=3.10",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", shared("launch", "*.launch.py")),
        (f"share/{NAME}/config", shared("config", "*.yaml")),
    ],
    install_requires=["setuptools", "numpy>=1.26", "PyYAML", "tokenizers"],
    # [cpu] and [gpu] exclude each other: both projects install the same module `onnxruntime`.
    extras_require={
        "cpu": ["onnxruntime>=1.23"],
        "gpu": ["onnxruntime-gpu>=1.23"],
        "fast": ["numba>=0.59"],
        "files": FILES,
        "test": ["pytest"],
    },
    entry_points={"console_scripts": ["segment_node = ov3d_perception.ros.node:main"]},
    zip_safe=False,
)
