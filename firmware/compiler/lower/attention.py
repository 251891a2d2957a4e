"""Lowers attention: scores, Shiftmax and the product with V, which work on different blocks at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.layers import Attention
from firmware.compiler.lower.array import Product, Setup, Softmax
from firmware.compiler.lower.constants import modulo
from firmware.compiler.lower.emitter import Emitter
from firmware.compiler.lower.operations import EventKind, Space
from firmware.compiler.lower.records import records
from firmware.compiler.lower.registers import OutputRegisters, Post, ScoreRegisters
from firmware.compiler.lower.score_bias import ScoreBiasTables
from firmware.compiler.place.output import OutputPlacement
from firmware.compiler.span import Span, Strided
from firmware.program.allocation import Allocation
from gateware.config import BEAT_BYTES, LANE_BYTES, LANES, in_halves
from gateware.isa import PostMode
from sim.reference.rescale import Rescale
from sim.reference.rounding import ceil_div

__all__ = ["lower_attention"]

QUERY, KEY, VALUE = range(3)  # parts of the tensor of Q, K and V
BLOCKS_AT_A_TIME = 2  # whose probabilities are in A


@dataclass
class _Head:
    """A head of a window: the rows of its tokens, and the places of its operands."""

    window: int
    index: int
    rows: Span
    q: int
    k: int
    v: int | None = None  # known once it is loaded: after the last product of the head before


@dataclass(frozen=True)
class _Block:
    """A block of a head's rows, and where its probabilities are."""

    head: _Head
    index: int
    probabilities: int


def lower_attention(emitter: Emitter, layer: Attention, qkv: Allocation, output: OutputPlacement) -> None:
    """All heads of all windows: scores of block j + 1 stand before the product of block j, so that Shiftmax has time.

    Parameters
    ----------
    qkv : Q, K and V side by side
    output : the heads side by side, with a table of rows where they are not as those of `qkv`
    """
    attention = _Attention(emitter, layer, qkv, output)
    before: _Block | None = None
    for block in attention.blocks():
        attention.scores(block)
        if before is not None:
            attention.product(before)
        before = block
    assert before is not None
    attention.product(before)
    attention.release()


class _Attention:
    """One layer.

    Attributes
    ----------
    tokens, pitch, windows : of a window; rows from one window to the next; how many
    steps : of a score tile, words of a row of Q or K
    columns : words of a row of probabilities, and steps of its product with V
    halves : probabilities have 16 bits, in two halves
    """

    def __init__(self, emitter: Emitter, layer: Attention, qkv: Allocation, output: OutputPlacement) -> None:
        self.emitter, self.layer, self.qkv, self.output = emitter, layer, qkv, output
        self.windows = 1 if layer.windows is None else layer.windows.count
        self.tokens = qkv.rows if layer.windows is None else layer.windows.tokens
        self.pitch = qkv.rows // self.windows
        self.width = qkv.columns // 3 // layer.heads
        if self.width % BEAT_BYTES:
            raise CompileError(
                f"{layer.name}: heads of {self.width} channels must be a multiple of 16; change dim or heads."
            )
        self.rows_a_block = emitter.config.rows
        self.steps, self.columns = self.width // LANE_BYTES, ceil_div(self.tokens, LANES)
        self.halves = in_halves(layer.softmax.bits)
        tables = [self._table(rescale) for rescale in (layer.scores, layer.rescale)]
        self.bias = None
        if layer.bias is not None:
            self.bias = ScoreBiasTables(emitter, layer.bias, layer.regions, self.windows)
        words = self.columns * (2 if self.halves else 1)
        self._probabilities = [emitter.a.take(words, layer.name) for _ in range(BLOCKS_AT_A_TIME)]
        self._constants = [emitter.constants.channels(table, LANES) for table in tables]

    def _table(self, rescale: Rescale) -> int:
        """The place in memory of a rescale's constants, which hold for the whole tensor."""
        bits = self.emitter.config.multiplier_bits
        return self.emitter.memory.place(records(self.layer.name, None, rescale.factor, LANES, bits), self.layer.name)

    def blocks(self) -> Iterator[_Block]:
        """All blocks of all heads. Each comes when the loads of its head's Q and K have been appended."""
        turn = 0
        for window in range(self.windows):
            first = window * self.pitch
            rows = Span(first, first + self.tokens)
            if self.output.table is not None:
                self.emitter.constants.row_map(self.output.table.base, rows)
            for index in range(self.layer.heads):
                head = self._head(window, index, rows)
                for block in range(ceil_div(self.tokens, self.rows_a_block)):
                    yield _Block(head, block, self._probabilities[turn])
                    turn = (turn + 1) % BLOCKS_AT_A_TIME

    def scores(self, block: _Block) -> None:
        """Q K^T of a block, and its Shiftmax."""
        emitter, head, rows = self.emitter, block.head, self._rows(block)
        scores = emitter.array.score_block()
        post = Post(mode=PostMode.Q8, to_scores=True)
        setup: list[Setup] = [ScoreRegisters(score_length=self.tokens)]
        if self.bias is not None:
            post = Post(mode=PostMode.RESIDUAL, to_scores=True, int8=True)
            setup += [self.bias.skip(head.window, head.index, block.index * self.rows_a_block), self.bias.factors]
        product = Product(
            a=Strided(head.q + block.index * self.steps, self.steps),
            b=Strided(head.k, self.steps),
            steps=self.steps,
            rows=rows.size,
            tiles=self.columns,
            constants=Strided(self._constants[0], 0),
            post=post,
        )
        emitter.array.execute(product, setup, [scores])
        softmax = Softmax(
            scores=scores,
            x0=self.layer.softmax.exponential.step,
            length=self.tokens,
            rows=rows.size,
            to=Strided(block.probabilities, self.columns),
            halves=self.halves,
        )
        emitter.array.softmax(softmax)
        if self._is_last(block):
            emitter.a.release(head.q)
            emitter.b.release(head.k)

    def product(self, block: _Block) -> None:
        """Probabilities times V of a block."""
        emitter, head, rows = self.emitter, block.head, self._rows(block)
        if head.v is None:
            head.v = self._values(head)
        tensor, table, column = self.output.allocation, self.output.table, head.index * self.width
        accesses = emitter.array.stores(tensor, self.output.rows(rows), Span(column, column + self.width))
        counted = rows.start
        if table is not None:
            counted %= emitter.config.max_rows
            accesses += modulo(emitter.config, self.layer.name, Space.ROW_MAP, rows, event=EventKind.WRITTEN)
        product = Product(
            a=Strided(block.probabilities, 0),
            b=Strided(head.v, self.columns),
            steps=self.columns,
            rows=rows.size,
            tiles=self.steps,
            constants=Strided(self._constants[1], 0),
            post=Post(mode=PostMode.Q8, scatter=table is not None),
            halves=self.halves,
            unsigned=emitter.config.unsigned_probabilities,
        )
        base = tensor.column_base(column // LANE_BYTES)
        place = OutputRegisters(out_base=base, out_slab=tensor.slab, out_row=counted)
        emitter.array.execute(product, [place], accesses)
        if self._is_last(block):
            emitter.b.release(head.v)

    def release(self) -> None:
        """Gives back what the whole layer holds on the chip."""
        for place in self._probabilities:
            self.emitter.a.release(place)
        for place in self._constants:
            self.emitter.channels.release(place)

    def _head(self, window: int, index: int, rows: Span) -> _Head:
        """Loads Q and K of a head."""
        emitter, name = self.emitter, self.layer.name
        blocks = ceil_div(self.tokens, self.rows_a_block)
        q = Strided(emitter.a.take(blocks * self.steps, name), self.steps)
        k = Strided(emitter.b.take(self.columns * self.steps, name), self.steps)
        emitter.operands.slabs_to_a(self.qkv, rows, self._columns(QUERY, index), q)
        emitter.operands.slabs_to_b(self.qkv, rows, self._columns(KEY, index), k)
        return _Head(window, index, rows, q.base, k.base)

    def _values(self, head: _Head) -> int:
        """Loads V of a head, transposed: tiles of four channels, steps of four tokens."""
        v = Strided(self.emitter.b.take(self.steps * self.columns, self.layer.name), self.columns)
        columns = self._columns(VALUE, head.index)
        self.emitter.operands.slabs_to_b(self.qkv, head.rows, columns, v, transposed=True)
        return v.base

    def _columns(self, part: int, head: int) -> Span:
        """Beat columns of a head's Q, K or V."""
        first = (part * self.layer.heads + head) * self.steps
        return Span(first, first + self.steps)

    def _rows(self, block: _Block) -> Span:
        """The rows in the tensor of Q, K and V."""
        first = block.head.rows.start + block.index * self.rows_a_block
        return Span(first, min(first + self.rows_a_block, block.head.rows.stop))

    def _is_last(self, block: _Block) -> bool:
        """Whether it is the last block of its head."""
        return self._rows(block).stop == block.head.rows.stop
