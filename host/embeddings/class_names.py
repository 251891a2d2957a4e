"""Names of classes that the user gives."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from host.command.errors import HostError

__all__ = ["check_names"]


def check_names(names: Sequence[str], source: str) -> None:
    """Raises HostError, naming `source`, where there are none, one is empty or has a tabulator or a line's end in it,
    or two are the same to the eye: case and the ways to write an accent do not count.
    """
    if not names:
        raise HostError(f"{source} has no classes: at least one is needed.")
    seen: dict[str, str] = {}
    for name in names:
        shown = unicodedata.normalize("NFC", " ".join(name.split())).casefold()
        if not shown or any(not letter.isprintable() for letter in name):
            raise HostError(f"{source}: {name!r} is no name of a class: write one of printable letters.")
        if shown in seen:
            raise HostError(f"{source} has two classes of one name, {seen[shown]!r} and {name!r}: rename one.")
        seen[shown] = name
