"""Whether a request may be carried out: its turn, its length, its address."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.config import BEAT_BYTES
from gateware.link.packets import CRC_BYTES, MAX_PAYLOAD, REQUEST, Command, Status
from gateware.link.receiver import SLOT_BYTES

__all__ = ["WORD_BYTES", "RequestChecks", "RequestPort"]

OVERHEAD = REQUEST.size + CRC_BYTES
WORD_BYTES = 4
PAGE_BITS = 10
CONTROL_COMMANDS = (Command.CONTROL_READ, Command.CONTROL_WRITE)
SPECIAL = {Command.WRITE, Command.READ, Command.CONTROL_WRITE, Command.RUN}


class RequestPort(wiring.Signature):
    """A request, as whoever has it shows it.

    Members
    -------
    header : Out(REQUEST.layout), packet_length : Out(11)
        The header, and the whole packet's bytes.
    running : Out(1)
        A program runs; this one is looked at without delay.
    """

    def __init__(self) -> None:
        super().__init__(
            {"header": Out(REQUEST.layout), "packet_length": Out(range(SLOT_BYTES + 1)), "running": Out(1)}
        )


class RequestChecks(wiring.Component):
    """What docs/link.md says of lengths, addresses and numbers; the answers are there one cycle after the inputs.

    Parameters
    ----------
    memory_beats : int
        Size of the memory, a multiple of 64.

    Members
    -------
    request : In(RequestPort)
    session : In(16), opened : In(1), following : In(8)
        The device's session, if there is one, and the number that it waits for.
    verdict : Out(Status)
        What the request deserves if it is its turn.
    same : Out(1)
        It is of the device's session.
    behind : Out(8)
        How many requests after it were carried out, modulo 256.
    """

    def __init__(self, memory_beats: int) -> None:
        require_range("RequestChecks", "memory_beats", memory_beats, 1, 1 << 28)
        if memory_beats * BEAT_BYTES % (1 << PAGE_BITS):
            raise ValueError(
                f"RequestChecks: memory_beats must be a multiple of {(1 << PAGE_BITS) // BEAT_BYTES}, not "
                f"{memory_beats}; leave the rest of memory out."
            )
        self.memory_beats = memory_beats
        super().__init__(
            {
                "request": In(RequestPort()),
                "session": In(16),
                "opened": In(1),
                "following": In(8),
                "verdict": Out(4),
                "same": Out(1),
                "behind": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request = self.request.header
        command, address, length = request.command, request.address, request.length
        # Memory is whole pages and a request shorter than one: its end is in the page that it begins in, or the next.
        page, pages = address[PAGE_BITS:], self.memory_beats * BEAT_BYTES >> PAGE_BITS
        outside, in_last, end = Signal(), Signal(), Signal(PAGE_BITS + 1)
        matches, bare, fits, misaligned = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            self.same.eq(self.opened & (request.session == self.session)),
            self.behind.eq(self.following - request.sequence - 1),
            # Plain bits where the number of pages is a power of two.
            outside.eq(page[pages.bit_length() - 1 :].any() if pages & (pages - 1) == 0 else page >= pages),
            in_last.eq((page ^ (pages - 1))[: pages.bit_length()] == 0),
            end.eq(address[:PAGE_BITS] + length[:PAGE_BITS]),
            matches.eq(self.request.packet_length == length + OVERHEAD),
            bare.eq(self.request.packet_length == OVERHEAD),
            fits.eq((length != 0) & (length <= MAX_PAYLOAD)),
            misaligned.eq(0),
        ]
        with m.Switch(command):
            with m.Case(Command.RUN):
                m.d.sync += misaligned.eq(address[:4] != 0)
            with m.Case(*CONTROL_COMMANDS):
                m.d.sync += misaligned.eq(address[:2] != 0)

        right_length, bounded, known = Signal(), Signal(), Signal(init=1)
        m.d.comb += right_length.eq(bare & matches)
        with m.Switch(command):
            with m.Case(Command.WRITE):
                m.d.comb += [right_length.eq(matches & fits), bounded.eq(1)]
            with m.Case(Command.READ):
                m.d.comb += [right_length.eq(bare & fits), bounded.eq(1)]
            with m.Case(Command.CONTROL_WRITE):
                m.d.comb += right_length.eq(matches & (length == WORD_BYTES))
            with m.Case(Command.RUN):
                m.d.comb += bounded.eq(1)
            with m.Case(*sorted(set(Command) - SPECIAL)):
                pass
            with m.Default():
                m.d.comb += known.eq(0)

        with m.If(~known):
            m.d.comb += self.verdict.eq(Status.UNKNOWN_COMMAND)
        with m.Elif(~right_length):
            m.d.comb += self.verdict.eq(Status.WRONG_LENGTH)
        with m.Elif(misaligned):
            m.d.comb += self.verdict.eq(Status.MISALIGNED)
        with m.Elif(bounded & (outside | (in_last & end[PAGE_BITS] & (end[:PAGE_BITS] != 0)))):
            m.d.comb += self.verdict.eq(Status.ADDRESS_RANGE)
        with m.Elif((command == Command.RUN) & self.request.running):
            m.d.comb += self.verdict.eq(Status.BUSY)
        return m
