"""The words of an on-chip buffer that are taken."""

from __future__ import annotations

from firmware.compiler.errors import CompileError

__all__ = ["Ring"]


class Ring:
    """An on-chip buffer, given out in turn, so that what was used last is overwritten last.

    What is given out stays out until it is released: at the point of the program after its last use. Whether an engine
    still reads it then is the dependency pass's business.

    Parameters
    ----------
    depth : its words
    name : for messages
    """

    def __init__(self, depth: int, name: str) -> None:
        self.depth, self.name, self.cursor = depth, name, 0
        self.out: dict[int, int] = {}  # start -> end of what is given out

    def take(self, size: int, what: str) -> int:
        """Takes `size` consecutive words; returns the first. Raises CompileError if there are too few."""
        for start in (self.cursor, 0):
            while start + size <= self.depth:
                blocking = [end for begin, end in self.out.items() if begin < start + size and start < end]
                if not blocking:
                    self.out[start] = self.cursor = start + size
                    return start
                start = max(blocking)
        raise CompileError(
            f"{what}: needs {size} words of the {self.name} buffer, but fewer of its {self.depth} are free; "
            "enlarge it in the configuration."
        )

    def release(self, start: int) -> None:
        """Gives back what `take` gave."""
        del self.out[start]
