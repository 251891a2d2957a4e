"""Additions that synthesis packs into one LUT a bit, whatever logic chooses one of the operands."""

from amaranth.hdl import Cat, Const, Value

__all__ = ["add"]


def add(plain: Value, chosen: Value, carry: Value | None = None) -> Value:
    """``plain + chosen + carry``, one bit longer than the longer operand; signed, or unsigned if both are.

    A LUT of a carry chain takes the exclusive-or of the operands, with the logic in front of one of them; the other one
    goes past it and must be a register, or it costs a second LUT. Of a sum, Yosys picks which is which by their names;
    of a difference it does not. So this is ``plain - ~chosen - 1``, with the carry as a borrow from a bit below.

    Parameters
    ----------
    plain
        The operand that goes past the LUTs.
    chosen
        The operand with logic in front of it.
    carry
        One bit.
    """
    carry = Const(0, 1) if carry is None else carry
    signed = plain.shape().signed or chosen.shape().signed
    left = Cat(carry, plain) if plain.shape().signed else Cat(carry, plain, Const(0, 1))
    right = Cat(~carry, ~chosen) if chosen.shape().signed else Cat(~carry, ~chosen, Const(1, 1))
    total = (left.as_signed() - right.as_signed())[1 : max(len(plain), len(chosen)) + 2]
    return total.as_signed() if signed else total
