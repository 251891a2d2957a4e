"""Loads what the compiler has made: weights in the order of their use, constants of channels, tables of rows."""

from __future__ import annotations

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.layers import Norm, Operand
from firmware.compiler.lower.operations import Access, EventKind, Operations, Space
from firmware.compiler.lower.records import records
from firmware.compiler.lower.registers import Descriptor, LoadConfig, LoadRegisters
from firmware.compiler.place.memory import Memory
from firmware.compiler.place.ring import Ring
from firmware.compiler.span import Span
from gateware.config import AcceleratorConfig
from gateware.isa import Engine, LoadTarget

__all__ = ["ConstantLoads", "modulo"]


class ConstantLoads:
    """Appends loads of consecutive beats.

    Parameters
    ----------
    config : the machine
    memory : where constants are placed
    ring : the constant memory
    operations : what loads are appended to
    norms : all of the model, in order
    """

    def __init__(
        self, config: AcceleratorConfig, memory: Memory, ring: Ring, operations: Operations, norms: list[Norm]
    ) -> None:
        self.config, self.memory, self.ring, self.operations = config, memory, ring, operations
        self.norms = norms
        self._norm: Norm | None = None  # whose constants LayerNorm holds

    def weights(self, base: int, beats: int, place: int) -> None:
        """From beat address `base` into B at `place`."""
        self._load(base, Span(place, place + beats), Space.B, LoadTarget.B)

    def channels(self, base: int, count: int) -> int:
        """Records of `count` channels into the constant memory; returns where they are."""
        place = self.ring.take(count, self.operations.layer)
        self._load(base, Span(place, place + count), Space.CONSTANTS, LoadTarget.CONSTANTS)
        return place

    def norm(self, norm: Norm) -> None:
        """Loads LayerNorm's constants, unless they are loaded already.

        Raises
        ------
        CompileError : there are more than it holds
        """
        if self._norm is norm:
            return
        channels = len(norm.bias)
        if channels > self.config.ln_channels:
            raise CompileError(
                f"{norm.name}: LayerNorm has {channels} channels, but the machine holds {self.config.ln_channels}; "
                "enlarge ln_channels in the configuration."
            )
        self._norm = norm
        content = records(norm.name, norm.bias, norm.rescale.factor, channels, self.config.multiplier_bits)
        base = self.memory.place(content, norm.name)
        self._load(base, Span(0, channels), Space.NORM, LoadTarget.LAYERNORM)

    def norm_after(self, operand: Operand) -> None:
        """Once a norm's rows are on their way, the constants of the one after it: they must not wait for the weights
        that come first.
        """
        if isinstance(operand, Norm):
            following = self.norms.index(operand) + 1
            if following < len(self.norms):
                self.norm(self.norms[following])

    def row_map(self, table: int, rows: Span) -> None:
        """The places of at most `max_rows` rows, from a table at that beat address, of one beat a row."""
        depth = self.config.max_rows
        for access in modulo(self.config, self.operations.layer, Space.ROW_MAP, rows, write=True):
            first = rows.start + (access.rows.start - rows.start) % depth  # of the rows that this access is of
            self._load(table + first, access.rows, Space.ROW_MAP, LoadTarget.ROW_MAP)

    def _load(self, base: int, places: Span, space: Space, target: LoadTarget) -> None:
        levels = ((places.size, 1),)
        registers = LoadRegisters(
            source=Descriptor(base, levels),
            destination=Descriptor(places.start, levels),
            config=LoadConfig(target=target),
        )
        self.operations.add(Engine.LOADB, registers, [Access(space, places, write=True)])


def modulo(
    config: AcceleratorConfig,
    layer: str,
    space: Space,
    rows: Span,
    *,
    write: bool = False,
    event: EventKind = EventKind.DONE,
) -> list[Access]:
    """Accesses to a memory of `max_rows` places, where row r has place r modulo `max_rows`.

    Raises
    ------
    CompileError : there are more rows
    """
    depth = config.max_rows
    if rows.size > depth:
        raise CompileError(
            f"{layer}: needs the {space.value} of {rows.size} rows at a time, but the machine keeps {depth}; "
            "enlarge max_rows in the configuration."
        )
    first, last = rows.start % depth, (rows.stop - 1) % depth + 1
    spans = [Span(first, last)] if first < last else [Span(first, depth), Span(0, last)]
    return [Access(space, span, write=write, event=event) for span in spans]
