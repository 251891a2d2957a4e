"""Lets a second, slow user have a memory port beside the machine's."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.arith.checks import require_range
from gateware.memory.fifo import StreamFifo
from gateware.memory.port import MemoryPort, ReadPort, WritePort
from gateware.memory.register import StreamRegister

__all__ = ["MemoryShare"]


class MemoryShare(wiring.Component):
    """The guest goes first whenever it asks, as it asks seldom: the machine loses those cycles and no more.

    One command a cycle, one word a cycle each way; it adds one cycle to a command and two to the word of a write.
    Commands of both keep the order in which they were accepted here. The guest may withdraw what was not accepted.

    Parameters
    ----------
    address_bits : int
        Bits of a beat address.
    writes_ahead : int
        Writes whose words may be missing; a power of two.
    in_flight : int
        Reads that may be under way; a power of two.

    Members
    -------
    machine : In(MemoryPort)
    read : In(ReadPort), write : In(WritePort)
        The guest.
    memory : Out(MemoryPort)
    """

    def __init__(self, address_bits: int, writes_ahead: int = 16, in_flight: int = 64) -> None:
        require_range("MemoryShare", "writes_ahead", writes_ahead, 2, 256)
        require_range("MemoryShare", "in_flight", in_flight, 2, 256)
        # Whose the words are that memory takes and brings next: 1 is the guest.
        self.words, self.answers = StreamFifo(1, writes_ahead), StreamFifo(1, in_flight)
        super().__init__(
            {
                "machine": In(MemoryPort(address_bits)),
                "read": In(ReadPort(address_bits)),
                "write": In(WritePort(address_bits)),
                "memory": Out(MemoryPort(address_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        machine, memory = self.machine, self.memory
        m.submodules.commands = commands = StreamRegister(memory.cmd.payload.shape())
        m.submodules.words = words = self.words
        m.submodules.answers = answers = self.answers
        connect(m, commands.o, flipped(memory.cmd))

        held, word = Signal(), Signal(memory.wdata.payload.shape(), reset_less=True)  # the guest's
        room, guest, we, accepted = Signal(), Signal(), Signal(), Signal()
        writing = Signal()
        m.d.comb += [
            room.eq(commands.i.ready & words.i.ready & answers.i.ready),
            writing.eq(self.write.beat.valid & ~held),
            guest.eq(writing | self.read.cmd.valid),
            we.eq(Mux(guest, writing, machine.cmd.payload.we)),
            accepted.eq(room & (guest | machine.cmd.valid)),
            commands.i.valid.eq(accepted),
            commands.i.payload.we.eq(we),
            commands.i.payload.address.eq(
                Mux(
                    guest,
                    Mux(writing, self.write.beat.payload.address, self.read.cmd.payload),
                    machine.cmd.payload.address,
                )
            ),
            words.i.valid.eq(accepted & we),
            words.i.payload.eq(guest),
            answers.i.valid.eq(accepted & ~we),
            answers.i.payload.eq(guest),
            machine.cmd.ready.eq(room & ~guest),
            self.write.beat.ready.eq(room & ~held),
            self.read.cmd.ready.eq(room & ~writing),
        ]
        with m.If(self.write.beat.valid & self.write.beat.ready):
            m.d.sync += [
                held.eq(1),
                word.data.eq(self.write.beat.payload.data),
                word.mask.eq(self.write.beat.payload.mask),
            ]

        for_guest = words.o.payload
        m.d.comb += [
            memory.wdata.valid.eq(words.o.valid & (for_guest | machine.wdata.valid)),
            memory.wdata.payload.eq(Mux(for_guest, word, machine.wdata.payload)),
            machine.wdata.ready.eq(memory.wdata.ready & words.o.valid & ~for_guest),
            words.o.ready.eq(memory.wdata.ready & (for_guest | machine.wdata.valid)),
        ]
        with m.If(words.o.valid & for_guest & memory.wdata.ready):
            m.d.sync += held.eq(0)

        m.d.comb += [
            memory.rdata.ready.eq(1),
            answers.o.ready.eq(memory.rdata.valid),
            machine.rdata.valid.eq(memory.rdata.valid & ~answers.o.payload),
            machine.rdata.payload.eq(memory.rdata.payload),
            self.read.valid.eq(memory.rdata.valid & answers.o.payload),
            self.read.beat.eq(memory.rdata.payload),
        ]
        return m
