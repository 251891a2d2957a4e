"""Operations of the machine, each with everything that it touches."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from firmware.compiler.lower.registers import Registers
from firmware.compiler.span import Span
from gateware.isa import Engine

__all__ = ["Access", "EventKind", "Operation", "Operations", "Space"]


class Space(enum.Enum):
    """What operations read and write on the chip; tensors in memory go by their names."""

    A = "A"
    B = "B"
    CONSTANTS = "constants"
    NORM = "norm"
    SCORES = "scores"
    MAXIMA = "maxima"
    ROW_MAP = "row map"


class EventKind(enum.StrEnum):
    """What an engine says of an operation: all of it is over, or of the array that its operands are read, its results
    written. Values are the names of RUN's fields.
    """

    DONE = "done"
    READ = "read"
    WRITTEN = "written"


@dataclass(frozen=True)
class Access:
    """A rectangle of something that an operation reads or writes.

    Parameters
    ----------
    space : of the chip, or the name of a tensor in memory
    rows, columns : one-dimensional spaces have one column
    write : whether it is written
    event : which event of the operation says that this access is over
    """

    space: Space | str
    rows: Span
    columns: Span = Span(0, 1)
    write: bool = False
    event: EventKind = EventKind.DONE

    def overlaps(self, other: Access) -> bool:
        """Whether both touch a common place."""
        return self.rows.overlaps(other.rows) and self.columns.overlaps(other.columns) and self.space == other.space

    def covers(self, other: Access) -> bool:
        """Whether it touches everything that the other one touches."""
        return self.rows.covers(other.rows) and self.columns.covers(other.columns) and self.space == other.space


@dataclass(frozen=True)
class Operation:
    """One RUN, or a MARK.

    Parameters
    ----------
    engine : who runs it
    registers : what is set before; those that are not hold from before
    accesses : everything that it touches
    layer : for reports
    mark : a slot of the log, instead of a RUN
    rows : of the transformed tensor, that a load with a transform brings
    """

    engine: Engine
    registers: Registers | None = None
    accesses: tuple[Access, ...] = ()
    layer: str = ""
    mark: int | None = None
    rows: Span | None = None


@dataclass
class Operations:
    """Operations in program order, layer by layer.

    Members
    -------
    found : all so far
    marks : the layer of each slot of the log
    """

    found: list[Operation] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)

    @property
    def layer(self) -> str:
        """The layer to which added operations belong."""
        return self.marks[-1] if self.marks else ""

    def begin(self, layer: str) -> None:
        """Begins a layer: the operations that follow belong to it, and the log gets a mark."""
        self.found.append(Operation(Engine.EXEC, layer=layer, mark=len(self.marks)))
        self.marks.append(layer)

    def add(self, engine: Engine, registers: Registers, accesses: list[Access], rows: Span | None = None) -> None:
        self.found.append(Operation(engine, registers, tuple(accesses), self.layer, rows=rows))
