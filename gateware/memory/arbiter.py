"""Shares the memory port between the accelerator's readers and writers, and guests."""

from amaranth.hdl import Array, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.arith.checks import require_range
from gateware.config import BEAT_BITS
from gateware.contracts import require
from gateware.memory.port import MemoryPort, ReadPort, WritePort
from gateware.stream.fifo import StreamFifo
from gateware.stream.register import StreamRegister

__all__ = ["MemoryArbiter"]


class MemoryArbiter(wiring.Component):
    """One client at a time has the port, for up to ``burst`` beats as long as it keeps asking; then the next in turn.

    DRAM is fast with bursts. Within a burst there is one beat a cycle. A change of owner costs one cycle if the last
    owner has stopped asking.

    Parameters
    ----------
    address_bits : int
        Bits of a beat address.
    readers, writers : int
        Clients of each kind.
    burst : int
        Beats after which a waiting client gets its turn.
    in_flight : int
        Reads that may be under way; a power of two.
    guests : int
        That many readers and writers, the last ones, are not the accelerator's: they go on while it is cleared, and
        are not counted.

    Members
    -------
    memory : Out(MemoryPort)
    read : In(ReadPort) x readers
    write : In(WritePort) x writers
    stop : In(1)
        Accept nothing more of the accelerator's and drop what returns: it is being cleared.
    answered : Out(1)
        All reads of the accelerator are answered, and no beat of any client arrives in this cycle.
    quiet : Out(1)
        It is ``answered``, and no client's command or word waits for memory.
    reads, writes : Out(1)
        A command of that kind of the accelerator's goes out in this cycle.
    """

    def __init__(
        self, address_bits: int, readers: int, writers: int, burst: int = 32, in_flight: int = 64, guests: int = 0
    ) -> None:
        require_range("MemoryArbiter", "readers", readers, 1, 16)
        require_range("MemoryArbiter", "writers", writers, 1, 16)
        require_range("MemoryArbiter", "burst", burst, 1, 256)
        self.readers, self.writers, self.burst, self.in_flight = readers, writers, burst, in_flight
        require_range("MemoryArbiter", "guests", guests, 0, min(readers, writers))
        self.address_bits, self.guests = address_bits, guests
        super().__init__(
            {
                "memory": Out(MemoryPort(address_bits)),
                "read": In(ReadPort(address_bits)).array(readers),
                "write": In(WritePort(address_bits)).array(writers),
                "stop": In(1),
                "answered": Out(1),
                "quiet": Out(1),
                "reads": Out(1),
                "writes": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        clients = self.readers + self.writers
        signature = self.memory.signature.members
        m.submodules.commands = commands = StreamRegister(signature["cmd"].signature.members["payload"].shape)
        m.submodules.words = words = StreamFifo(signature["wdata"].signature.members["payload"].shape, 4)
        m.submodules.tags = tags = StreamFifo(range(max(2, self.readers)), self.in_flight)
        connect(m, commands.o, flipped(self.memory.cmd))
        connect(m, words.o, flipped(self.memory.wdata))

        is_guest = [index >= kind - self.guests for kind in (self.readers, self.writers) for index in range(kind)]
        stopped = [Const(0, 1) if guest else self.stop for guest in is_guest]
        valid = [port.cmd.valid for port in self.read] + [port.beat.valid for port in self.write]
        wants = [asks & ~stop for asks, stop in zip(valid, stopped, strict=True)]
        owner = Signal(range(clients))
        asking, transfer, is_read, counted = Signal(), Signal(), Signal(), Signal()
        reader = owner[: max(1, (self.readers - 1).bit_length())]
        room = commands.i.ready & tags.i.ready & words.i.ready
        m.d.comb += [
            asking.eq(Array(wants)[owner]),
            is_read.eq(owner < self.readers),
            transfer.eq(asking & room),
            commands.i.valid.eq(transfer),
            commands.i.payload.we.eq(~is_read),
            words.i.valid.eq(transfer & ~is_read),
            tags.i.valid.eq(transfer & is_read),
            tags.i.payload.eq(reader),
            counted.eq(transfer & ~Array(is_guest)[owner]),
            self.reads.eq(counted & is_read),
            self.writes.eq(counted & ~is_read),
        ]
        addresses = [port.cmd.payload for port in self.read] + [port.beat.payload.address for port in self.write]
        m.d.comb += commands.i.payload.address.eq(Array(addresses)[owner])
        writer = self._elaborate_turns(m, wants, owner, asking, transfer, room)
        beats = [port.beat.payload for port in self.write]
        m.d.comb += [
            words.i.payload.data.eq(Array([b.data for b in beats])[writer]),
            words.i.payload.mask.eq(Array([b.mask for b in beats])[writer]),
        ]
        for index, port in enumerate(self.read):
            m.d.comb += port.cmd.ready.eq(room & (owner == index) & ~stopped[index])
        for index, write_port in enumerate(self.write):
            place = self.readers + index
            m.d.comb += write_port.beat.ready.eq(room & (owner == place) & ~stopped[place])
        arrived, unanswered = self._elaborate_answers(m, platform, tags)
        m.d.comb += [
            self.answered.eq((unanswered == 0) & ~arrived),
            self.quiet.eq(self.answered & ~commands.o.valid & (words.level == 0) & ~words.o.valid),
        ]
        return m

    def _elaborate_turns(
        self, m: Module, wants: list[Value], owner: Signal, asking: Signal, transfer: Signal, room: Value
    ) -> Signal:
        """The next ``owner``, and the writer whose data are chosen: a register of its own, as much depends on owner."""
        clients = len(wants)
        budget, writer = Signal(range(self.burst)), Signal(range(max(2, self.writers)), reset_less=True)
        others, following = Signal(), Signal(range(clients))
        with m.If(transfer & (budget != 0)):
            m.d.sync += budget.eq(budget - 1)
        m.d.comb += [others.eq(0), following.eq(owner)]
        # The first client after the owner that asks: later entries of this chain are nearer, and win.
        for distance in range(clients - 1, 0, -1):
            candidate = Array([(index + distance) % clients for index in range(clients)])[owner]
            with m.If(Array(wants)[candidate]):
                m.d.comb += [following.eq(candidate), others.eq(1)]
        with m.If(others & (~asking | ((budget == 0) & (transfer | ~room)))):
            m.d.sync += [owner.eq(following), budget.eq(self.burst - 1), writer.eq(following - self.readers)]
        return writer

    def _elaborate_answers(self, m: Module, platform: object, tags: StreamFifo) -> tuple[Signal, Signal]:
        """Answers come in the order of their tags: whether one has arrived, and how many have not."""
        back = self.memory.rdata
        m.d.comb += [back.ready.eq(1), tags.o.ready.eq(back.valid)]
        arrived, beat = Signal(), Signal(BEAT_BITS, reset_less=True)
        whose, foreign = Signal(range(max(2, self.readers))), Signal()
        m.d.comb += foreign.eq(tags.o.payload >= self.readers - self.guests)
        m.d.sync += [
            arrived.eq(back.valid & (foreign | ~self.stop)),
            beat.eq(back.payload),
            whose.eq(tags.o.payload),
        ]
        for index, port in enumerate(self.read):
            m.d.comb += [port.beat.eq(beat), port.valid.eq(arrived & (whose == index))]
        require(m, platform, self, "memory brings only what was asked for", ~back.valid | tags.o.valid)
        unanswered = Signal(range(self.in_flight + 4))
        m.d.sync += unanswered.eq(unanswered + self.reads - (back.valid & ~foreign))
        return arrived, unanswered
