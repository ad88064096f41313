"""One measurement in a process of its own: memory peaks and numbers of threads are then its own, too.

`python -m ov3d_export.bench.worker REQUEST RESULT` reads and writes JSON; `run_isolated` starts it.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ov3d_perception.errors import Ov3dError

from .machine import load_average
from .settings import BenchSettings

TIMEOUT_S = 900.0
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_AS_THE_NODE = ("stages", "words", "scaling", "threads")

logger = logging.getLogger(__name__)


def measurement(name: str) -> Callable[..., dict[str, Any]]:
    """Return the function of that name; modules are imported when asked for, for the sake of memory peaks."""
    if name == "stages":
        from .stages import measure_stages

        return measure_stages
    if name in ("words", "texts"):
        from .words import measure_texts, measure_words

        return measure_words if name == "words" else measure_texts
    if name in ("scaling", "threads"):
        from .curves import measure_scaling, measure_threads

        return measure_scaling if name == "scaling" else measure_threads
    if name == "sizes":
        from .sizes import measure_sizes

        return measure_sizes
    if name == "peers":
        from .peer_times import measure_peers

        return measure_peers
    if name == "gpu":
        from .gpu import measure_gpu

        return measure_gpu
    raise ValueError(f"measurement: unknown {name!r}.")


def measure(name: str, settings: BenchSettings, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Run one measurement here; a reason (`not_measured`) where it cannot be done; with its time and the load."""
    load, started = load_average(), time.perf_counter()
    try:
        found = measurement(name)(settings, **arguments)
    except (Ov3dError, ImportError) as error:
        found = {**arguments, "not_measured": str(error)}
    return {**found, "wall_s": time.perf_counter() - started, "load_average": [load, load_average()]}


def run_isolated(
    name: str, settings: BenchSettings, arguments: Mapping[str, Any], *, threads: int, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Run one measurement in a process whose libraries use so many threads; never raises for what happens there."""
    with tempfile.TemporaryDirectory() as folder:
        request, result, log = (Path(folder) / file for file in ("request.json", "result.json", "log.txt"))
        request.write_text(
            json.dumps({"name": name, "settings": settings.to_dict(), "arguments": dict(arguments)}), encoding="utf-8"
        )
        command = [sys.executable, "-m", f"{__package__}.worker", str(request), str(result)]
        variables = {**environment, **dict.fromkeys(_THREAD_VARIABLES, str(threads))}
        if name in _AS_THE_NODE:
            variables["OPENBLAS_NUM_THREADS"] = "1"  # as the launch file says
        with log.open("w") as lines:
            try:
                code = subprocess.run(
                    command, env=variables, stdout=lines, stderr=lines, timeout=TIMEOUT_S, check=False
                ).returncode
            except subprocess.TimeoutExpired:
                return {**arguments, "not_measured": f"took more than {TIMEOUT_S:.0f} s"}
        if result.is_file():
            found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
            return found
        tail = (log.read_text(encoding="utf-8", errors="replace").strip() or "no message").splitlines()[-1]
        logger.warning("%s %s ended with code %d: %s", name, dict(arguments), code, tail)
        return {**arguments, "not_measured": f"ended with code {code}: {tail[:300]}"}


def main(arguments: list[str]) -> None:
    """Do what the request says."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    settings = BenchSettings.from_dict(request["settings"])
    found = measure(request["name"], settings, request["arguments"])
    Path(arguments[1]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
