"""What goes into the postprocessor, through it and out of it."""

from amaranth.hdl import signed
from amaranth.lib import data, enum

from gateware.arith.round_shift import SHIFT_BITS
from gateware.config import LANES
from gateware.isa import PostMode

__all__ = [
    "TERM_BITS",
    "Part",
    "Pass",
    "admitted_layout",
    "branch_layout",
    "factor_layout",
    "lane_set_layout",
    "rescaled_row_layout",
    "shorts_layout",
    "sum_layout",
    "terms_layout",
    "tile_job_layout",
]

TERM_BITS = 20
"""Bits of a residual's rounded product that are added exactly; see `RescaleLane`."""


class Part(enum.Enum, shape=2):  # type: ignore[call-arg]  # Amaranth's enumerations have a shape
    """What of a tile passes the lanes: its accumulators; a residual's skip operand; its rescaled accumulators again."""

    ACCUMULATORS = 0
    SKIP = 1
    BRANCH = 2


class Pass(data.Struct):
    """What goes beside a row's numbers through the lanes; ``last``: it is the part's last row that counts."""

    part: Part
    mode: PostMode
    clamp_packed: 1
    narrow: 1
    last: 1
    row: 6


def factor_layout(multiplier_bits: int) -> data.StructLayout:
    """A dyadic factor m / 2^e, as sign and magnitude of m."""
    return data.StructLayout({"magnitude": multiplier_bits, "negative": 1, "shift": SHIFT_BITS})


def sum_layout(bits: int) -> data.StructLayout:
    """A rounded sum that is ``value``, or, with ``over``, too large for it in the direction ``negative``."""
    return data.StructLayout({"value": signed(bits), "over": 1, "negative": 1})


def shorts_layout() -> data.ArrayLayout:
    """Four columns of a row, 16 bits each."""
    return data.ArrayLayout(signed(16), LANES)


def terms_layout() -> data.ArrayLayout:
    """Four columns of a row of rounded products, which a residual's other product is added to."""
    return data.ArrayLayout(sum_layout(TERM_BITS + 1), LANES)


def tile_job_layout(rows: int) -> data.StructLayout:
    """What to make of a tile: its ``mode`` (`PostMode`); ``clamp_packed``, int8 stops at -127; ``int8``, results (and
    a residual's branch) stop at int8 in any mode; ``rows``, how many of its rows count, at least 1.
    """
    return data.StructLayout({"mode": PostMode, "clamp_packed": 1, "int8": 1, "rows": range(rows + 1)})


def lane_set_layout(rows: int, multiplier_bits: int) -> data.StructLayout:
    """Biases and factors of the four lanes, for one part of a tile.

    ``final`` is the last row that counts; ``narrow``: results have 8 bits.
    """
    return data.StructLayout(
        {
            "part": Part,
            "mode": PostMode,
            "clamp_packed": 1,
            "narrow": 1,
            "final": range(rows),
            "bias": data.ArrayLayout(signed(32), LANES),
            "factor": data.ArrayLayout(factor_layout(multiplier_bits), LANES),
        }
    )


def admitted_layout(acc_width: int, multiplier_bits: int) -> data.StructLayout:
    """A row that enters the lanes; ``valid``: in this cycle."""
    return data.StructLayout(
        {
            "valid": 1,
            "beside": Pass,
            "number": data.ArrayLayout(signed(acc_width), LANES),
            "bias": data.ArrayLayout(signed(32), LANES),
            "factor": data.ArrayLayout(factor_layout(multiplier_bits), LANES),
        }
    )


def branch_layout(rows: int) -> data.StructLayout:
    """A row of a residual's branch, as it is kept; ``valid``: in this cycle."""
    return data.StructLayout({"valid": 1, "row": range(rows), "values": shorts_layout()})


def rescaled_row_layout(rows: int) -> data.StructLayout:
    """Four results of row ``row``, sign-extended; ``last``: the tile's last row that counts; ``masked``: of a RESIDUAL,
    that its sum is below all that scores have, -32768 to -16385.
    """
    return data.StructLayout(
        {
            "data": data.ArrayLayout(signed(32), LANES),
            "row": range(rows),
            "last": 1,
            "mode": PostMode,
            "masked": LANES,
        }
    )
