"""Which rows a layer takes at a time."""

from __future__ import annotations

from firmware.compiler.errors import CompileError
from gateware.config import AcceleratorConfig

__all__ = ["chunks_of"]

FIRST_BLOCKS = 2  # of the first chunk behind what can start only when the layer before has ended
BLOCKS_AT_ONCE = 24  # behind a norm: so that not much is waited for before the first of them


def chunks_of(
    config: AcceleratorConfig, rows: tuple[int, int], stride: int, what: str, growth: int, most_rows: int, reserve: int
) -> list[tuple[int, int]]:
    """Row ranges that fit the A buffer: all at once, or half of it, so that one is loaded while another is used.

    `growth`: nothing overlaps with the first load, so that it is a short one; later ones are so many times longer.
    `reserve` words are left, if possible, to the rows of the layer that follows.
    """
    r, depth = config.rows, config.a_depth
    first, last = rows
    blocks = -(-(last - first) // r)
    if stride > depth:
        raise CompileError(
            f"{what}: a row of {4 * stride} columns takes {stride} words of the A buffer, which has {depth}; enlarge "
            "a_depth in the configuration."
        )
    if blocks * stride <= depth and last - first <= most_rows and (growth < 2 or blocks <= BLOCKS_AT_ONCE):
        return [rows]
    reserve = reserve if (depth - reserve) // 2 >= 2 * stride else 0
    most = max(1, min((depth - reserve) // 2 // stride, most_rows // r))
    sizes: list[int] = []
    while growth and FIRST_BLOCKS * growth ** len(sizes) < min(most, blocks - sum(sizes)):
        sizes.append(FIRST_BLOCKS * growth ** len(sizes))
        growth = growth if growth > 1 else 0
    left = blocks - sum(sizes)
    count = -(-left // most)
    sizes += [-(-left // count)] * count
    starts = [first + r * sum(sizes[:index]) for index in range(len(sizes))]
    return [(start, min(last, start + r * size)) for start, size in zip(starts, sizes, strict=True) if start < last]
