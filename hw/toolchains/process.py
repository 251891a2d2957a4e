"""Runs one tool in a folder, with its log, a time limit, and a look at what it wrote."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from hw.toolchains.errors import ToolError, ToolMissing

__all__ = ["find", "run_tool"]

LAST_LINES = 3


def find(*names: str, variable: str | None = None, remedy: str = "") -> str:
    """The first of `names` that is installed. The program that the environment's `variable` names comes before them.

    Raises
    ------
    ToolMissing
        With `remedy`, which says how to get it.
    """
    chosen = os.environ.get(variable, "") if variable else ""
    for name in (chosen, *names) if chosen else names:
        found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
        if found:
            return found
        if name == chosen:
            raise ToolMissing(f"{variable} names {chosen}, which is not there; correct it or unset it.")
    raise ToolMissing(f"{names[0]} is not installed{f'; {remedy}' if remedy else ''}.")


def run_tool(stage: str, command: Sequence[str], folder: Path, outputs: Sequence[str], seconds: float) -> Path:
    """Runs a tool; success is that each of `outputs` is there afterwards, new and not empty.

    An exit status of 0 is not enough (some wrapped tools always have it) but another one is a failure.

    Parameters
    ----------
    stage : names the log, STAGE.log in `folder`
    command : program and arguments
    folder : where it runs
    outputs : files that it must write; old ones are removed first
    seconds : after which it is ended, with everything it started

    Returns
    -------
    The log's path.

    Raises
    ------
    ToolError
    """
    log = folder / f"{stage}.log"
    for name in outputs:
        (folder / name).unlink(missing_ok=True)
    program = Path(command[0]).name
    process = None
    with log.open("w") as stream:
        try:
            process = subprocess.Popen(
                list(command),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            status = process.wait(seconds)
        except OSError as error:
            raise ToolError(f"{program} cannot be started ({error.strerror}); install it again.") from None
        except subprocess.TimeoutExpired:
            raise ToolError(f"{program} did not end within {seconds:g} s and was stopped; see {log}.") from None
        finally:
            # Also when we are interrupted: a tool and its helpers must not go on alone.
            if process is not None and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if status:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        said = " / ".join(lines[-LAST_LINES:])
        raise ToolError(f"{program} failed with status {status}: {said[:400]}; see {log}.")
    missing = [name for name in outputs if not (folder / name).exists() or not (folder / name).stat().st_size]
    if missing:
        raise ToolError(f"{program} ended as if all were well but did not write {missing[0]}; see {log}.")
    return log
