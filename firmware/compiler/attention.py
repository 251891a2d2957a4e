"""Lowers attention: scores, Shiftmax and the product with V, the three of them on different blocks at a time."""

from __future__ import annotations

from dataclasses import dataclass

from firmware.compiler.emit import Emitter, records
from firmware.compiler.errors import CompileError
from firmware.compiler.layers import Attention
from firmware.compiler.memory import Home
from firmware.compiler.operations import Access
from gateware.isa import PostMode

__all__ = ["lower_attention"]


@dataclass
class _Head:
    """Places of a head's operands."""

    index: int
    q: int
    k: int
    v: int = -1  # known once it is loaded: after the last product of the head before


class _Attention:
    def __init__(self, emitter: Emitter, layer: Attention, qkv: Home, output: Home) -> None:
        self.emitter, self.layer, self.qkv, self.output = emitter, layer, qkv, output
        cfg = emitter.config
        self.tokens, self.width = qkv.rows, qkv.columns // 3 // layer.heads
        if self.width % 16:
            raise CompileError(
                f"{layer.name}: heads of {self.width} channels must be a multiple of 16; change dim or heads."
            )
        self.r, self.blocks = cfg.rows, -(-self.tokens // cfg.rows)
        self.steps = self.width // 4  # of a score tile
        self.columns = -(-self.tokens // 4)  # words of a row of probabilities, steps of its product with V
        self.halves = layer.softmax.bits > 8
        self.factors = []
        for rescale in (layer.scores, layer.rescale):
            table = records(layer.name, None, rescale.factor, 4, cfg.multiplier_bits)
            self.factors.append(emitter.memory.place(table, layer.name))

    def head(self, index: int) -> _Head:
        """Loads Q and K of a head."""
        emitter, name, first = self.emitter, self.layer.name, index * self.steps
        groups = self.columns
        head = _Head(
            index,
            emitter.a.take(self.blocks * self.steps, name),
            emitter.b.take(groups * self.steps, name),
        )
        emitter.slabs_to_a(self.qkv, self.tokens, (first, first + self.steps), head.q, self.steps)
        k_first = self.layer.heads * self.steps + first
        emitter.slabs_to_b(self.qkv, (k_first, k_first + self.steps), head.k, self.steps)
        return head

    def values(self, index: int) -> int:
        """Loads V of a head, transposed: tiles of four channels, steps of four tokens."""
        place = self.emitter.b.take(self.steps * self.columns, self.layer.name)
        first = (2 * self.layer.heads + index) * self.steps
        self.emitter.slabs_to_b(self.qkv, (first, first + self.steps), place, self.columns, transposed=True)
        return place

    def rows_of(self, block: int) -> int:
        return min(self.r, self.tokens - block * self.r)

    def scores(self, head: _Head, block: int, constants: int, probabilities: int) -> None:
        """Q K^T of a block, and its Shiftmax."""
        emitter = self.emitter
        slot = emitter.score_slot()
        emitter.execute(
            (head.q + block * self.steps, self.steps),
            (head.k, self.steps),
            self.steps,
            self.columns,
            (1, self.rows_of(block)),
            {"mode": PostMode.Q8, "to_scores": 1},
            (constants, 0, 4),
            {"SCORE_LENGTH": self.tokens},
            [slot],
        )
        emitter.softmax(
            slot,
            self.layer.softmax.exponential.step,
            self.tokens,
            self.rows_of(block),
            probabilities,
            self.columns,
            self.halves,
        )
        if block == self.blocks - 1:
            emitter.a.release(head.q)
            emitter.b.release(head.k)

    def product(self, head: _Head, block: int, constants: int, probabilities: int) -> None:
        """Probabilities times V of a block."""
        if head.v < 0:
            head.v = self.values(head.index)
        row, column = block * self.r, head.index * self.width
        rows = (row, row + self.rows_of(block))
        self.emitter.execute(
            (probabilities, 0),
            (head.v, self.columns),
            self.columns,
            self.steps,
            (1, self.rows_of(block)),
            {"mode": PostMode.Q8},
            (constants, 0, 4),
            {
                "OUT_BASE": self.output.column_base(column // 4),
                "OUT_SLAB": self.output.slab,
                "OUT_ROW": row,
            },
            [Access(self.output.name, rows, (column, column + self.width), write=True, event="written")],
            halves=self.halves,
        )
        if block == self.blocks - 1:
            self.emitter.b.release(head.v)


def lower_attention(emitter: Emitter, layer: Attention, qkv: Home, output: Home) -> None:
    """All heads: scores of block j + 1 stand before the product of block j, so that Shiftmax has time.

    Parameters
    ----------
    qkv : Q, K and V side by side
    output : the heads side by side
    """
    attention = _Attention(emitter, layer, qkv, output)
    words = attention.columns * (2 if attention.halves else 1)
    slots = [emitter.a.take(words, layer.name) for _ in range(2)]
    constants = [emitter.constants_to_chip(table, 4, layer.name) for table in attention.factors]
    before: tuple[_Head, int, int] | None = None
    turn = 0
    for index in range(layer.heads):
        head = attention.head(index)
        for block in range(attention.blocks):
            attention.scores(head, block, constants[0], slots[turn])
            if before is not None:
                attention.product(before[0], before[1], constants[1], before[2])
            before = head, block, slots[turn]
            turn = 1 - turn
    assert before is not None
    attention.product(before[0], before[1], constants[1], before[2])
    for place in slots:
        emitter.a.release(place)
    for place in constants:
        emitter.constants.release(place)
