"""Work spread over a Ray cluster (Moritz et al. 2018); needs the optional package `ray`."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ov3d_perception.errors import ConfigError, DataError, Ov3dError

from .work import RowWork, died

_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""For the processes that Ray starts: no report to its makers, no warnings."""

_STORE_BYTES = 100_000_000
"""Shared memory of a cluster started here: rows and errors pass through it, no samples."""


class Worker:
    """What runs on the cluster: opens its work once, then does chunk after chunk."""

    def __init__(self, folder: str, elsewhere: Callable[[], RowWork]) -> None:
        self._folder, self._elsewhere = folder, elsewhere
        self._work: RowWork | None = None

    def work(self, rows: Sequence[int]) -> int | Ov3dError:
        """Work on the rows; return how many there were, or the error that is meant for the user."""
        try:
            if self._work is None:
                self._work = self._open()
            for row in rows:
                self._work(row)
        except Ov3dError as error:
            return error
        return len(rows)

    def _open(self) -> RowWork:
        """Paths are relative to the folder in which the command was given, here as there."""
        try:
            os.chdir(self._folder)
        except OSError as error:
            raise DataError(
                f"{self._folder}: not there on {os.uname().nodename} ({error.strerror}). A Ray cluster needs data, "
                "cache and working directory under the same path on all machines."
            ) from error
        return self._elsewhere()


def on_ray(chunks: Sequence[Sequence[int]], elsewhere: Callable[[], RowWork], jobs: int, address: str) -> Iterator[int]:
    """Yield the size of each chunk when it is done; see `work.Workers` for `jobs` and `address`.

    A cluster that is started here serves all calls and ends with this process. Raises `ConfigError` without Ray or
    cluster, and the first `Ov3dError` of a worker.
    """
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    try:
        import ray
    except ImportError as error:
        raise ConfigError("--ray: the package ray is missing. pip install 'ov3d_trainer[ray]'.") from error
    _connect(ray, jobs, address)
    processors = max(int(ray.cluster_resources().get("CPU", 1)), 1)
    count = min(processors if address and jobs == 1 else jobs, processors, len(chunks))
    make: Any = ray.remote(num_cpus=1)(Worker)
    crew = [make.remote(os.getcwd(), elsewhere) for _ in range(count)]
    try:
        yield from _share_out(ray, crew, list(chunks))
    finally:
        for worker in crew:
            ray.kill(worker)


def _connect(ray: Any, jobs: int, address: str) -> None:
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address:
            _knock(address)
        if ray.is_initialized():
            return
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(
                num_cpus=jobs, include_dashboard=False, object_store_memory=_STORE_BYTES, _node_ip_address="127.0.0.1",
                **quiet,
            )  # fmt: skip
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"--ray: no cluster at {address or 'this machine'} ({reason}). Start one with `ray start --head`, and give "
            "the address that it prints, or no address."
        ) from error


def _knock(address: str) -> None:
    """Raise `OSError` where nobody listens at HOST:PORT: Ray itself would wait for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=5.0).close()


def _share_out(ray: Any, crew: Sequence[Any], chunks: list[Sequence[int]]) -> Iterator[int]:
    """Give every worker a chunk, and the next when it comes back."""
    busy = {worker.work.remote(chunks.pop(0)): worker for worker in crew}
    while busy:
        (done,), _ = ray.wait(list(busy), num_returns=1)
        worker = busy.pop(done)
        try:
            result = ray.get(done)
        except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError) as error:
            raise died("A worker of the Ray cluster") from error
        except ray.exceptions.RayTaskError as error:
            lines = str(error).strip().splitlines()
            raise DataError(f"a worker of the Ray cluster failed: {lines[-1].strip()}") from error
        if isinstance(result, Ov3dError):
            raise result
        yield int(result)
        if chunks:
            busy[worker.work.remote(chunks.pop(0))] = worker
