"""The link with a small machine beside it, with the emulator's ports: what it did can be read from its counters."""

import enum

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.link.datagrams import PEER_BITS
from gateware.link.link import ByteStreams, Link
from gateware.link.packets import MAX_PAYLOAD, PROTOCOL_VERSION, WINDOW, Identity
from gateware.link.peer_port import PeerPort
from gateware.link.uart import Uart
from gateware.memory.arbiter import MemoryArbiter
from gateware.memory.port import MemoryPort

__all__ = [
    "ACCESS_TIMEOUT_BITS",
    "ADDRESS_BITS",
    "BUS_ERROR",
    "BUS_SILENT",
    "CONSTANT",
    "FRAME_TIMEOUT_BITS",
    "IDENTITY",
    "REGISTERS",
    "Counter",
    "LinkBoard",
    "UartBoard",
]

ADDRESS_BITS = 12
REGISTERS = 4  # on the control bus, from address 0 on
BUS_ERROR, BUS_SILENT = 0x100, 0x200  # addresses that answer with an error, and never
FRAME_TIMEOUT_BITS, ACCESS_TIMEOUT_BITS = 12, 9


class Counter(enum.IntEnum):
    """The machine's counters."""

    STARTS = 0
    STOPS = 1
    PROGRAM = 2
    CONTROL_WRITES = 3
    CONSTANT = 4


CONSTANT = 0xFEDCBA98
IDENTITY = Identity(PROTOCOL_VERSION, MAX_PAYLOAD, 0x1234ABCD, 1 << ADDRESS_BITS, 100_000, len(Counter), WINDOW)


class LinkBoard(wiring.Component):
    """A program does nothing but last `duration` cycles and end with the error `outcome`.

    `blocked` stops memory from taking anything.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "link": Out(ByteStreams()),
                "peers": Out(PeerPort(PEER_BITS)),
                "memory": Out(MemoryPort(ADDRESS_BITS)),
                "busy": Out(1),
                "duration": In(24),
                "outcome": In(4),
                "blocked": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.link = link = Link(IDENTITY, ADDRESS_BITS, FRAME_TIMEOUT_BITS, ACCESS_TIMEOUT_BITS, PEER_BITS)
        m.submodules.arbiter = arbiter = MemoryArbiter(ADDRESS_BITS, 1, 1, guests=1)
        connect(m, link.link, flipped(self.link))
        connect(m, link.peers, flipped(self.peers))
        connect(m, link.read, arbiter.read[0])
        connect(m, link.write, arbiter.write[0])
        connect(m, arbiter.memory, flipped(self.memory))
        free = Signal()
        m.d.comb += [
            free.eq(~self.blocked),
            self.memory.cmd.valid.eq(arbiter.memory.cmd.valid & free),
            arbiter.memory.cmd.ready.eq(self.memory.cmd.ready & free),
        ]

        machine, left = link.machine, Signal(24)
        m.d.comb += [machine.busy.eq(left != 0), machine.counters[Counter.CONSTANT].eq(CONSTANT)]
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 1):
                m.d.sync += machine.error.eq(self.outcome)
        with m.If(machine.start):
            m.d.sync += [
                left.eq(self.duration),
                machine.error.eq(0),
                machine.counters[Counter.STARTS].eq(machine.counters[Counter.STARTS] + 1),
                machine.counters[Counter.PROGRAM].eq(machine.program),
            ]
        with m.If(machine.stop):
            m.d.sync += [left.eq(0), machine.counters[Counter.STOPS].eq(machine.counters[Counter.STOPS] + 1)]

        bus, registers = link.control, Signal(32 * REGISTERS)
        chosen, asked = bus.adr[: (REGISTERS - 1).bit_length()], Signal()
        m.d.comb += asked.eq(bus.cyc & bus.stb & ~bus.ack & ~bus.err)
        m.d.sync += [
            bus.ack.eq(asked & (bus.adr < REGISTERS)),
            bus.err.eq(asked & (bus.adr == BUS_ERROR >> 2)),
            bus.dat_r.eq(Mux(bus.adr < REGISTERS, registers.word_select(chosen, 32), 0xBADBAD)),
        ]
        with m.If(asked & bus.we & (bus.adr < REGISTERS)):
            m.d.sync += [
                registers.word_select(chosen, 32).eq(bus.dat_w),
                machine.counters[Counter.CONTROL_WRITES].eq(machine.counters[Counter.CONTROL_WRITES] + 1),
            ]
        return m


class UartBoard(wiring.Component):
    """The same behind a UART."""

    def __init__(self, clock_hz: int, baud: int) -> None:
        self.uart = Uart(clock_hz, baud)
        board = {"duration": In(24), "outcome": In(4), "blocked": In(1), "memory": Out(MemoryPort(ADDRESS_BITS))}
        super().__init__({"rx": In(1), "tx": Out(1, init=1), "busy": Out(1), **board})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.board = board = LinkBoard()
        m.submodules.uart = uart = self.uart
        connect(m, board.link, uart.link)
        connect(m, board.memory, flipped(self.memory))
        m.d.comb += [uart.rx.eq(self.rx), self.tx.eq(uart.tx), self.busy.eq(board.busy)]
        for name in ("duration", "outcome", "blocked"):
            m.d.comb += getattr(board, name).eq(getattr(self, name))
        return m
