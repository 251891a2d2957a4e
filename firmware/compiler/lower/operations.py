"""Operations of the machine with everything that they touch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateware.isa import Engine

__all__ = ["Access", "Operation"]


@dataclass(frozen=True)
class Access:
    """A rectangle of something that an operation reads or writes.

    Parameters
    ----------
    space : "A", "B", "constants", "norm", "scores", "maxima", "row map", or a tensor's name for its home in memory
    rows, columns : half-open ranges; one-dimensional spaces have columns (0, 1)
    write : whether it is written
    event : which event of the operation says that this access is over: "done", "read" or "written"
    """

    space: str
    rows: tuple[int, int]
    columns: tuple[int, int] = (0, 1)
    write: bool = False
    event: str = "done"

    def overlaps(self, other: Access) -> bool:
        return (
            self.rows[0] < other.rows[1]
            and other.rows[0] < self.rows[1]
            and self.columns[0] < other.columns[1]
            and other.columns[0] < self.columns[1]
            and self.space == other.space
        )

    def covers(self, other: Access) -> bool:
        return (
            self.rows[0] <= other.rows[0]
            and other.rows[1] <= self.rows[1]
            and self.columns[0] <= other.columns[0]
            and other.columns[1] <= self.columns[1]
            and self.space == other.space
        )


@dataclass
class Operation:
    """One RUN, or a MARK.

    Parameters
    ----------
    engine : who runs it
    registers : values or fields by name; those of before hold for the rest
    accesses : everything that it touches
    layer : for reports
    mark : a slot of the log, instead of a RUN
    rows : of the transformed tensor, that a load with a transform brings
    """

    engine: Engine
    registers: dict[str, int | Mapping[str, int]]
    accesses: list[Access] = field(default_factory=list)
    layer: str = ""
    mark: int | None = None
    rows: tuple[int, int] | None = None

    def conflicts(self, other: Operation) -> bool:
        """Whether the order of the two matters."""
        return any(a.overlaps(b) and (a.write or b.write) for a in self.accesses for b in other.accesses)
