"""The whole walk on real input: nuScenes keyframe -> bag -> teacher -> student -> bundle -> node -> other words.

Every step is the command a user would type. A plumbing test: it says that nothing is lost or mixed up on the way, not
how well a student trained on one sweep would do on another.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
POINTS = 34_688
TIMEOUT_S = 60.0
WORDS = ("automobile", "person", "tree")


@pytest.fixture(scope="module")
def ros_domain() -> Iterator[None]:
    """This machine only, and no other test's nodes; skips where ROS or ov3d_msgs do not import."""
    pytest.importorskip("rclpy", reason="needs ROS 2 (`make test` sets it up)")
    pytest.importorskip("ov3d_msgs.msg", reason="needs the built ov3d_msgs (`make test` sets it up)")
    values = {
        "ROS_DOMAIN_ID": os.environ.get("ROS_DOMAIN_ID", str(1 + os.getpid() % 100)),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    yield
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


class Stopwatch:
    """Seconds by step, printed at the end whatever happens."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started

    def __str__(self) -> str:
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_real_sweep_comes_back_labelled_and_answers_new_words(
    real_data: Path, tmp_path: Path, ros_domain: None, capsys: pytest.CaptureFixture[str]
) -> None:
    keyframe, text = real_data / "nuscenes_scene-0061", real_data / "clip_text"
    bag, bank, run, bundle = tmp_path / "bag", tmp_path / "bank.npz", tmp_path / "run", tmp_path / "bundle"
    watch = Stopwatch()
    with watch.step("bag"):
        python("-m", "bags.make_bag", "keyframe", keyframe, "--out", bag, "--repeat", 2)
    with watch.step("bank"):
        rows = [("lvis_v1", "lvis_v1_clip_a+cname"), ("oid", "oid_clip_a+cname"), ("o365", "o365_clip_a+cnamefix")]
        files = [
            word
            for names, vectors in rows
            for word in ("--rows", text / f"{names}_names.json", text / f"{vectors}.npy")
        ]
        python("-m", "ov3d_trainer", "make-bank", "--out", bank, "--space", "clip:ViT-B-32/openai", *files)
    with watch.step("train"):
        settings = (f"data.path={keyframe}", f"text={bank}", f"out={run}")
        python("-m", "ov3d_trainer", "train", "--config", "trainer/configs/real_keyframe.yaml", "--set", *settings)
    checkpoint = run / "checkpoint.pt"
    with watch.step("evaluate"):
        evaluation = python("-m", "ov3d_trainer", "evaluate", "--checkpoint", checkpoint)
    with watch.step("export"):
        frame = ("--frame", keyframe / "LIDAR_TOP.pcd.bin")
        python("-m", "ov3d_export", "student", checkpoint, "--out", bundle, "--text", bank, *frame)
    with watch.step("node"):
        first, second, old, new = run_node(bundle, bag)

    with capsys.disabled():
        print(f"\n{evaluation}\nreal keyframe, end to end: {watch}")
    report = json.loads((run / "evaluation.json").read_text())
    assert report["teacher_agreement"] >= 90.0
    assert "road" in report["not_queryable"]  # the bank is of objects: no row for road, and it says so
    assert report["boxes"]["student"]["classes"].keys() == report["boxes"]["teacher"]["classes"].keys()

    points = np.fromfile(keyframe / "LIDAR_TOP.pcd.bin", dtype=np.float32).reshape(-1, 5)
    for cloud in (first, second):
        assert cloud.width * cloud.height == POINTS
        assert cloud.header.frame_id == "LIDAR_TOP"
        assert (cloud.header.stamp.sec, cloud.header.stamp.nanosec) in old["raw_stamps"]  # not the time of replay
        fields = labelled_fields(cloud)
        for column, name in enumerate(("x", "y", "z", "intensity")):
            np.testing.assert_array_equal(fields[name], points[:, column])
    assert set(labelled_fields(first)["table_version"]) == {old["version"]}
    assert set(labelled_fields(second)["table_version"]) == {new["version"]}
    assert new["version"] == old["version"] + 1
    assert new["names"] == list(WORDS)
    labels = labelled_fields(second)["label"]
    assert labels.max() <= len(WORDS)
    assert (labels == 1 + WORDS.index("tree")).sum() > 1000  # the segmenter saw 3,000 points of vegetation


def run_node(bundle: Path, bag: Path) -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:
    """Play the bag to the node, ask for other words, and return a cloud and the table before and after."""
    with ExitStack() as stack:
        node_arguments = ("-m", "ov3d_perception.ros.node", "--ros-args", "-p", f"bundle:={bundle}")
        node_arguments = (*node_arguments, "-p", "input_reliability:=reliable")  # best effort loses large clouds
        node = stack.enter_context(background(*node_arguments, "-r", "~/input/pointcloud:=/LIDAR_TOP"))
        client = stack.enter_context(Client())
        wait_for(lambda: client.tables or node.poll() is not None, "the node's label table")
        assert node.poll() is None, "the node ended; its last line is above"
        old = client.newest_table()
        stack.enter_context(background("-m", "bags.play", bag, "--loop", "--topics", "/LIDAR_TOP"))
        first = wait_for(lambda: client.clouds, "a labelled cloud")[0]
        version = client.ask(WORDS)
        second = wait_for(lambda: [cloud for cloud in client.clouds if version_of(cloud) == version], "new labels")[0]
        wait_for(lambda: client.tables[-1].version == version, "the new table")
        wait_for(lambda: len(client.raw) > 4, "the raw clouds, each of which comes again and again")
        old["raw_stamps"] = {(cloud.header.stamp.sec, cloud.header.stamp.nanosec) for cloud in client.raw}
        return first, second, old, client.newest_table()


class Client:
    """Listens to everything and calls the service; use as a context manager."""

    def __enter__(self) -> Client:
        import rclpy
        from ov3d_msgs.msg import LabelTable
        from ov3d_msgs.srv import SetQueries
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
        from sensor_msgs.msg import PointCloud2

        self.context = rclpy.Context()
        rclpy.init(context=self.context, args=[])
        self.node = rclpy.create_node("walk_client", context=self.context)
        self.clouds: list[Any] = []
        self.raw: list[Any] = []
        self.tables: list[Any] = []
        sensor = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        listen = self.node.create_subscription
        listen(PointCloud2, "/ov3d_segmentation/output/segmentation", self.clouds.append, sensor)
        listen(PointCloud2, "/LIDAR_TOP", self.raw.append, sensor)
        listen(LabelTable, "/ov3d_segmentation/labels", self.tables.append, latched)
        self.service = self.node.create_client(SetQueries, "/ov3d_segmentation/set_queries")
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.executor.shutdown(timeout_sec=2.0)
        self.thread.join(timeout=5.0)
        self.node.destroy_node()
        self.context.try_shutdown()

    def newest_table(self) -> dict[str, Any]:
        return {
            "version": self.tables[-1].version,
            "names": [label.name for label in self.tables[-1].labels if label.id],
        }

    def ask(self, words: tuple[str, ...]) -> int:
        from ov3d_msgs.msg import Query
        from ov3d_msgs.srv import SetQueries

        wait_for(self.service.service_is_ready, "the service set_queries")
        future = self.service.call_async(SetQueries.Request(queries=[Query(name=word) for word in words]))
        wait_for(future.done, "the answer of set_queries")
        response = future.result()
        assert response.success, response.message
        return int(response.version)


def labelled_fields(cloud: Any) -> np.ndarray:
    """The labelled cloud's bytes as a structured array, in the documented layout."""
    names = ("x", "y", "z", "intensity", "label", "table_version", "score", "rgb")
    formats = ("<f4", "<f4", "<f4", "<f4", "<u2", "<u2", "<f4", "<f4")
    assert [field.name for field in cloud.fields] == list(names)
    assert cloud.point_step == 28
    return np.frombuffer(cloud.data, dtype=np.dtype(list(zip(names, formats, strict=True))))


def version_of(cloud: Any) -> int:
    return int(labelled_fields(cloud)["table_version"][0])


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    pytest.fail(f"waited {TIMEOUT_S:g} s in vain for {what}")


def python(*arguments: object) -> str:
    """Run a command of the project to its end and return what it printed; its error output is the failure's message."""
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, f"{' '.join(command[1:4])} ended with {done.returncode}:\n{done.stderr[-2000:]}"
    return done.stdout


@contextmanager
def background(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command beside the test and interrupt it at the end."""
    process = subprocess.Popen([sys.executable, *map(str, arguments)], cwd=ROOT)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
