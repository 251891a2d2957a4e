"""Builds operations from what they mean."""

from __future__ import annotations

from collections.abc import Mapping

from firmware.compiler.errors import CompileError
from firmware.compiler.lower.loads import Loads
from firmware.compiler.lower.operations import Access
from firmware.program.allocation import Allocation
from firmware.program.layout import SLAB_COLUMNS
from gateware.config import LANES
from gateware.isa import Engine

__all__ = ["Emitter"]


class Emitter(Loads):
    """Loads, and operations of the array and of Shiftmax; see `Loads`."""

    def execute(
        self,
        a: tuple[int, int],
        b: tuple[int, int],
        steps: int,
        tiles: int,
        blocks: tuple[int, int],
        post: Mapping[str, int],
        constants: tuple[int, int, int],
        registers: dict[str, int | Mapping[str, int]],
        accesses: list[Access],
        halves: bool = False,
    ) -> None:
        """One RUN. `a`, `b`: place and stride; `blocks`: how many, rows of the last; `constants`: place, stride a tile,
        and how many are used.
        """
        span_a = steps * (2 if halves else 1)
        self._add(
            Engine.EXEC,
            {
                "A_BASE": a[0],
                "A_BLOCK_STRIDE": a[1],
                "B_BASE": b[0],
                "B_TILE_STRIDE": b[1],
                "STEPS": {"k_steps": steps, "halves": int(halves)},
                "TILES": tiles,
                "BLOCKS": {"blocks": blocks[0], "rows_last": blocks[1]},
                "POST": post,
                "CONST_BASE": constants[0],
                "CONST_TILE_STRIDE": constants[1],
                **registers,
            },
            [
                Access("A", (a[0], a[0] + (blocks[0] - 1) * a[1] + span_a), event="read"),
                Access("B", (b[0], b[0] + (tiles - 1) * b[1] + steps), event="read"),
                Access("constants", (constants[0], constants[0] + constants[2]), event="written"),
                *accesses,
            ],
        )

    def stores(self, tensor: Allocation, rows: tuple[int, int], columns: tuple[int, int]) -> list[Access]:
        """The accesses of an operation that stores there: also to the whole of each tensor that was in that place."""
        places = [(tensor.name, rows, columns)]
        for one in self.memory.former(tensor):
            places.append((one.name, (0, one.slab), (0, LANES * SLAB_COLUMNS * one.slabs)))
        return [Access(*place, write=True, event="written") for place in places]

    def score_slot(self) -> Access:
        """The score memory's block that the next scores go to."""
        slot = self._score_blocks % 2
        self._score_blocks += 1
        return Access("scores", (slot, slot + 1), write=True, event="written")

    def softmax(self, slot: Access, x0: int, length: int, rows: int, place: int, words: int, halves: bool) -> None:
        """Shiftmax of a block of scores into A at `place`."""
        if x0 >> self.config.softmax_x0_bits:
            raise CompileError(
                f"{self.layer}: Shiftmax with |x0| = {x0}, and the machine holds {self.config.softmax_x0_bits} bits; "
                "quantise again, or enlarge softmax_x0_bits in the configuration."
            )
        if length > self.config.softmax_length:
            raise CompileError(
                f"{self.layer}: rows of {length} scores, and the machine holds {self.config.softmax_length}; enlarge "
                "softmax_length in the configuration."
            )
        self._add(
            Engine.VEC,
            {"X0": x0, "LENGTH": {"length": length}, "ROWS": rows, "A_BASE": place, "A_LOW": words if halves else 0},
            [
                Access("scores", slot.rows),
                Access("A", (place, place + words * (2 if halves else 1)), write=True),
            ],
        )
