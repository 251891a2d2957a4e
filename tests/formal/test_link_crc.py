"""Proofs of the link's CRC: it is the one of the definition, and a match means what the receiver takes it for."""

import zlib

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from gateware.arith.delay import delay_line
from gateware.link.packets import CRC_BYTES, PACKET_CRC
from tests.formal.prove import prove, refute

POLYNOMIAL = 0xEDB88320  # bit-reversed, as the register of the definition holds it: the lowest bit leaves next


class Defined(wiring.Component):
    """The CRC beside a register that goes bit by bit, as the standard defines it (reflected, init and final XOR ones).

    A byte that comes with `start` is the first one of the new message.
    """

    start: In(1)
    valid: In(1)
    byte: In(8)

    def __init__(self, polynomial: int = POLYNOMIAL) -> None:
        self.polynomial = polynomial
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = PACKET_CRC(8).create()
        m.d.comb += [crc.start.eq(self.start), crc.valid.eq(self.valid), crc.data.eq(self.byte)]
        register, following = Signal(32, init=0xFFFFFFFF), Signal(32)
        steps: Value = Mux(self.start, 0xFFFFFFFF, register)
        for index in range(8):
            steps = Cat(steps[1:], Const(0, 1)) ^ Mux(steps[0] ^ self.byte[index], Const(self.polynomial, 32), 0)
        m.d.comb += following.eq(steps)
        with m.If(self.valid):
            m.d.sync += register.eq(following)
        with m.Elif(self.start):
            m.d.sync += register.eq(0xFFFFFFFF)
        m.d.comb += Assert(crc.crc == ~register)
        return m


class Matched(wiring.Component):
    """Four bytes match if and only if they are the CRC of those before them.

    Solvers are slow with exclusive-ors, so the four bytes are proven one by one: of `count` right bytes, and of no
    others, the upper `count` bytes of the CRC tell; the lower ones are what is left of the CRC that was to be sent.
    """

    byte: In(8)

    def __init__(self, wrong_bit: bool = False) -> None:
        self.wrong_bit = wrong_bit
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = PACKET_CRC(8).create()
        m.d.comb += [crc.valid.eq(1), crc.data.eq(self.byte)]
        sent = delay_line(m, crc.crc ^ self.wrong_bit, CRC_BYTES, "sent", reset=True)
        known = delay_line(m, Const(1, 1), CRC_BYTES, "known", reset=True)
        right: Value = Const(1, 1)
        for count in range(CRC_BYTES + 1):
            # After the empty message, whose CRC is 0, the right bytes are zeros.
            pattern, upper = zlib.crc32(bytes(count)), 8 * (CRC_BYTES - count)
            with m.If(known[count]):
                m.d.comb += Assert((crc.crc[upper:] == pattern >> upper) == right)
                with m.If(right):
                    m.d.comb += Assert(crc.crc == sent[count][8 * count :] ^ pattern)
            if count < CRC_BYTES:
                following = Signal(name=f"right_{count + 1}")
                m.d.sync += following.eq(right & (self.byte == sent[count].word_select(count, 8)))
                right = following
        with m.If(known[CRC_BYTES]):
            m.d.comb += Assert(crc.match_detected == right)
        return m


def test_it_is_the_crc_of_the_definition():
    prove(Defined(), 1, "prove")
    refute(Defined(POLYNOMIAL ^ 1 << 7), 3)


def test_a_match_is_the_crc():
    prove(Matched(), 1, "prove")
    refute(Matched(wrong_bit=True), CRC_BYTES + 1)


def test_it_is_the_crc_of_the_host():
    message = bytes(range(256))
    assert PACKET_CRC(8).compute(message) == zlib.crc32(message)
