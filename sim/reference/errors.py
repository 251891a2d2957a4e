"""How a command of this room answers its user's mistake: one sentence on stderr, exit status 2, no output file."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

USER_ERROR_STATUS = 2


class UserError(Exception):
    """Bad input; the message is one sentence: what is wrong, where, the value, what is expected."""


def exit_status(command: Callable[[], int]) -> int:
    """Runs `command`; a UserError becomes its sentence on stderr and status 2."""
    try:
        return command()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR_STATUS


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
