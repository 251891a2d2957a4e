"""Which rows of a layer are in the A buffer at the same time."""

from __future__ import annotations

from dataclasses import dataclass

from firmware.compiler.errors import CompileError
from firmware.compiler.span import Span
from gateware.config import AcceleratorConfig
from sim.reference.rounding import ceil_div

__all__ = ["Chunking", "chunks_of"]

FIRST_BLOCKS = 2  # of the first chunk behind what can start only when the layer before has ended
BLOCKS_AT_ONCE = 24  # behind a norm: so that not much is waited for before the first of them


@dataclass(frozen=True)
class Chunking:
    """Everything that decides a layer's chunks.

    Parameters
    ----------
    layer : for messages
    stride : words of a block of rows in A
    growth : how many times longer a chunk is than the one before it, while chunks are short: the first load overlaps
        with nothing, so that it should end soon; 0 where that does not matter
    most_rows : of a chunk
    reserve : words that are left, if possible, to the rows of the layer that follows
    """

    layer: str
    stride: int
    growth: int
    most_rows: int
    reserve: int


def chunks_of(config: AcceleratorConfig, rows: Span, chunking: Chunking) -> list[Span]:
    """Chunks of rows that fit the A buffer: all rows, or half the buffer, so that one loads while another is used.

    Raises
    ------
    CompileError : the buffer does not hold one block
    """
    r, depth, stride = config.rows, config.a_depth, chunking.stride
    blocks = ceil_div(rows.size, r)
    if stride > depth:
        raise CompileError(
            f"{chunking.layer}: a row of {4 * stride} columns takes {stride} words of the A buffer, which has {depth}; "
            "enlarge a_depth in the configuration."
        )
    at_once = chunking.growth < 2 or blocks <= BLOCKS_AT_ONCE
    if blocks * stride <= depth and rows.size <= chunking.most_rows and at_once:
        return [rows]
    # Weights pass once a chunk: where the array is faster, a chunk of few blocks would wait for memory.
    reserve = chunking.reserve if (depth - chunking.reserve) // 2 >= 2 * config.pump * stride else 0
    most = max(1, min((depth - reserve) // 2 // stride, chunking.most_rows // r))
    chunks, start = [], rows.start
    for size in _sizes(blocks, most, chunking.growth, few=config.pump > 1):
        if start < rows.stop:
            chunks.append(Span(start, min(rows.stop, start + r * size)))
        start += r * size
    return chunks


def _sizes(blocks: int, most: int, growth: int, few: bool) -> list[int]:
    """Blocks of each chunk: short ones first, then equal ones of at most `most`; as few as there can be where `few`
    says that one more costs more than the first one's load, and they do not grow.
    """
    sizes: list[int] = []
    if few and growth == 1:
        whole = ceil_div(blocks, most) - 1
        return [blocks - whole * most] + [most] * whole
    while growth and FIRST_BLOCKS * growth ** len(sizes) < min(most, blocks - sum(sizes)):
        sizes.append(FIRST_BLOCKS * growth ** len(sizes))
        growth = growth if growth > 1 else 0
    left = blocks - sum(sizes)
    count = ceil_div(left, most)
    return sizes + [ceil_div(left, count)] * count
