"""Build MinkowskiEngine for CPUs from its release on PyPI, which no longer builds as it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from .environment import Layout, child_environment
from .steps import SetupError, run_logged, step

VERSION = "0.5.4"
BLAS = "openblas"
# file patterns of the release, what to look for, what to put there
PATCHES = (
    # Python 3.10 moved the abstract classes
    ("MinkowskiEngine/*.py", r"(?m)^from collections import Sequence$", "from collections.abc import Sequence"),
    (
        "MinkowskiEngine/*.py",
        r"(?m)^from collections import Sequence, namedtuple$",
        "from collections import namedtuple\nfrom collections.abc import Sequence",
    ),
    ("MinkowskiEngine/utils/*.py", r"(?m)^from collections import Sequence$", "from collections.abc import Sequence"),
)
GIGABYTES_PER_JOB = 2.0


def wheels_folder(layout: Layout) -> Path:
    """Where the built wheel is kept, beside the environment: it takes minutes, and outlives a change of pins."""
    return layout.root / f"{layout.venv.name}-wheels"


def build_and_install(layout: Layout, environ: Mapping[str, str], torch_version: str) -> None:
    """Install the wheel that was built for this torch before, or download, patch and build it first."""
    env = child_environment(layout, environ)
    folder = wheels_folder(layout) / f"{VERSION}-torch-{torch_version}"
    if not list(folder.glob("*.whl")):
        check_blas(env)
        with step(f"MinkowskiEngine {VERSION}, built for CPUs"):
            build(layout, env, folder)
    pip = [str(layout.python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    wheel = next(folder.glob("*.whl"))
    with step(f"MinkowskiEngine {VERSION} from its wheel"):
        command = [*pip, "--no-deps", "--no-index", "--force-reinstall", str(wheel)]
        run_logged(command, log=layout.log, env=env, cwd=layout.root, hint="Remove the folder of the wheel.")


def build(layout: Layout, env: Mapping[str, str], folder: Path) -> None:
    """Make the wheel in `folder`; the sources lie in a folder beside it that is removed at the end."""
    work = wheels_folder(layout) / "build"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    pip = [str(layout.python), "-m", "pip", "download", "--no-input", "--disable-pip-version-check"]
    # pip asks the release for its metadata, and that imports torch: hence no isolation
    command = [*pip, "--no-deps", "--no-build-isolation", "--no-binary", ":all:", "-d", str(work)]
    hint = "Is a package index within reach?"
    run_logged([*command, f"MinkowskiEngine=={VERSION}"], log=layout.log, env=env, cwd=work, hint=hint)
    with tarfile.open(next(work.glob("MinkowskiEngine-*.tar.gz"))) as archive:
        archive.extractall(work, filter="data")
    source = work / f"MinkowskiEngine-{VERSION}"
    patch(source)
    command = ["nice", "-n", "19", str(layout.python), "setup.py", "bdist_wheel", "--cpu_only", f"--blas={BLAS}"]
    jobs = {"MAX_JOBS": str(job_count())}
    hint = "MinkowskiEngine did not build."
    made = work / "made"
    run_logged([*command, "--dist-dir", str(made)], log=layout.log, env={**env, **jobs}, cwd=source, hint=hint)
    made.replace(folder)  # whole or not at all
    shutil.rmtree(work)


def patch(source: Path) -> None:
    """Apply `PATCHES` to an unpacked release; one that finds nothing says that the release is another one."""
    for pattern, wanted, replacement in PATCHES:
        changed = 0
        for path in sorted(source.glob(pattern)):
            text, count = re.subn(wanted, replacement, path.read_text())
            if count:
                path.write_text(text)
            changed += count
        if not changed:
            raise SetupError(f"{source.name}/{pattern}: nothing matches {wanted}. Is it the release {VERSION}?")


def job_count() -> int:
    """Compilers at once: no more than processors, nor than memory holds."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return max(1, min(len(os.sched_getaffinity(0)), int(memory / GIGABYTES_PER_JOB)))


def check_blas(env: Mapping[str, str]) -> None:
    """Fail in one line where OpenBLAS with its headers, or a C++ compiler, is missing."""
    compiler = (env.get("CXX") or "c++").split()[0]
    if not shutil.which(compiler, path=env.get("PATH")):
        raise SetupError(f"missing: a C++ compiler ({compiler}). On Debian or Ubuntu: apt install build-essential.")
    program = "#include <cblas.h>\nint main() { return cblas_sasum(0, nullptr, 1) != 0; }\n"
    command = [compiler, "-x", "c++", "-", "-o", os.devnull, f"-l{BLAS}"]
    if subprocess.run(command, input=program, text=True, capture_output=True, env=dict(env)).returncode:
        raise SetupError(
            "missing: OpenBLAS, which MinkowskiEngine is built with. On Debian or Ubuntu: apt install libopenblas-dev."
        )
