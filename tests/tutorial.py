"""The commands of docs/tutorial.md, as they stand in the page, in a fresh copy of the project.

python -m tests.tutorial    runs all of them (`make tutorial`); minutes
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.import_graph import ROOT

__all__ = ["BREAKS", "commands", "fresh_copy", "run"]

PAGE = ROOT / "docs" / "tutorial.md"
BROKEN, MENDED = "sed -i", "mv "
"""The command that breaks the unit, and the one that puts it back: between them its bench must fail."""

BREAKS = re.compile(rf"^{BROKEN}")
STARTS = ("make ", "sed ", "mv ", ".venv/bin/python ")
LEFT_OUT = {".git", ".venv", "build"}


def commands() -> list[str]:
    """Every line of the page's indented blocks that is a command, in their order."""
    lines = [line[4:] for line in PAGE.read_text().splitlines() if line.startswith("    ")]
    return [line for line in lines if line.startswith(STARTS)]


def fresh_copy(folder: Path, shared: tuple[str, ...] = (".venv",)) -> Path:
    """The project's files in a folder, without what was built; `shared` of it is linked."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in names:
        if name.split("/")[0] in LEFT_OUT or not (ROOT / name).is_file():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    for name in shared:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to((ROOT / name).resolve())
    if ".venv" in shared:
        os.utime(folder / "pyproject.toml", (0, 0))  # nothing is to be installed
    return folder


def run(command: str, folder: Path) -> tuple[int, str]:
    """The exit status of a command and what it printed."""
    # A reader's shell is no rule of a makefile: `make` says which folder it enters when another one calls it.
    outside = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    environment = {**outside, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def main() -> int:
    """Runs the page; 1 at the first command that does not end as the page says."""
    with tempfile.TemporaryDirectory() as name:
        folder, broken = fresh_copy(Path(name), shared=()), False
        for command in commands():
            broken = broken and not command.startswith(MENDED) or command.startswith(BROKEN)
            print(f"$ {command}", flush=True)
            status, output = run(command, folder)
            print(output, flush=True)
            if (status != 0) != (broken and command.startswith("make ")):
                print(f"`{command}` ended with {status}, which is not what docs/tutorial.md says.", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
