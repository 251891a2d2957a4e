"""A UART: bytes over two wires, eight bits, no parity, one stop bit."""

from fractions import Fraction

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.arith.checks import require_range
from gateware.link.link import ByteStreams

__all__ = ["BITS_A_BYTE", "BOARD_BAUD", "Uart", "UartReceiver", "UartTransmitter", "phase_step"]

BOARD_BAUD = {"arty_a7_35": 12_000_000, "arty_a7_100": 12_000_000, "ulx3s_85f": 3_000_000}
"""Bits a second by configuration: the most of the FT2232 on the Artys and of the ULX3S's FT231X."""
BITS_A_BYTE = 10
"""On the wire: a start bit, eight bits, a stop bit."""

LEAST_RATIO = 4
MAJORITY_RATIO = 6  # from here on three samples lie well within a bit
PHASE_BITS = 20
BITS = 8


def phase_step(owner: str, clock_hz: int, baud: int) -> int:
    """Parts of a bit, 2 to the 20 of them, that pass in a clock cycle; raises ValueError for a ratio that is too small.

    The rate is off by half a part in the step, which is at least 1,024.
    """
    require_range(owner, "clock_hz", clock_hz, 1)
    require_range(owner, "baud", baud, 1)
    if clock_hz < LEAST_RATIO * baud:
        raise ValueError(
            f"{owner}: clock_hz must be at least {LEAST_RATIO} times baud, not {clock_hz / baud:.2f} times; "
            f"lower baud to {clock_hz // LEAST_RATIO} or less."
        )
    step = round(Fraction(baud << PHASE_BITS, clock_hz))
    if step < 1024:
        raise ValueError(
            f"{owner}: baud must be at least a 1,024th of clock_hz, not a {clock_hz // baud:,}th; raise baud."
        )
    return step


class UartTransmitter(wiring.Component):
    """Sends a byte in ten bits' time; a bit begins within a clock cycle of where it should.

    Parameters
    ----------
    clock_hz, baud : int
        Clock cycles and bits a second; 4 to 1,024 cycles a bit, and not only whole numbers of them.

    Members
    -------
    i : In(stream of 8 bits)
    tx : Out(1)
    """

    def __init__(self, clock_hz: int, baud: int) -> None:
        self.step = phase_step("UartTransmitter", clock_hz, baud)
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # What is still to be sent, the next bit lowest; the stop bit is the last 1 of it.
        bits, phase, tick = Signal(BITS + 2), Signal(PHASE_BITS), Signal()
        idle = Signal()
        m.d.comb += [idle.eq(bits == 0), self.i.ready.eq(idle | (tick & (bits == 1)))]
        m.d.sync += [Cat(phase, tick).eq(phase + self.step), self.tx.eq(idle | bits[0])]
        with m.If(tick):
            m.d.sync += bits.eq(bits >> 1)
        with m.If(idle):
            m.d.sync += [phase.eq(0), tick.eq(0)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += bits.eq(Cat(Const(0, 1), self.i.payload, Const(1, 1)))
        return m


class UartReceiver(wiring.Component):
    """Finds bytes on a wire whose rate may be off by 2 %; a byte is there half a bit before its stop bit ends.

    Each bit is sampled in its middle, three times and by majority from 6 clock cycles a bit on. A start bit that is
    over before its middle is none; a byte without a stop bit is dropped, and so is all until the wire rests again.

    Parameters
    ----------
    clock_hz, baud : int
        As for `UartTransmitter`.

    Members
    -------
    rx : In(1)
        Any signal; it is synchronised here.
    o : Out(stream of 8 bits)
        A byte waits here until the next one is complete; that one is lost if it still does.
    lost : Out(1)
        In that cycle.
    """

    def __init__(self, clock_hz: int, baud: int) -> None:
        self.step = phase_step("UartReceiver", clock_hz, baud)
        self.majority = clock_hz >= MAJORITY_RATIO * baud
        super().__init__({"rx": In(1), "o": Out(stream.Signature(8)), "lost": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        wire, before, earlier = Signal(init=1), Signal(init=1), Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, wire, init=1)
        m.d.sync += [before.eq(wire), earlier.eq(before)]
        sample = Signal()
        m.d.comb += sample.eq((wire & before) | (wire & earlier) | (before & earlier) if self.majority else wire)
        # The edge came half a cycle before it was seen, on average; the tick comes one cycle late, and the middle of
        # three samples is one cycle old.
        half_cycles = 1 if self.majority else 3
        first_phase = (1 << PHASE_BITS - 1) + half_cycles * self.step // 2
        phase, tick = Signal(PHASE_BITS), Signal()
        bits, left = Signal(BITS), Signal(range(BITS + 1))
        m.d.sync += Cat(phase, tick).eq(phase + self.step)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.FSM():
            with m.State("IDLE"), m.If(~wire):
                m.d.sync += [phase.eq(first_phase), tick.eq(0)]
                m.next = "START"
            with m.State("START"), m.If(tick):
                m.d.sync += left.eq(BITS)
                m.next = "BITS"
                with m.If(sample):
                    m.next = "IDLE"
            with m.State("BITS"), m.If(tick):
                m.d.sync += [bits.eq(Cat(bits[1:], sample)), left.eq(left - 1)]
                with m.If(left == 1):
                    m.next = "STOP"
            with m.State("STOP"), m.If(tick):
                m.next = "BROKEN"
                with m.If(sample):
                    m.d.comb += self.lost.eq(self.o.valid & ~self.o.ready)
                    with m.If(~self.lost):
                        m.d.sync += [self.o.payload.eq(bits), self.o.valid.eq(1)]
                    m.next = "IDLE"
            with m.State("BROKEN"), m.If(wire & before & earlier):
                m.next = "IDLE"
        return m


class Uart(wiring.Component):
    """Both directions: what the link's byte streams are joined with on a board.

    Parameters
    ----------
    clock_hz, baud : int
        As for `UartTransmitter`.

    Members
    -------
    rx : In(1), tx : Out(1)
        The wires, named as the device sees them.
    link : In(ByteStreams)
    lost : Out(1)
        A byte came while the one before it was not taken.
    """

    def __init__(self, clock_hz: int, baud: int) -> None:
        self.receiver, self.transmitter = UartReceiver(clock_hz, baud), UartTransmitter(clock_hz, baud)
        super().__init__({"rx": In(1), "tx": Out(1, init=1), "link": In(ByteStreams()), "lost": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = self.receiver
        m.submodules.transmitter = transmitter = self.transmitter
        connect(m, receiver.o, flipped(self.link.rx))
        connect(m, flipped(self.link.tx), transmitter.i)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx), self.lost.eq(receiver.lost)]
        return m
