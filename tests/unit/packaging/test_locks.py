"""Lock files: exact, free of addresses and CUDA, and what the demo installs is what the tests run."""

import re

import pytest

from ros2_ws.bootstrap.locks import normal, pins_for, read_lock
from ros2_ws.bootstrap.steps import SetupError

DEMO = ("py310", "py311", "py312")
TEST = ("py311", "py312")
DEVKIT = ("py311", "py312")
PEERS = ("py311",)
KINDS = (("demo", DEMO), ("test", TEST), ("devkit", DEVKIT), ("peers", PEERS))
ALL = tuple(f"{kind}-{tag}" for kind, tags in KINDS for tag in tags)
NOT_IN_THE_DEMO = re.compile(r"torch.*|nvidia-.*|cuda-.*|triton.*|onnxruntime-gpu|cupy.*|open-clip-torch|timm")


@pytest.fixture
def lock(repository):
    """Reads a lock file by its name."""
    return lambda name: read_lock(repository / "requirements" / f"{name}.txt")


@pytest.mark.parametrize("name", ALL)
def test_lock_has_only_exact_pins(repository, name):
    lines = (repository / "requirements" / f"{name}.txt").read_text().splitlines()
    assert [line for line in lines[1:] if not re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.!]+", line)] == []


@pytest.mark.parametrize("tag", DEMO)
def test_demo_installs_neither_torch_nor_cuda(lock, tag):
    assert [name for name in lock(f"demo-{tag}") if NOT_IN_THE_DEMO.fullmatch(name)] == []


@pytest.mark.parametrize("tag", TEST)
def test_tests_run_exactly_what_the_demo_installs(lock, tag):
    demo, test = lock(f"demo-{tag}"), lock(f"test-{tag}")
    assert {name: test.get(name) for name in demo} == demo


@pytest.mark.parametrize("tag", TEST)
def test_torch_is_pinned_without_a_local_build(lock, tag):
    pins = lock(f"test-{tag}")
    assert {name: pins[name] for name in ("torch", "torchvision", "open-clip-torch", "timm")} == {
        "torch": "2.13.0",
        "torchvision": "0.28.0",
        "open-clip-torch": "3.3.0",
        "timm": "1.0.31",
    }


@pytest.mark.parametrize(("kind", "tags"), KINDS)
def test_every_direct_requirement_is_pinned(repository, lock, kind, tags):
    lines = (repository / "requirements" / f"{kind}.in").read_text().splitlines()
    wanted = {normal(re.split(r"[=<>]", line)[0]) for line in lines if re.match(r"[A-Za-z]", line)}
    for tag in tags:
        assert wanted - set(lock(f"{kind}-{tag}")) == set(), tag


@pytest.mark.parametrize("tag", DEMO)
def test_every_python_gets_the_same_ros(lock, tag):
    ros = {name: version for name, version in lock("demo-py311").items() if name.startswith("ros-")}
    assert {name: version for name, version in lock(f"demo-{tag}").items() if name.startswith("ros-")} == ros


@pytest.mark.parametrize("tag", DEVKIT)
def test_devkit_is_the_official_one_with_its_own_numpy(lock, tag):
    pins = lock(f"devkit-{tag}")
    assert pins["nuscenes-devkit"] == "1.2.0"
    assert pins["numpy"].startswith("1.26.")
    assert "torch" not in pins


@pytest.mark.parametrize("tag", PEERS)
def test_peers_are_measured_with_the_torch_and_numpy_of_the_tests(lock, tag):
    peers, test = lock(f"peers-{tag}"), lock(f"test-{tag}")
    shared = set(peers) & set(test)
    assert {"torch", "numpy", "onnxruntime", "onnx"} <= shared
    assert {name: peers[name] for name in shared} == {name: test[name] for name in shared}
    assert peers["spconv"] == "2.3.8"
    assert [name for name in peers if name.startswith(("nvidia-", "cuda-", "triton", "ros-"))] == []


def test_python_310_gets_the_last_onnxruntime_that_supports_it(lock):
    assert lock("demo-py310")["onnxruntime"].startswith("1.23.")


def test_sourced_distribution_keeps_its_ros_and_its_numpy(lock):
    pins = pins_for(lock("demo-py312"), distro="jazzy")
    assert "numpy" not in pins
    assert "empy" not in pins
    assert not [name for name in pins if name.startswith("ros-")]
    assert {"onnxruntime", "tokenizers", "rosbags", "colcon-core"} <= set(pins)


def test_lock_line_that_is_no_exact_pin_is_refused(tmp_path):
    path = tmp_path / "demo-py311.txt"
    path.write_text("numpy>=1.26\n")
    with pytest.raises(SetupError, match=r"demo-py311.txt:1: 'numpy>=1.26' is no exact pin"):
        read_lock(path)


def test_missing_lock_says_how_to_write_it(tmp_path):
    with pytest.raises(SetupError, match=r"make lock PYTHON=python3\.14"):
        read_lock(tmp_path / "demo-py314.txt", command="make lock PYTHON=python3.14")
