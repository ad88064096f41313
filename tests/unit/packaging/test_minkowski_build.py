"""The peers' environment: what it is made of, and how MinkowskiEngine's release is made to build."""

import tarfile
from pathlib import Path

import pytest

from ros2_ws.bootstrap import install, minkowski
from ros2_ws.bootstrap.environment import layout_for
from ros2_ws.bootstrap.interpreters import Interpreter, Ros
from ros2_ws.bootstrap.steps import SetupError

PYTHON = Interpreter("/usr/bin/python3.11", (3, 11), "3.11.9")
SEQUENCE = "import os\nfrom collections import Sequence\n"


@pytest.fixture
def layout(tmp_path):
    for folder, name in install.PACKAGES.items():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).write_text("")
    return layout_for(tmp_path, "peers", PYTHON, Ros(None))


@pytest.fixture
def release(tmp_path):
    """The files of a release that name what Python 3.10 took away."""
    texts = {
        "MinkowskiCommon.py": SEQUENCE,
        "MinkowskiKernelGenerator.py": "from collections import Sequence, namedtuple\n",
        "utils/quantization.py": SEQUENCE,
        "utils/summary.py": "from collections import OrderedDict\n",
    }
    for name, text in texts.items():
        path = tmp_path / "MinkowskiEngine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_peers_get_our_packages_and_minkowski_but_no_interfaces(layout):
    assert list(install.wanted_stamp(layout, {"torch": "2.13.0"})) == ["dependencies", "packages", "minkowski"]


def test_release_is_patched_for_todays_python(release):
    minkowski.patch(release)
    texts = {path.name: path.read_text() for path in (release / "MinkowskiEngine").rglob("*.py")}
    assert texts["MinkowskiCommon.py"] == "import os\nfrom collections.abc import Sequence\n"
    assert texts["MinkowskiKernelGenerator.py"] == (
        "from collections import namedtuple\nfrom collections.abc import Sequence\n"
    )
    assert texts["quantization.py"] == "import os\nfrom collections.abc import Sequence\n"
    assert texts["summary.py"] == "from collections import OrderedDict\n"


def test_release_that_is_another_one_is_noticed(release):
    (release / "MinkowskiEngine" / "MinkowskiCommon.py").write_text("")
    with pytest.raises(SetupError, match=r"nothing matches .* Is it the release 0\.5\.4"):
        minkowski.patch(release)


def test_missing_openblas_is_one_line_with_its_remedy(tmp_path):
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    with pytest.raises(SetupError, match=r"^missing: OpenBLAS.*apt install libopenblas-dev\.$"):
        minkowski.check_blas({"PATH": str(tmp_path)})
    with pytest.raises(SetupError, match=r"^missing: a C\+\+ compiler"):
        minkowski.check_blas({"PATH": str(tmp_path / "none")})


def test_wheel_that_was_built_before_is_installed_without_building(layout, monkeypatch):
    said: list[list[str]] = []
    monkeypatch.setattr(minkowski, "run_logged", lambda command, **_: said.append(list(command)))
    monkeypatch.setattr(minkowski, "build", lambda *_: pytest.fail("built again"))
    wheel = minkowski.wheels_folder(layout) / "0.5.4-torch-2.13.0" / "minkowskiengine-0.5.4-cp311.whl"
    wheel.parent.mkdir(parents=True)
    wheel.touch()
    minkowski.build_and_install(layout, {"PATH": "/nowhere"}, "2.13.0")
    assert [Path(command[-1]) for command in said] == [wheel]


def test_build_downloads_patches_and_leaves_nothing_but_the_wheel(layout, release, tmp_path, monkeypatch):
    """With commands that only lay down what pip and the release's own set-up would."""

    def pretend(command, *, cwd, env, **_):
        if "download" in command:
            with tarfile.open(cwd / "MinkowskiEngine-0.5.4.tar.gz", "w:gz") as archive:
                archive.add(release / "MinkowskiEngine", "MinkowskiEngine-0.5.4/MinkowskiEngine")
            return
        assert int(env["MAX_JOBS"]) >= 1
        assert "collections.abc" in (cwd / "MinkowskiEngine" / "MinkowskiCommon.py").read_text()
        made = Path(command[command.index("--dist-dir") + 1])
        made.mkdir()
        (made / "minkowskiengine-0.5.4.whl").touch()

    monkeypatch.setattr(minkowski, "run_logged", pretend)
    folder = minkowski.wheels_folder(layout) / "0.5.4-torch-2.13.0"
    minkowski.build(layout, {}, folder)
    left = [path.relative_to(folder.parent) for path in folder.parent.rglob("*") if path.is_file()]
    assert left == [Path("0.5.4-torch-2.13.0/minkowskiengine-0.5.4.whl")]
