"""The whole walk without a ROS distribution: drive, bag, node, player, new words twice, a table, a bag, a picture.

`make demo` runs it; with the environment at hand, `python launch/demo.py` does the same. Where a distribution's ROS and
RViz are installed, `ros2 launch launch/demo.launch.py` shows it live instead.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from demo_words import Vocabulary

ROOT = Path(__file__).resolve().parent.parent
BUNDLE = ROOT / "export" / "bundles" / "demo"
HELD_OUT_SEED = 9009
"""A street that the shipped bundle has not seen (trainer/configs/demo_student.yaml names the seeds it has)."""
FRAMES = 20
PICTURE_SWEEP = 16
SWEEPS_PER_ROUND = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return 0, or 1 after one line that says which step failed and where its log is."""
    options = parse_arguments(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    # This machine only, a domain of its own; everything is sent reliably, so that no sweep is lost.
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the launch file does: the cores are the network's
    sys.path.insert(0, str(ROOT))
    try:
        run(options)
    except Exception as error:
        if not is_expected(error):
            raise
        sys.stderr.write(f"demo: {error} (logs: {shown(options.out)}/*.log)\n")
        return 1
    return 0


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help="folder of the model bundle")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "demo", help="where bag, picture and logs go")
    parser.add_argument("--seed", type=int, default=HELD_OUT_SEED, help="which street is simulated")
    parser.add_argument("--frames", type=int, default=FRAMES, help="length of the drive in sweeps")
    return parser.parse_args(arguments)


def is_expected(error: Exception) -> bool:
    """Tell errors whose message is enough from those that need a traceback."""
    from ov3d_perception.errors import Ov3dError

    return isinstance(error, (RuntimeError, Ov3dError))


class DemoError(RuntimeError):
    """A step of the demo did not do its part."""


def run(options: argparse.Namespace) -> None:
    """Do every step in order, each with its seconds."""
    from demo_rounds import DemoClient, score_round, table
    from demo_words import HEAT, ROUNDS

    from bags.truth import read_truth

    drive = options.out / "drive"
    with step(f"simulated drive, {options.frames} sweeps with six cameras, as a bag"):
        make_drive(drive, options)
    truth = read_truth(drive)
    results = []
    with ExitStack() as stack:
        with step("node"):
            node = stack.enter_context(start_node(options, ROUNDS[0]))
            client = stack.enter_context(DemoClient())
            wait_for_node(client, node, options.out / "node.log")
        stack.enter_context(start_player(drive, options.out / "player.log"))
        for number, vocabulary in enumerate(ROUNDS):
            with step("words: " + ", ".join(vocabulary.names)):
                version = client.version() if number == 0 else client.ask(vocabulary)
                sweeps = client.collect(version, SWEEPS_PER_ROUND)
                results.append((vocabulary, score_round(vocabulary, sweeps, truth), sweeps))
    labelled, picture = options.out / "labelled", options.out / "picture.png"
    with step("labelled bag and picture"):
        label_files(options, drive, labelled, ROUNDS[0])
        draw_picture(options, drive, picture, ROUNDS[0], HEAT)
    print(f"\n{table(results)}\n")
    summary = {vocabulary.title: [row.to_dict() for row in rows] for vocabulary, rows, _ in results}
    (options.out / "results.json").write_text(json.dumps(summary, indent=1) + "\n")
    for name, path in (("picture", picture), ("labelled bag", labelled), ("node log", options.out / "node.log")):
        print(f"{name:<14}{shown(path)}")


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print what is done and, when it is done, how long it took."""
    print(f"{title} ...", end=" ", flush=True)
    started = time.monotonic()
    yield
    print(f"{time.monotonic() - started:.1f} s", flush=True)


def make_drive(drive: Path, options: argparse.Namespace) -> None:
    """Simulate the drive and write it as a bag, unless the same one is there already."""
    wanted = {"seed": options.seed, "frames": options.frames, "simulator": simulator_digest()}
    stamp = options.out / "drive.json"
    if drive.is_dir() and stamp.is_file() and json.loads(stamp.read_text()) == wanted:
        return
    remove_tree(drive)
    command = ["-m", "bags.make_bag", "simulated", "--seed", str(options.seed), "--frames", str(options.frames)]
    run_python([*command, "--out", str(drive)], options.out / "make_bag.log")
    stamp.write_text(json.dumps(wanted))


def simulator_digest() -> str:
    """Digest of the code that makes the drive, so that an old drive is not shown after a change."""
    import hashlib

    digest = hashlib.sha256()
    for folder in (ROOT / "trainer" / "ov3d_trainer" / "data", ROOT / "bags"):
        for source in sorted(folder.rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()


def start_node(options: argparse.Namespace, words: Vocabulary) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Start the segmentation node as a process of its own."""
    arguments = ["-m", "ov3d_perception.ros.node", "--ros-args", "-p", f"bundle:={options.bundle}"]
    arguments += ["-p", f"queries:={json.dumps(words.as_list())}", "-p", f"background:={json.dumps(words.background)}"]
    arguments += ["-p", "input_reliability:=reliable"]
    arguments += ["-r", "~/input/pointcloud:=/LIDAR_TOP"]
    return background(arguments, options.out / "node.log")


def start_player(drive: Path, log: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Play the drive in a loop, at its own pace."""
    return background(["-m", "bags.play", str(drive), "--loop", "--wait-for-subscribers", "/LIDAR_TOP"], log)


def wait_for_node(client: object, node: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the node's label table has arrived; raise `DemoError` when it ended or stays silent."""
    deadline = time.monotonic() + 60.0
    while not client.wait_for_table(0.2):  # type: ignore[attr-defined]
        if node.poll() is not None:
            raise DemoError(f"the node ended with exit code {node.returncode}; see {shown(log)}")
        if time.monotonic() > deadline:
            raise DemoError(f"the node published no label table within 60 s; see {shown(log)}")


def label_files(options: argparse.Namespace, drive: Path, labelled: Path, words: Vocabulary) -> None:
    """Label the same bag without ROS into a copy of it."""
    remove_tree(labelled)
    run_python([*label_command(options, drive, words), "--out", str(labelled)], options.out / "label.log")


def draw_picture(options: argparse.Namespace, drive: Path, picture: Path, words: Vocabulary, heat: str) -> None:
    """Draw one sweep in the cameras, as a cloud, and by its nearness to one query; with the image tower if there is."""
    command = [*label_command(options, drive, words), "--sweep", str(min(PICTURE_SWEEP, options.frames - 1))]
    command += ["--cameras", "--heat", heat, "--out", str(picture)]
    if (options.bundle / "image.onnx").is_file():
        command.append("--fuse")
    run_python(command, options.out / "picture.log")


def label_command(options: argparse.Namespace, drive: Path, words: Vocabulary) -> list[str]:
    """Return the command that labels the drive with some words, without its outputs."""
    command = ["-m", "ov3d_perception", "label", str(options.bundle), str(drive), "--topic", "/LIDAR_TOP"]
    return [*command, "--queries", ", ".join(words.as_list()), "--background", ", ".join(words.background)]


def run_python(arguments: Sequence[str], log: Path) -> None:
    """Run this interpreter to its end, output into a log; raise `DemoError` with the log's last line when it fails."""
    with log.open("wb") as stream:
        code = subprocess.run(
            [sys.executable, *arguments], stdout=stream, stderr=subprocess.STDOUT, cwd=ROOT
        ).returncode
    if code:
        last = (log.read_text(errors="replace").strip().splitlines() or ["no output"])[-1]
        raise DemoError(f"`{' '.join(arguments[:3])}` failed with exit code {code}: {last} (log: {shown(log)})")


@contextmanager
def background(arguments: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run this interpreter beside the demo; interrupt it at the end and wait for it."""
    stream: IO[bytes]
    with log.open("wb") as stream:
        process = subprocess.Popen([sys.executable, *arguments], stdout=stream, stderr=subprocess.STDOUT, cwd=ROOT)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def remove_tree(folder: Path) -> None:
    """Remove the bag of an earlier run; `DemoError` for a folder that holds anything else."""
    import shutil

    if folder.is_dir() and not (folder / "metadata.yaml").is_file():
        raise DemoError(f"{shown(folder)} is no bag. Give another folder with --out.")
    shutil.rmtree(folder, ignore_errors=True)


def shown(path: Path) -> str:
    """Return a path relative to where the user is, if that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)


if __name__ == "__main__":
    sys.exit(main())
