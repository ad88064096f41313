"""`make lint`: ruff, mypy, codespell and package.xml, one after the other; every finding is shown before it fails."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from catkin_pkg.package import InvalidPackage, parse_package

ROOT = Path(__file__).resolve().parents[1]
TYPED = (
    "ros2_ws/src/ov3d_perception/ov3d_perception",
    "ros2_ws/bootstrap",
    "trainer",
    "export",
    "bags",
    "launch",
)
CHECKS = {
    "ruff": ("ruff", "check", "--output-format", "concise", "--quiet", "."),
    "format": ("ruff", "format", "--check", "--quiet", "."),
    "types": ("mypy", "--no-error-summary"),
    "spelling": ("codespell_lib",),
    "package.xml": (),
}


def package_files() -> list[Path]:
    """Every package.xml of the workspace, build folders left out."""
    found = [*ROOT.glob("ros2_ws/src/*/package.xml"), *ROOT.glob("ros2_ws/pip_underlay/*/package.xml")]
    return sorted(found)


def check_package_xml(path: Path) -> list[str]:
    """Findings for one package.xml: REP-140 (format 2) and REP-149 (format 3) rules, and the project's own."""
    warnings: list[str] = []
    try:
        package = parse_package(str(path), warnings=warnings)
        package.validate(warnings=warnings)
    except InvalidPackage as error:
        return [str(error)]
    if package.package_format != 3:
        warnings.append(f"format {package.package_format}, expected 3")
    if package.name != path.parent.name:
        warnings.append(f"name {package.name!r}, expected the folder's name {path.parent.name!r}")
    if package.licenses != ["Apache-2.0"]:
        warnings.append(f"license {package.licenses}, expected ['Apache-2.0']")
    if not any(export.tagname == "build_type" for export in package.exports):
        warnings.append("no <build_type> in <export>")
    return warnings


def typed_folders() -> list[str]:
    """The folders mypy looks at: those that hold Python by now."""
    return [folder for folder in TYPED if any((ROOT / folder).rglob("*.py"))]


def run_check(name: str) -> str:
    """Run one check; returns its findings, empty when there are none."""
    if name == "package.xml":
        found = [f"{path.relative_to(ROOT)}: {text}" for path in package_files() for text in check_package_xml(path)]
        return "\n".join(found)
    command = [sys.executable, "-m", *CHECKS[name]]
    if name == "types":
        command += typed_folders()
    if name == "spelling":
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
        )
        if listed.returncode == 0:  # in a checkout: only what belongs to it
            names = [entry for entry in listed.stdout.decode().split("\0") if entry and (ROOT / entry).is_file()]
            command += names
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = (done.stdout + done.stderr).strip()
    return "" if done.returncode == 0 else said or f"exit code {done.returncode}"


def main(names: list[str]) -> int:
    """Run the named checks, or all; exit code 1 where any has findings."""
    unknown = sorted(set(names) - set(CHECKS))
    if unknown:
        print(f"lint: unknown {', '.join(unknown)}; there are {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    failed = []
    for name in names or CHECKS:
        begin = time.monotonic()
        findings = run_check(name)
        print(f"lint {name:<12}{'failed' if findings else 'ok':<8}{time.monotonic() - begin:5.1f} s", flush=True)
        if findings:
            print("\n".join("  " + line for line in findings.splitlines()))
            failed.append(name)
    if failed:
        print(f"lint: {', '.join(failed)} failed. `make format` repairs what ruff can.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
