"""The version of each package stands in one place; every other file agrees with it."""

import re
import xml.etree.ElementTree as ElementTree
from importlib.metadata import version

import pytest

MODULES = {
    "ov3d_perception": "ros2_ws/src/ov3d_perception/ov3d_perception/__init__.py",
    "ov3d_trainer": "trainer/ov3d_trainer/__init__.py",
    "ov3d_export": "export/ov3d_export/__init__.py",
}
MANIFESTS = {
    "ov3d_perception": "ros2_ws/src/ov3d_perception/package.xml",
    "ov3d_msgs": "ros2_ws/src/ov3d_msgs/package.xml",
}
DEFINITIONS = ("ros2_ws/src/ov3d_perception/setup.py", "trainer/pyproject.toml", "export/pyproject.toml")


def stated_version(text):
    """The value of `__version__`."""
    return re.search(r'^__version__ = "(\d+\.\d+\.\d+)"$', text, re.MULTILINE)[1]


@pytest.mark.parametrize("name", MODULES)
def test_installed_version_is_the_one_the_module_states(repository, name):
    assert version(name) == stated_version((repository / MODULES[name]).read_text())


@pytest.mark.parametrize("path", DEFINITIONS)
def test_package_definition_repeats_no_version_number(repository, path):
    assert not re.search(r'^\s*version\s*=\s*["\']', (repository / path).read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifest_has_the_version_of_the_core(repository, name):
    manifest = ElementTree.parse(repository / MANIFESTS[name])
    core = stated_version((repository / MODULES["ov3d_perception"]).read_text())
    assert manifest.findtext("version") == core


def test_changelog_has_an_entry_for_the_version(repository):
    core = stated_version((repository / MODULES["ov3d_perception"]).read_text())
    assert re.search(rf"^## {re.escape(core)}\b", (repository / "CHANGELOG.md").read_text(), re.MULTILINE)
