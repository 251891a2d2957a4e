"""Dyadic factors m / 2^e, and the constants of a channel that is rescaled by one."""

from amaranth.hdl import signed
from amaranth.lib import data, memory

from gateware.arith.round_shift import SHIFT_BITS

__all__ = ["channel_layout", "channel_write_port", "dyadic_layout"]


def dyadic_layout(multiplier_bits: int) -> data.StructLayout:
    """A factor m / 2^e with |m| below 2^multiplier_bits."""
    return data.StructLayout({"multiplier": signed(multiplier_bits + 1), "shift": SHIFT_BITS})


def channel_layout(multiplier_bits: int) -> data.StructLayout:
    """A channel's constants: its bias, and the factor m / 2^e that multiplies the sum.

    `isa.Constants` is the same record in its memory layout.
    """
    return data.StructLayout({"bias": signed(32), **dict(dyadic_layout(multiplier_bits).members)})


def channel_write_port(channels: int, multiplier_bits: int) -> memory.WritePort.Signature:
    """The write port of a memory of that many channels' constants."""
    return memory.WritePort.Signature(addr_width=(channels - 1).bit_length(), shape=channel_layout(multiplier_bits))
