"""House rules that no tool checks: length of files and functions, names, no pickle, no address of a machine."""

import ast
import re

import pytest

FOLDERS = ("ros2_ws/src", "ros2_ws/bootstrap", "trainer", "export", "bags", "launch", "tests")
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
# path -> why it may be longer
LONG_FILES: dict[str, str] = {}
# "path:function" -> why it may be longer
LONG_FUNCTIONS: dict[str, str] = {}


@pytest.fixture(scope="module")
def sources(repository):
    """Every Python source file: path relative to the repository -> text."""
    found = sorted(path for folder in FOLDERS for path in (repository / folder).rglob("*.py"))
    return {str(path.relative_to(repository)): path.read_text() for path in found if "build" not in path.parts}


def test_no_file_is_longer_than_one_can_read_at_once(sources):
    lengths = {path: len(text.splitlines()) for path, text in sources.items()}
    assert {path: size for path, size in lengths.items() if size > LONGEST_FILE and path not in LONG_FILES} == {}


def test_no_function_is_longer_than_a_screen(sources):
    found = {}
    for path, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > LONGEST_FUNCTION and f"{path}:{node.name}" not in LONG_FUNCTIONS:
                    found[f"{path}:{node.name}"] = size
    assert found == {}


def test_every_module_says_what_it_is_for(sources):
    silent = [path for path, text in sources.items() if text.strip() and not ast.get_docstring(ast.parse(text))]
    assert [path for path in silent if "tests/" not in path] == []


def test_no_module_is_a_drawer_for_everything(sources):
    drawers = {"utils.py", "util.py", "helpers.py", "common.py", "misc.py"}
    assert [path for path in sources if path.rsplit("/", 1)[-1] in drawers or "/common/" in path] == []


def test_nothing_unpickles(sources):
    pattern = re.compile(r"^\s*(import|from) (pickle|dill|joblib)\b|allow_pickle=True|weights_only=False", re.MULTILINE)
    # tests write hostile files on purpose
    assert [path for path, text in sources.items() if pattern.search(text) and not path.startswith("tests/")] == []


def test_real_data_is_found_through_the_fixture_only(sources):
    pattern = re.compile(r"shared/data|/wor[k]/")
    allowed = {"tests/conftest.py", "tests/unit/packaging/test_house_rules.py"}
    assert [path for path, text in sources.items() if pattern.search(text) and path not in allowed] == []
