"""Work on many rows of a data set: here, in several processes, or on a Ray cluster, with one progress bar.

No torch here, and no Ray unless it is asked for.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection, get_context, parent_process

from tqdm import tqdm

from ov3d_perception.errors import ConfigError, DataError

RowWork = Callable[[int], object]
"""What is done with one row; it writes its result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Who works: `jobs` processes here, or as many on a Ray cluster.

    `ray` None: without Ray. "": on a cluster that is started here and ends with the work. Else: the address of one
    that runs, all of whose processors work where `jobs` is 1.
    """

    jobs: int = 1
    ray: str | None = None

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ConfigError(f"--jobs: expected 1 or more, got {self.jobs}.")


ALONE = Workers()


def work_on(
    rows: Sequence[int], here: RowWork, elsewhere: Callable[[], RowWork], workers: Workers, *, chunk: int, title: str
) -> None:
    """Do the work for all rows: by `here` in this process, or by what `elsewhere` gives once in every other one.

    Other processes get `chunk` rows at a time, which need not be in order. The first error ends the work, as it was
    raised there; a process that dies is a `DataError`.
    """
    bar = tqdm(total=len(rows), desc=title, disable=not sys.stderr.isatty())
    if not rows:
        return
    if workers.jobs == 1 and workers.ray is None:
        for row in rows:
            here(row)
            bar.update()
        return
    chunks = [rows[at : at + chunk] for at in range(0, len(rows), chunk)]
    if workers.ray is None:
        finished = _in_processes(chunks, elsewhere, workers.jobs)
    else:
        from .ray_work import on_ray

        finished = on_ray(chunks, elsewhere, workers.jobs, workers.ray)
    for done in finished:
        bar.update(done)


def died(where: str) -> DataError:
    """Return what to say when a process has ended without a word."""
    return DataError(
        f"{where} died without a message, most likely stopped by the system for want of memory. "
        "What is finished is kept: run the command again, with fewer --jobs."
    )


def _in_processes(chunks: Sequence[Sequence[int]], elsewhere: Callable[[], RowWork], jobs: int) -> Iterator[int]:
    """Yield the size of each chunk when it is done."""
    pool = ProcessPoolExecutor(
        min(jobs, len(chunks)), mp_context=get_context("spawn"), initializer=_start_worker, initargs=(elsewhere,)
    )
    with pool:
        waiting = [pool.submit(_work_here, rows) for rows in chunks]
        try:
            for future in as_completed(waiting):
                yield future.result()
        except BrokenProcessPool as error:
            raise died("A process of --jobs") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_opened: list[RowWork] = []
"""What a worker process has opened for its work: a teacher is loaded once per process."""
_to_open: list[Callable[[], RowWork]] = []


def _start_worker(elsewhere: Callable[[], RowWork]) -> None:
    _to_open.append(elsewhere)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=partial(_end_with, parent.sentinel), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """End this process when its parent is gone: nobody would give it work, or tell it to stop."""
    connection.wait([sentinel])
    os._exit(1)


def _work_here(rows: Sequence[int]) -> int:
    if not _opened:
        _opened.append(_to_open[0]())  # not when the process starts: an error there would not come through
    for row in rows:
        _opened[0](row)
    return len(rows)
