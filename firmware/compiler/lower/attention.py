"""Lowers attention: scores, Shiftmax and the product with V, the three of them on different blocks at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.layers import Attention, ScoreBias
from firmware.compiler.lower.emit import Emitter
from firmware.compiler.lower.matmul import residual_registers
from firmware.compiler.lower.operations import Access
from firmware.compiler.lower.records import records
from firmware.compiler.place.output import OutputPlacement
from firmware.program.allocation import Allocation
from gateware.isa import PostMode
from sim.reference.rescale import Dyadic, ResidualAdd
from sim.reference.rounding import IntArray

__all__ = ["lower_attention"]

# What masks a score when it is added (docs/machine.md): the sum stays below every score and its bit 14 is 0.
MASK = -24576
MOST_TERM = 8192  # magnitude of what else is added


@dataclass
class _Head:
    """A head of a window: where its rows begin, and places of its operands."""

    window: int
    index: int
    row: int
    q: int
    k: int
    v: int = -1  # known once it is loaded: after the last product of the head before


@dataclass
class _Bias:
    """Tables of what is added to scores: one for each head and each way in which a window is masked."""

    registers: dict[str, int | Mapping[str, int]]
    kinds: list[int]  # of each window
    tables: dict[tuple[int, int], Allocation] = field(default_factory=dict)  # by head and kind


class _Attention:
    def __init__(
        self,
        emitter: Emitter,
        layer: Attention,
        qkv: Allocation,
        output: OutputPlacement,
    ) -> None:
        self.emitter, self.layer, self.qkv, self.output = emitter, layer, qkv, output.allocation
        self.table = output.table
        cfg = emitter.config
        windows = layer.windows
        self.tokens = qkv.rows if windows is None else windows.tokens
        self.pitch = qkv.rows if windows is None else qkv.rows // windows.count
        self.windows = 1 if windows is None else windows.count
        self.width = qkv.columns // 3 // layer.heads
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
        self.bias = None if layer.bias is None else self._bias(layer.bias)

    def _bias(self, bias: ScoreBias) -> _Bias:
        if np.abs(bias.terms).max() >= MOST_TERM:
            raise CompileError(
                f"{bias.name}: a relative-position bias adds {np.abs(bias.terms).max()} to scores, and the machine's "
                f"limit is {MOST_TERM - 1}; quantise again with other calibration images."
            )
        add = ResidualAdd(bias.factor, Dyadic(np.array(1), np.array(0)), 8)
        masks: dict[bytes, tuple[int, IntArray]] = {}
        kinds = []
        regions = self.layer.regions
        for window in range(self.windows):
            region = np.zeros(self.tokens, np.int64) if regions is None else regions[window]
            different = region[:, None] != region[None, :]
            kinds.append(masks.setdefault(different.tobytes(), (len(masks), different))[0])
        result = _Bias(residual_registers(bias.name, add, (8, 16), self.emitter.config.multiplier_bits), kinds)
        for kind, different in masks.values():
            for head, terms in enumerate(bias.terms):
                table = np.zeros((self.tokens, 4 * self.columns), np.int64)
                table[:, : self.tokens] = np.where(different, MASK, terms)
                name = f"{bias.name}.head {head}, windows {kind}"
                result.tables[head, kind] = self.emitter.memory.constant(name, table, 2)
        return result

    def head(self, window: int, index: int) -> _Head:
        """Loads Q and K of a head."""
        emitter, name, first = self.emitter, self.layer.name, index * self.steps
        row = window * self.pitch
        rows = (row, row + self.tokens)
        head = _Head(
            window,
            index,
            row,
            emitter.a.take(self.blocks * self.steps, name),
            emitter.b.take(self.columns * self.steps, name),
        )
        emitter.slabs_to_a(self.qkv, rows, (first, first + self.steps), head.q, self.steps)
        k_first = self.layer.heads * self.steps + first
        emitter.slabs_to_b(self.qkv, rows, (k_first, k_first + self.steps), head.k, self.steps)
        return head

    def values(self, head: _Head) -> int:
        """Loads V of a head, transposed: tiles of four channels, steps of four tokens."""
        place = self.emitter.b.take(self.steps * self.columns, self.layer.name)
        first = (2 * self.layer.heads + head.index) * self.steps
        rows = (head.row, head.row + self.tokens)
        self.emitter.slabs_to_b(self.qkv, rows, (first, first + self.steps), place, self.columns, transposed=True)
        return place

    def rows_of(self, block: int) -> int:
        return min(self.r, self.tokens - block * self.r)

    def scores(self, head: _Head, block: int, constants: int, probabilities: int) -> None:
        """Q K^T of a block, and its Shiftmax."""
        emitter = self.emitter
        slot = emitter.score_slot()
        post: dict[str, int] = {"mode": PostMode.Q8, "to_scores": 1}
        registers: dict[str, int | Mapping[str, int]] = {"SCORE_LENGTH": self.tokens}
        if self.bias is not None:
            table = self.bias.tables[head.index, self.bias.kinds[head.window]]
            post = {"mode": PostMode.RESIDUAL, "to_scores": 1, "octets": 1}
            registers |= {
                "SKIP_BASE": table.base,
                "SKIP_SLAB": table.slab,
                "SKIP_ROW": block * self.r,
                **self.bias.registers,
            }
        emitter.execute(
            (head.q + block * self.steps, self.steps),
            (head.k, self.steps),
            self.steps,
            self.columns,
            (1, self.rows_of(block)),
            post,
            (constants, 0, 4),
            registers,
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
            head.v = self.values(head)
        emitter, row, column = self.emitter, head.row + block * self.r, head.index * self.width
        rows = (row, row + self.rows_of(block))
        post: dict[str, int] = {"mode": PostMode.Q8}
        base, counted = self.output.column_base(column // 4), row
        accesses: list[Access] = []
        if self.table is None:
            places = rows
        else:
            places = self.table.range(rows)
            post["scatter"], counted = 1, row % emitter.config.max_rows
            accesses = emitter.modulo("row map", rows, event="written")
        columns = (column, column + self.width)
        emitter.execute(
            (probabilities, 0),
            (head.v, self.columns),
            self.columns,
            self.steps,
            (1, self.rows_of(block)),
            post,
            (constants, 0, 4),
            {"OUT_BASE": base, "OUT_SLAB": self.output.slab, "OUT_ROW": counted},
            [*emitter.stores(self.output, places, columns), *accesses],
            halves=self.halves,
        )
        if block == self.blocks - 1:
            emitter.b.release(head.v)


def lower_attention(emitter: Emitter, layer: Attention, qkv: Allocation, output: OutputPlacement) -> None:
    """All heads of all windows: scores of block j + 1 stand before the product of block j, so that Shiftmax has time.

    Parameters
    ----------
    qkv : Q, K and V side by side
    output : the heads side by side, with a table of rows where they are not as those of `qkv`
    """
    attention = _Attention(emitter, layer, qkv, output)
    words = attention.columns * (2 if attention.halves else 1)
    slots = [emitter.a.take(words, layer.name) for _ in range(2)]
    constants = [emitter.constants_to_chip(table, 4, layer.name) for table in attention.factors]
    before: tuple[_Head, int, int] | None = None
    turn = 0
    for window in range(attention.windows):
        if output.table is not None:
            first = window * attention.pitch
            emitter.row_map(output.table.base, (first, first + attention.tokens))
        for index in range(layer.heads):
            head = attention.head(window, index)
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
