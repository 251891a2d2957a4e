"""What training needs beside the project's own dependencies: the extra `training`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sim.reference.errors import UserError

__all__ = ["training_extra"]

PACKAGES = ("sklearn", "torch")


@contextmanager
def training_extra(command: str) -> Iterator[None]:
    """Around the imports of a command.

    Raises
    ------
    UserError : a package of the extra is not installed
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in PACKAGES:
            raise
        raise UserError(
            f"{command} needs {package}, which is not installed: pip install 'ivit-machine[training]'."
        ) from error
