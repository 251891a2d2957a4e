"""A load engine: beats from memory by one descriptor, to a buffer by another, with room for a transform between."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.config import BEAT_BITS
from gateware.contracts import NUMBER_BITS, dram, reads, watched
from gateware.control.semaphores import SemaphoreTake
from gateware.control.sequencer import Sequencer, register_layout
from gateware.isa import (
    DESTINATION_LEVELS,
    DST_BITS,
    REGISTERS,
    SOURCE_LEVELS,
    Engine,
    InstructionWord,
    SemaphoreValue,
)
from gateware.memory.port import ReadPort
from gateware.memory.reader import ReadBeat, StridedReader
from gateware.memory.strides import StridedCounter

__all__ = ["Loader", "loaded_layout"]

SETTINGS = ("CONFIG", "GROUPS", "GELU_CONFIG", "MULTIPLIER_LO", "MULTIPLIER_HI")  # what a transform must not see change


def loaded_layout(engine: Engine) -> data.StructLayout:
    """A beat on its way to a buffer, its address there, and the registers of the operation that it belongs to."""
    return data.StructLayout({"beat": BEAT_BITS, "address": DST_BITS, "registers": register_layout(engine)})


class Loader(wiring.Component):
    """Runs LOADT's or LOADB's queue. One beat a cycle; 3 cycles between operations, hidden by the reader's queue.

    The reader of an operation starts while the one before is still being written. Beats of an operation leave at
    ``source`` only when those before have been written, unless its transform's settings are the same (no SET has
    touched them): then a transform is kept full across operations.

    Parameters
    ----------
    engine : Engine
        LOADT or LOADB.
    address_bits : int
        Bits of a beat address.
    depth : int
        Beats the reader may ask for ahead.
    settle : int
        Cycles from the last beat leaving ``o`` until its operation counts as finished: the buffer's write latency.

    Members
    -------
    words : In(stream of InstructionWord)
    semaphore : Out(SemaphoreTake)
    signal, done : Out(stream of SemaphoreValue)
        What SIGNAL and finished operations give.
    memory : Out(ReadPort)
    job : Out(register_layout(engine))
        Registers of the operation whose beats are at ``source``; they hold until all that follows from them is written.
    job_start : Out(1)
        In the cycle before ``job``'s first beat.
    source : Out(stream of ReadBeat)
    sink : In(stream of 128 bits)
    o : Out(stream of loaded_layout(engine))
    idle, waiting, illegal, wrapped : Out(1)

    Attributes
    ----------
    number, opened, writing, told : Signal
        Where contracts are watched, of operations: the word at ``words``, that of ``job``, whose beats leave ``o``,
        whose end ``done`` tells.
    """

    def __init__(self, engine: Engine, address_bits: int, depth: int = 32, settle: int = 8) -> None:
        self.engine, self.address_bits, self.depth, self.settle = engine, address_bits, depth, settle
        self.registers_layout = register_layout(engine)
        self.number, self.opened = Signal(NUMBER_BITS), Signal(NUMBER_BITS)
        self.writing, self.told = Signal(NUMBER_BITS), Signal(NUMBER_BITS)
        super().__init__(
            {
                "words": In(stream.Signature(InstructionWord)),
                "semaphore": Out(SemaphoreTake()),
                "signal": Out(stream.Signature(SemaphoreValue)),
                "done": Out(stream.Signature(SemaphoreValue)),
                "memory": Out(ReadPort(address_bits)),
                "job": Out(self.registers_layout),
                "job_start": Out(1),
                "source": Out(stream.Signature(ReadBeat)),
                "sink": In(stream.Signature(BEAT_BITS)),
                "o": Out(stream.Signature(loaded_layout(engine))),
                "idle": Out(1),
                "waiting": Out(1),
                "illegal": Out(1),
                "wrapped": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sequencer = sequencer = Sequencer(self.engine)
        m.submodules.reader = reader = StridedReader(SOURCE_LEVELS, self.address_bits, self.depth)
        m.submodules.destination = destination = StridedCounter(DESTINATION_LEVELS, DST_BITS)
        connect(m, flipped(self.words), sequencer.words)
        connect(m, sequencer.give, flipped(self.signal))
        connect(m, reader.memory, flipped(self.memory))
        m.d.comb += [
            self.semaphore.take.eq(sequencer.take),
            self.semaphore.taking.eq(sequencer.taking),
            sequencer.taken.eq(self.semaphore.taken),
            self.waiting.eq(sequencer.waiting),
            self.illegal.eq(sequencer.illegal),
            self.wrapped.eq(reader.wrapped),
            sequencer.idle.eq(self.idle),
        ]
        now = sequencer.registers

        # RUN: the descriptor goes to the reader, everything else waits in `pending` for its two users.
        pending = Signal(self.registers_layout, reset_less=True)
        pending_done = Signal(4, reset_less=True)
        for_source, for_sink, changed = Signal(), Signal(), Signal()
        self._connect_descriptor(m, now, sequencer, reader, for_source | for_sink)
        dirty = Signal()
        with m.If(sequencer.written.valid & self._touches(sequencer.written.number)):
            m.d.sync += dirty.eq(1)
        taken = Signal()
        reading = Signal(NUMBER_BITS)  # where contracts are watched: the operation in `pending`
        m.d.comb += taken.eq(sequencer.run.valid & sequencer.run.ready)
        # A SET right before RUN is still on its way to `dirty`: look at it here too.
        touched = sequencer.written.valid & self._touches(sequencer.written.number)
        with m.If(taken):
            m.d.sync += [
                pending.eq(now),
                pending_done.eq(sequencer.run.payload.done),
                for_source.eq(1),
                for_sink.eq(1),
                changed.eq(dirty | touched),
                dirty.eq(0),
            ]

        open_, opening = self._elaborate_source(m, platform, reader, pending, for_source, changed & for_sink, reading)
        starting, leaving, giving = self._elaborate_sink(m, destination, pending, pending_done, for_sink)
        if watched(platform):
            asks = reader.memory.cmd
            with m.If(taken):
                m.d.sync += reading.eq(self.number)
            with m.If(for_sink & ~destination.valid & ~starting):
                m.d.sync += self.writing.eq(reading)
            with m.If(leaving & destination.last):
                m.d.sync += self.told.eq(self.writing)
            # A descriptor is taken with its RUN, and the one before has then been asked for completely.
            asked, beat = asks.valid & asks.ready, asks.payload
            reads(m, platform, dram(self.address_bits), self.engine.name, asked, reading, beat)
        m.d.comb += self.idle.eq(~(for_source | for_sink | open_ | opening | starting | destination.valid | giving))
        return m

    def _connect_descriptor(
        self, m: Module, now: data.View, sequencer: Sequencer, reader: StridedReader, busy: Value
    ) -> None:
        """The descriptor of a RUN, to the reader; not while the one before waits for one of its users."""
        m.d.comb += [
            sequencer.run.ready.eq(reader.descriptor.ready & ~busy),
            reader.descriptor.valid.eq(sequencer.run.valid & ~busy),
            reader.descriptor.payload.base.eq(now["src_base"]),
        ]
        for level in range(SOURCE_LEVELS):
            m.d.comb += [
                reader.descriptor.payload.count[level].eq(now[f"src_count{level}"]),
                reader.descriptor.payload.jump[level].eq(now[f"src_jump{level}"]),
            ]

    def _elaborate_source(
        self,
        m: Module,
        platform: object,
        reader: StridedReader,
        pending: data.View,
        for_source: Signal,
        held: Value,
        reading: Signal,
    ) -> tuple[Signal, Signal]:
        """The reader's beats to the transform, where nothing is ``held``: ``open_`` while there are, ``opening``."""
        open_, opening = Signal(), Signal()
        m.d.comb += [
            self.job_start.eq(opening),
            self.source.payload.eq(reader.o.payload),
            self.source.valid.eq(reader.o.valid & open_),
            reader.o.ready.eq(self.source.ready & open_),
        ]
        m.d.sync += opening.eq(0)
        # With new settings everything before must have been written: then the sink has taken up this operation too.
        with m.If(for_source & ~open_ & ~opening & ~held):
            m.d.sync += [self.job.eq(pending), opening.eq(1), for_source.eq(0)]
            if watched(platform):
                m.d.sync += self.opened.eq(reading)
        with m.If(opening):
            m.d.sync += open_.eq(1)
        with m.If(reader.o.valid & reader.o.ready & reader.o.payload.last):
            m.d.sync += open_.eq(0)
        return open_, opening

    def _elaborate_sink(
        self,
        m: Module,
        destination: StridedCounter,
        pending: data.View,
        pending_done: Value,
        for_sink: Signal,
    ) -> tuple[Signal, Signal, Signal]:
        """Beats to their addresses, and the end of their operation: ``starting``, ``leaving`` and ``giving``."""
        target = Signal(self.registers_layout, reset_less=True)
        target_done = Signal(4, reset_less=True)
        starting, leaving, held_up = Signal(), Signal(), Signal()
        giving, finished = Signal(), Signal(4, reset_less=True)
        m.d.comb += [
            destination.descriptor.base.eq(target["dst_base"]),
            destination.start.eq(starting),
            self.o.payload.beat.eq(self.sink.payload),
            self.o.payload.address.eq(destination.address),
            self.o.payload.registers.eq(target),
            held_up.eq(giving & destination.last),  # the end before has not been told yet
            self.o.valid.eq(self.sink.valid & destination.valid & ~held_up),
            self.sink.ready.eq(self.o.ready & destination.valid & ~held_up),
            leaving.eq(self.o.valid & self.o.ready),
            destination.step.eq(leaving),
        ]
        for level in range(DESTINATION_LEVELS):
            m.d.comb += [
                destination.descriptor.count[level].eq(target[f"dst_count{level}"]),
                destination.descriptor.jump[level].eq(target[f"dst_jump{level}"]),
            ]
        m.d.sync += starting.eq(0)
        with m.If(for_sink & ~destination.valid & ~starting):
            m.d.sync += [target.eq(pending), target_done.eq(pending_done), starting.eq(1), for_sink.eq(0)]

        # The end of an operation, once the last beat can be read.
        settling = Signal(self.settle)
        m.d.sync += settling.eq(Cat(leaving & destination.last, settling))
        with m.If(leaving & destination.last):
            m.d.sync += [giving.eq(1), finished.eq(target_done)]
        m.d.comb += [
            self.done.payload.semaphore.eq(finished),
            self.done.payload.count.eq(1),
            self.done.valid.eq(giving & (settling == 0)),
        ]
        with m.If(self.done.valid & self.done.ready):
            m.d.sync += giving.eq(0)
        return starting, leaving, giving

    def _touches(self, number: Value) -> Value:
        return Cat(number == r.number for r in REGISTERS[self.engine] if r.name in SETTINGS).any()
