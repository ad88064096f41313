"""Work on rows: alone, in processes, on Ray; errors come through, and the dead are noticed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ov3d_perception.errors import ConfigError, DataError
from ov3d_trainer.cli import main
from ov3d_trainer.work import ALONE, Workers, work_on
from tests.unit.data.tiny_nuscenes import write_tiny_nuscenes


def touch(folder: Path, row: int) -> None:
    (folder / f"{row}-{os.getpid()}").touch()


def opened(folder: Path) -> Callable[[int], object]:
    return partial(touch, folder)


def fail(row: int) -> None:
    if row == 2:
        raise DataError("sweep 2: cut short.")


def failing() -> Callable[[int], object]:
    return fail


def not_to_be_opened() -> Callable[[int], object]:
    raise ConfigError("teacher: no such file.")


def end_at_once(row: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying() -> Callable[[int], object]:
    return end_at_once


def forbidden(row: int) -> None:
    raise AssertionError("not here")


def test_alone_every_row_is_done_here_in_order() -> None:
    done: list[int] = []
    work_on([3, 1, 2], done.append, not_to_be_opened, ALONE, chunk=2, title="rows")
    assert done == [3, 1, 2]


def test_processes_share_the_rows_and_none_is_done_twice(tmp_path: Path) -> None:
    work_on(range(7), forbidden, partial(opened, tmp_path), Workers(jobs=2), chunk=2, title="rows")
    rows = sorted(int(path.name.split("-")[0]) for path in tmp_path.iterdir())
    assert rows == list(range(7))
    assert str(os.getpid()) not in {path.name.split("-")[1] for path in tmp_path.iterdir()}


def test_error_of_a_process_comes_through_as_it_was_raised() -> None:
    with pytest.raises(DataError, match=r"^sweep 2: cut short\.$"):
        work_on(range(4), forbidden, failing, Workers(jobs=2), chunk=1, title="rows")
    with pytest.raises(ConfigError, match="teacher: no such file"):
        work_on(range(4), forbidden, not_to_be_opened, Workers(jobs=2), chunk=1, title="rows")


def test_process_that_is_killed_is_a_clear_error() -> None:
    with pytest.raises(DataError, match=r"died without a message.*fewer --jobs"):
        work_on(range(4), forbidden, dying, Workers(jobs=2), chunk=1, title="rows")


def test_no_workers_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="--jobs: expected 1 or more, got 0"):
        Workers(jobs=0)


def ray_or_skip() -> None:
    pytest.importorskip("ray", reason="the optional package ray is not installed")


def test_ray_workers_write_the_same_files_as_one_process(tmp_path: Path, repository: Path) -> None:
    ray_or_skip()
    root = write_tiny_nuscenes(tmp_path / "nuscenes")
    (tmp_path / "words.yaml").write_text("labels: [car, traffic cone]\n")
    settings = [
        f"data.path={root}", "data.kind=nuscenes", "data.version=v1.0-mini", "data.split=scene-0061",
        "evaluation.kind=street", "evaluation.seeds=3", "evaluation.frames=1",
        "teacher.kind=labels", "teacher.keep=true", f"text={repository / 'export/bundles/demo'}",
        f"vocabulary={tmp_path / 'words.yaml'}",
    ]  # fmt: skip
    assert main(["cache", "--ray", "--jobs", "2", "--set", *settings, f"cache={tmp_path / 'ray'}"]) == 0
    assert main(["cache", "--set", *settings, f"cache={tmp_path / 'alone'}"]) == 0
    by_ray, alone = (
        {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in (tmp_path / name).rglob("*.npz")}
        for name in ("ray", "alone")
    )
    assert len(alone) == 3  # two keyframes' supervision, a sweep of the street
    assert by_ray == alone


def test_error_and_death_of_a_ray_worker_come_through(tmp_path: Path) -> None:
    ray_or_skip()
    here = os.getpid()

    def failing_there() -> Callable[[int], object]:
        def fail(row: int) -> None:
            assert os.getpid() != here
            raise DataError(f"sweep {row}: cut short.")

        return fail

    def dying_there() -> Callable[[int], object]:
        return lambda row: os._exit(9)

    with pytest.raises(DataError, match=r"^sweep [01]: cut short\.$"):
        work_on(range(2), forbidden, failing_there, Workers(jobs=2, ray=""), chunk=1, title="rows")
    with pytest.raises(DataError, match=r"worker of the Ray cluster died.*fewer --jobs"):
        work_on(range(2), forbidden, dying_there, Workers(jobs=2, ray=""), chunk=1, title="rows")


def test_ray_cluster_that_is_not_there_is_said_so() -> None:
    ray_or_skip()
    with pytest.raises(ConfigError, match=r"--ray: no cluster at 127\.0\.0\.1:1 "):
        work_on(range(2), forbidden, dying, Workers(ray="127.0.0.1:1"), chunk=1, title="rows")


def test_workers_end_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    """Nobody would give them work or tell them to stop: they would hold their memory for ever."""
    import subprocess
    import sys

    code = (
        "from functools import partial\nfrom pathlib import Path\n"
        "from ov3d_trainer.work import Workers, work_on\n"
        "from tests.unit.training.test_work import opened_and_slow, forbidden\n"
        "if __name__ == '__main__':\n"
        f"    slow = partial(opened_and_slow, Path({str(tmp_path)!r}))\n"
        "    work_on(range(4), forbidden, slow, Workers(jobs=2), chunk=1, title='rows')\n"
    )
    (tmp_path / "start.py").write_text(code)
    process = subprocess.Popen([sys.executable, str(tmp_path / "start.py")], env=os.environ | {"PYTHONPATH": where()})
    try:
        workers = eventually(lambda: [int(path.name) for path in tmp_path.glob("[0-9]*")], lambda pids: len(pids) == 2)
        assert len(workers) == 2
    finally:
        process.kill()
        process.wait()
    assert eventually(lambda: [pid for pid in workers if Path(f"/proc/{pid}").exists()], lambda alive: not alive) == []


def opened_and_slow(folder: Path) -> Callable[[int], object]:
    (folder / str(os.getpid())).touch()
    return lambda row: time.sleep(60)


def where() -> str:
    import sys

    return os.pathsep.join(path for path in (str(Path(__file__).parents[3]), *sys.path) if path)


def eventually(ask: Callable[[], list[int]], fine: Callable[[list[int]], bool]) -> list[int]:
    end = time.monotonic() + 60
    while not fine(found := ask()) and time.monotonic() < end:
        time.sleep(0.05)
    return found
