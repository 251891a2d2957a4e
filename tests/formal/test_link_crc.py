"""Proofs of the link's CRC: it is the one of the definition, and `match` means what it says."""

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from gateware.link.crc32 import POLYNOMIAL, RESIDUE, Crc32
from tests.formal.prove import prove, refute


class Defined(wiring.Component):
    """The register beside one that goes bit by bit, as the standard defines it (reflected, init and final XOR ones)."""

    clear: In(1)
    valid: In(1)
    byte: In(8)

    def __init__(self, polynomial: int = POLYNOMIAL) -> None:
        self.polynomial = polynomial
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = Crc32()
        m.d.comb += [crc.clear.eq(self.clear), crc.valid.eq(self.valid), crc.byte.eq(self.byte)]
        register, following = Signal(32, init=0xFFFFFFFF), Signal(32)
        steps: Value = register
        for index in range(8):
            steps = Cat(steps[1:], Const(0, 1)) ^ Mux(steps[0] ^ self.byte[index], Const(self.polynomial, 32), 0)
        m.d.comb += following.eq(steps)
        with m.If(self.clear):
            m.d.sync += register.eq(0xFFFFFFFF)
        with m.Elif(self.valid):
            m.d.sync += register.eq(following)
        m.d.comb += Assert(crc.crc == ~register)
        return m


class Matched(wiring.Component):
    """After any four bytes, which bring the register to any state, four more match if and only if they are the CRC."""

    byte: In(8)

    def __init__(self, wrong_bit: bool = False) -> None:
        self.wrong_bit = wrong_bit
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = Crc32()
        count, expected, last = Signal(4), Signal(32), Signal(32)
        m.d.comb += [crc.valid.eq(1), crc.byte.eq(self.byte)]
        m.d.sync += [count.eq(Mux(count == 9, 9, count + 1)), last.eq(Cat(last[8:], self.byte))]
        with m.If(count == 4):
            m.d.sync += expected.eq(crc.crc ^ self.wrong_bit)
        with m.If(count == 8):
            m.d.comb += Assert(crc.match == (last == expected))
        return m


def test_it_is_the_crc_of_the_definition():
    prove(Defined(), 1, "prove")
    refute(Defined(POLYNOMIAL ^ 1 << 7), 3)


def test_a_match_is_the_crc():
    prove(Matched(), 10)
    refute(Matched(wrong_bit=True), 10)


def test_the_residue():
    # Of the message "" with its CRC of four zero bytes, by the definition.
    register = 0xFFFFFFFF
    for _ in range(32):
        register = register >> 1 ^ (POLYNOMIAL if register & 1 else 0)
    assert register ^ 0xFFFFFFFF == RESIDUE
