"""How a command ends when it cannot continue: one sentence on standard error and exit status 2, never a traceback."""

from __future__ import annotations

from collections.abc import Callable

from sim.reference.errors import UserError, exit_status


class HostError(UserError):
    """A sentence for the user: what is wrong, the value, what to do."""


def reason(error: BaseException) -> str:
    """The message of an exception as part of a sentence, without its full stop; an OSError without the errno."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return " ".join(text.split()).rstrip(".")


def run_command(command: Callable[[], int]) -> int:
    """Runs a command's body and returns the exit status; a `UserError` becomes a sentence on standard error."""
    return exit_status(command, prefix="")
