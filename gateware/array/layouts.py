"""What travels through the array: operands, the control of a step, rows of results."""

from amaranth.hdl import Shape, signed
from amaranth.lib import data

from gateware.arith.checks import require_range

__all__ = ["DOT", "STORED_BITS", "Step", "column_operand_layout", "accumulator_row_layout", "row_operand_layout"]

DOT = 4  # products an element sums in a step
STORED_BITS = 9  # of an element of the shared operand in the A buffer, at most


class Step(data.Struct):
    """Control of one step, beside its operands.

    valid: the operands are one step; without it everything else is ignored and every accumulator holds.
    first: the step starts a tile: the accumulators are replaced, not added to.
    last: the step ends a tile: its results leave the array.
    shift: the accumulators are shifted left by 8 before the step's products are added (not with ``first``).
    unsigned: the shared operand's elements are nine bits without a sign, in an array whose `x_width` is 10.
    """

    valid: 1
    first: 1
    last: 1
    shift: 1
    unsigned: 1


def row_operand_layout(rows: int, x_width: int) -> data.ArrayLayout:
    """The shared operand: four elements of each of ``rows`` rows, of at most nine bits, as the A buffer has them."""
    return data.ArrayLayout(data.ArrayLayout(signed(min(x_width, STORED_BITS)), DOT), rows)


def column_operand_layout(columns: int, pack: int) -> data.ArrayLayout:
    """The packed operand: four int8 elements of each of ``pack`` channels of each of ``columns`` columns."""
    return data.ArrayLayout(data.ArrayLayout(data.ArrayLayout(signed(8), DOT), pack), columns)


def accumulator_row_layout(rows: int, channels: int, acc_width: int) -> data.StructLayout:
    """One row of a tile's results.

    valid: the other fields are a row. row: its number. last: it is the tile's last. data: ``channels`` accumulators,
    channel ``column * pack + lane``.
    """
    require_range("accumulator_row_layout", "rows", rows, 1)
    return data.StructLayout(
        {
            "valid": 1,
            "last": 1,
            "row": range(rows),
            "data": data.ArrayLayout(Shape(acc_width, signed=True), channels),
        }
    )
