"""Output of commands: tables and progress on a terminal, lines and no progress in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

Item = TypeVar("Item")


def output() -> Console:
    """Standard output; class and file names are printed as they are, never taken for markup."""
    return Console(markup=False, highlight=False, emoji=False, soft_wrap=True)


def tracked(items: Iterable[Item], total: int, what: str, *, done: int = 0) -> Iterator[Item]:
    """Passes `items` on, with a progress bar where standard error is a terminal; `done` were finished before."""
    with tracker(what, total) as moved:
        moved(done, total)
        for count, item in enumerate(items, done + 1):
            yield item
            moved(count, total)


@contextmanager
def tracker(what: str, total: int | None = None) -> Iterator[Callable[[int, int], None]]:
    """A progress bar if standard error is a terminal. The function that it gives takes what is done and the total."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def transfer(what: str, total: int) -> Iterator[Callable[[int], object]]:
    """The same for bytes, with their rate. The function that it gives takes how many more bytes are done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda more: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda more: progress.advance(task, more)


def percent(share: float) -> str:
    """A share of 1 with one decimal, `98.6 %`."""
    return f"{100 * share:.1f} %"
