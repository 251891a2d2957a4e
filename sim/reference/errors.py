"""How a command of this room answers its user's mistake: one sentence on stderr, exit status 2, no output file."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

USER_ERROR_STATUS = 2
INTERRUPTED_STATUS = 130


class UserError(Exception):
    """Bad input; the message is one sentence: what is wrong, where, the value, what is expected."""


def exit_status(command: Callable[[], int], prefix: str = "error: ") -> int:
    """Runs `command`; a UserError becomes its sentence on stderr and status 2, an interrupt one and status 130."""
    try:
        status = command()
        sys.stdout.flush()  # a reader that has gone is then noticed here, not by the interpreter at its end
        return status
    except UserError as error:
        print(f"{prefix}{error}", file=sys.stderr)
        return USER_ERROR_STATUS
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED_STATUS
    except BrokenPipeError:  # `... | head`: what was wanted has been read
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def leave_interrupts_alone() -> None:
    """For a process of a pool: a terminal's Ctrl-C reaches it too, and it is the command that answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def made_folder(folder: Path) -> Path:
    """The folder, which is made where it is not there. Raises UserError where nothing can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be written: {error.strerror}; choose another.") from error


@contextmanager
def replaced_when_complete(output: Path) -> Iterator[Path]:
    """A temporary file beside `output` that takes its place on success and vanishes on any exception."""
    if output.is_dir():
        raise UserError(f"{output} is a folder, but the output must be a file.")
    if not output.parent.is_dir():
        raise UserError(f"The folder {output.parent} of the output file does not exist; make it first.")
    try:
        handle, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror}.") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files that only their owner can read; give the result what any new file would get.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def filled_when_complete(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` whose files move there on success and vanish on any exception.

    `folder` is made where it is not there. The files move in the order of their names, so a reader who waits for the
    last one finds all of them.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file, but the output must be a folder.")
    made_folder(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
        yield Path(name)
        made_folder(folder)
        for path in sorted(Path(name).iterdir()):
            path.replace(folder / path.name)
