"""Operations of the array and of Shiftmax."""

from __future__ import annotations

from dataclasses import dataclass

from firmware.compiler.errors import CompileError
from firmware.compiler.lower.operations import Access, EventKind, Operations, Space
from firmware.compiler.lower.registers import (
    ArrayRegisters,
    Blocks,
    ExecuteRegisters,
    Length,
    OutputRegisters,
    Post,
    ResidualRegisters,
    ScoreRegisters,
    SkipRegisters,
    SoftmaxRegisters,
    Steps,
)
from firmware.compiler.place.memory import Memory
from firmware.compiler.span import Span, Strided
from firmware.program.allocation import Allocation
from firmware.program.layout import SLAB_COLUMNS
from gateware.config import LANES, AcceleratorConfig
from gateware.isa import Engine
from sim.reference.rounding import ceil_div

__all__ = ["ArrayOperations", "Product", "Softmax"]

SCORE_BLOCKS = 2  # that the score memory holds

Setup = OutputRegisters | ScoreRegisters | ResidualRegisters | SkipRegisters


@dataclass(frozen=True, kw_only=True)
class Product:
    """Rows in A times tiles of four columns in B.

    Parameters
    ----------
    a : place of the first block of rows, and words from one to the next
    b : place of the first tile, and beats from one to the next
    steps : of four products each, a tile
    rows, tiles : how many
    halves : A's operands are in two halves, one behind the other
    constants : place of the first tile's, and channels from one tile's to the next
    post : what becomes of the accumulators
    unsigned : A's elements are nine bits without a sign
    """

    a: Strided
    b: Strided
    steps: int
    rows: int
    tiles: int
    constants: Strided
    post: Post
    halves: bool = False
    unsigned: bool = False


@dataclass(frozen=True, kw_only=True)
class Softmax:
    """Shiftmax of a block of scores.

    Parameters
    ----------
    scores : the block
    x0 : the scores' |x0|
    length, rows : of the block
    to : place in A, and words of a row of probabilities
    halves : probabilities have 16 bits, in two halves
    """

    scores: Access
    x0: int
    length: int
    rows: int
    to: Strided
    halves: bool


class ArrayOperations:
    """Appends products and Shiftmax.

    Parameters
    ----------
    config : the machine
    memory : tells what was in a tensor's place
    operations : what is appended to
    """

    def __init__(self, config: AcceleratorConfig, memory: Memory, operations: Operations) -> None:
        self.config, self.memory, self.operations = config, memory, operations
        self._score_blocks = 0

    def execute(self, product: Product, setup: list[Setup], accesses: list[Access]) -> None:
        """One RUN of EXEC. `setup` says where results go and what they are added to, `accesses` what that touches."""
        a, b, steps, constants = product.a, product.b, product.steps, product.constants
        blocks = ceil_div(product.rows, self.config.rows)
        array = ArrayRegisters(
            a_base=a.base,
            a_block_stride=a.stride,
            b_base=b.base,
            b_tile_stride=b.stride,
            steps=Steps(k_steps=steps, halves=product.halves, unsigned=product.unsigned),
            tiles=product.tiles,
            blocks=Blocks(blocks=blocks, rows_last=product.rows - (blocks - 1) * self.config.rows),
            post=product.post,
            const_base=constants.base,
            const_tile_stride=constants.stride,
        )
        read = [
            Access(Space.A, a.span(blocks, steps * (2 if product.halves else 1)), event=EventKind.READ),
            Access(Space.B, b.span(product.tiles, steps), event=EventKind.READ),
            Access(Space.CONSTANTS, constants.span(product.tiles, LANES), event=EventKind.WRITTEN),
        ]
        self.operations.add(Engine.EXEC, ExecuteRegisters(array, tuple(setup)), [*read, *accesses])

    def stores(self, tensor: Allocation, rows: Span, columns: Span) -> list[Access]:
        """The accesses of an operation that stores there, among them each whole tensor that used the place before."""
        places = [(tensor.name, rows, columns)]
        for one in self.memory.former(tensor):
            places.append((one.name, Span(0, one.slab), Span(0, LANES * SLAB_COLUMNS * one.slabs)))
        return [Access(*place, write=True, event=EventKind.WRITTEN) for place in places]

    def score_block(self) -> Access:
        """The block of the score memory to which the next scores go."""
        block = self._score_blocks % SCORE_BLOCKS
        self._score_blocks += 1
        return Access(Space.SCORES, Span(block, block + 1), write=True, event=EventKind.WRITTEN)

    def softmax(self, softmax: Softmax) -> None:
        """One RUN of VEC.

        Raises
        ------
        CompileError : the machine has no |x0| so large, or no rows so long
        """
        cfg, layer, halves = self.config, self.operations.layer, softmax.halves
        if softmax.x0 >> cfg.softmax_x0_bits:
            raise CompileError(
                f"{layer}: Shiftmax has |x0| = {softmax.x0}, but the machine holds {cfg.softmax_x0_bits} bits; "
                "quantise again, or enlarge softmax_x0_bits in the configuration."
            )
        if softmax.length > cfg.softmax_length:
            raise CompileError(
                f"{layer}: rows have {softmax.length} scores, but the machine holds {cfg.softmax_length}; enlarge "
                "softmax_length in the configuration."
            )
        to = softmax.to
        registers = SoftmaxRegisters(
            x0=softmax.x0,
            length=Length(length=softmax.length),
            rows=softmax.rows,
            a_base=to.base,
            a_low=to.stride if halves else 0,
        )
        written = Access(Space.A, Span(to.base, to.base + to.stride * (2 if halves else 1)), write=True)
        self.operations.add(Engine.VEC, registers, [Access(Space.SCORES, softmax.scores.rows), written])
