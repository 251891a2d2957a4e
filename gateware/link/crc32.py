"""CRC-32 (ISO-HDLC: that of Ethernet and zlib), a byte a cycle."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["POLYNOMIAL", "RESIDUE", "Crc32", "after_bits"]

POLYNOMIAL = 0xEDB88320
"""Bit-reversed, as the register holds it: the lowest bit is the next one to leave."""
INITIAL = 0xFFFFFFFF
RESIDUE = 0x2144DF1C
"""The CRC of any message that is followed by its CRC, lowest byte first."""


def after_bits(register: int, bits: int) -> int:
    """The register after that many zero bits: the definition, a bit at a time."""
    for _ in range(bits):
        register = register >> 1 ^ (POLYNOMIAL if register & 1 else 0)
    return register


class Crc32(wiring.Component):
    """The CRC of the bytes since ``clear``; the register is linear, so a byte's eight steps are one layer of XORs.

    Members
    -------
    clear : In(1)
        Begin anew; goes before ``valid``.
    byte : In(8), valid : In(1)
        The next byte.
    crc : Out(32)
        Of the bytes before this cycle.
    match : Out(1)
        They end with the CRC, lowest byte first, of those before it.
    """

    clear: In(1)
    byte: In(8)
    valid: In(1)
    crc: Out(32)
    match: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        register = Signal(32, init=INITIAL)
        leaving = register[:8] ^ self.byte
        following = register[8:]
        for index in range(8):
            following = following ^ Mux(leaving[index], Const(after_bits(1 << index, 8), 32), 0)
        with m.If(self.clear):
            m.d.sync += register.eq(INITIAL)
        with m.Elif(self.valid):
            m.d.sync += register.eq(following)
        m.d.comb += [self.crc.eq(~register), self.match.eq(register == (RESIDUE ^ INITIAL))]
        return m
