"""Blocks of scores for Shiftmax's bench, and what must become of them."""

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.reference.arithmetic import Arithmetic
from sim.reference.nonlinear import integer_softmax
from sim.reference.rounding import ceil_div

__all__ = ["Block", "expected", "one_hot_block", "random_block", "score_words", "tight_block"]

IntArray = npt.NDArray[np.int64]


@dataclass
class Block:
    scores: IntArray  # (rows, length)
    masked: npt.NDArray[np.bool_]
    x0: int


def expected(block: Block, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The words of a block, in order."""
    arithmetic, bits = Arithmetic(**settings["arithmetic"]), settings["bits"]
    p = integer_softmax(arithmetic, block.x0, bits).apply(block.scores, block.masked)
    rows, length = p.shape
    p = np.pad(p, ((0, 0), (0, -length % 4)))
    result = []
    for row in range(rows):
        for word in range(p.shape[1] // 4):
            four = p[row, 4 * word : 4 * word + 4]
            low = ((four + 128) & 255) - 128
            parts = [(0, four)] if bits <= 10 else [(1, low), (0, (four - low) >> 8)]
            for is_low, part in parts:
                last = not is_low and row == rows - 1 and 4 * word + 4 == p.shape[1]
                result.append({"row": row, "word": word, "data": part.tolist(), "low": is_low, "last": int(last)})
    return result


def score_words(block: Block, rng: random.Random) -> list[tuple[int, int, int, int]]:
    """(row, word, data, mask) in the order of the array's drain; columns past the end hold anything."""
    rows, length = block.scores.shape
    writes = []
    for word in range(ceil_div(length, 4)):
        for row in range(rows):
            data = mask = 0
            for column in range(4 * word, 4 * word + 4):
                inside = column < length
                score = int(block.scores[row, column]) if inside else rng.choice([127, -128, rng.randrange(-128, 128)])
                masked = bool(block.masked[row, column]) if inside else rng.random() < 0.5
                data |= (score & 255) << (8 * (column % 4))
                mask |= masked << (column % 4)
            writes.append((row, word, data, mask))
    return writes


def random_block(rows: int, length: int, x0: int, rng: random.Random, mask: float) -> Block:
    scores = []
    for _ in range(rows):
        offset, spread = rng.randrange(-128, 128), rng.choice([0, 1, 5, 20, 60])
        one_hot = [-128] * length
        one_hot[rng.randrange(length)] = 127
        scores.append(
            {
                0: [-128] * length,
                1: [127] * length,
                2: one_hot,
                3: [rng.randrange(-128, 128) for _ in range(length)],
                4: [max(-128, 127 - column) for column in range(length)],
            }.get(rng.randrange(8))
            or [max(-128, min(127, round(rng.gauss(offset, spread)))) for _ in range(length)]
        )
    masked = np.array([[rng.random() < mask for _ in range(length)] for _ in range(rows)])
    masked[np.arange(rows), [rng.randrange(length) for _ in range(rows)]] = False
    return Block(np.array(scores), masked, x0)


def tight_block(rows: int, settings: dict[str, Any], rng: random.Random) -> Block | None:
    """Rows of one scale that round otherwise where the quotient of their sum is one more or one less; None: none found.

    Errors in the last bits of a sum or of a quotient show in them, and hardly anywhere else.
    """
    arithmetic, bits, length = Arithmetic(**settings["arithmetic"]), settings["bits"], min(16, settings["max_length"])
    x0 = rng.choice([1, 2, 3, 5, 7])
    softmax = integer_softmax(arithmetic, x0, bits)
    drawn = np.random.default_rng(rng.getrandbits(32)).integers(-12, 1, (4000, length)) * rng.choice([1, 2, 3]) + 60
    e = softmax.exponential.apply(drawn - drawn.max(axis=1, keepdims=True))
    quotient = ((1 << 31) - 1) // e.sum(axis=1, keepdims=True)
    half = 1 << (31 - bits) if arithmetic.softmax_half_up else 0
    exact, less, more = ((e * (quotient + change) + half >> (32 - bits)) for change in (0, -1, 1))
    tight = drawn[((exact != less) | (exact != more)).any(axis=1)][:rows]
    return Block(tight, np.zeros(tight.shape, dtype=bool), x0) if len(tight) else None


def one_hot_block(rows: int, column: int) -> Block:
    """All of a row's probability in one column."""
    scores = np.full((rows, 8), -128)
    scores[:, column % 8] = 127
    return Block(scores, np.zeros(scores.shape, dtype=bool), 2)
