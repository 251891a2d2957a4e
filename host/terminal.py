"""What commands show: progress on a terminal and nothing of it in a pipe, tables on a terminal and lines in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")


def output() -> Console:
    """Standard output; class and file names are printed as they are, never taken for markup."""
    return Console(markup=False, highlight=False, emoji=False, soft_wrap=True)


def tracked(items: Iterable[Item], total: int, what: str, *, done: int = 0) -> Iterator[Item]:
    """Passes `items` on, with a progress bar where standard error is a terminal; `done` were finished before."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from items
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=total, completed=done)
        for item in items:
            yield item
            progress.advance(task)


def percent(share: float) -> str:
    """A share of 1 with one decimal, `98.6 %`."""
    return f"{100 * share:.1f} %"
