"""Instruction fetch: reads the program and hands every word to its engine's queue."""

from amaranth.hdl import Cat, Module, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.config import BEAT_BITS, AcceleratorConfig
from gateware.contracts import NUMBER_BITS, begins, require, watched
from gateware.isa import ADDRESS_BITS, COUNT_BITS, VALUE_BITS, Engine, InstructionWord, Op, low_and_high, register
from gateware.memory.port import ReadPort
from gateware.memory.reader import StridedReader
from gateware.stream.fifo import StreamFifo

__all__ = ["ENGINES", "Fetch"]

ENGINES = (Engine.LOADT, Engine.LOADB, Engine.EXEC, Engine.VEC)
WORDS = BEAT_BITS // Shape.cast(InstructionWord).width  # of a beat
LOG_BASE = register(Engine.CONTROL, "LOG_BASE").number


class Fetch(wiring.Component):
    """One word a cycle, in order. A word whose queue is full holds up every word behind it.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    start : In(1), program : In(address_bits)
        Begin at that beat address.
    memory : Out(ReadPort)
    queues : Out(stream of InstructionWord) x 4
        In the order of ``ENGINES``.
    log_base : Out(isa.ADDRESS_BITS)
    ended : Out(1)
        END has been reached.
    empty : Out(1)
        No queue holds a word.
    illegal, mismatch, wrapped : Out(1)
        Errors: a word for no engine, a program for another configuration, an end of memory without END.
    transfer, stalled : Out(1)
        A word goes; a word waits for its queue.

    Attributes
    ----------
    numbers : list of Signal
        Where contracts are watched: of each word at ``queues``, its place in the program, from 1 on.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self.numbers = [Signal(NUMBER_BITS, name=f"number_{engine.name.lower()}") for engine in ENGINES]
        super().__init__(
            {
                "start": In(1),
                "program": In(config.address_bits),
                "memory": Out(ReadPort(config.address_bits)),
                "queues": Out(stream.Signature(InstructionWord)).array(len(ENGINES)),
                "log_base": Out(ADDRESS_BITS),
                "ended": Out(1),
                "empty": Out(1),
                "illegal": Out(1),
                "mismatch": Out(1),
                "wrapped": Out(1),
                "transfer": Out(1),
                "stalled": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.reader = reader = StridedReader(2, self.config.address_bits, 16)
        queues = self._elaborate_queues(m, platform)
        begins(m, platform, self.start)
        connect(m, reader.memory, flipped(self.memory))
        longest = -(1 << (COUNT_BITS - 1))
        m.d.comb += [
            reader.descriptor.valid.eq(self.start),
            reader.descriptor.payload.base.eq(self.program),
            reader.descriptor.payload.jump[0].eq(1),
            reader.descriptor.payload.jump[1].eq(1),
            reader.descriptor.payload.count[0].eq(longest),
            reader.descriptor.payload.count[1].eq(longest),
        ]
        index, checked = Signal(range(WORDS)), Signal()
        word, valid, taken = Signal(InstructionWord), Signal(), Signal()
        m.d.comb += [
            word.eq(reader.o.payload.beat.word_select(index, 32)),
            valid.eq(reader.o.valid & ~self.ended),
            reader.o.ready.eq(taken & (index == WORDS - 1)),
            self.transfer.eq(taken),
            self.stalled.eq(valid & ~taken),
            self.wrapped.eq(reader.wrapped & reader.empty & ~self.ended),
            self.empty.eq(~Cat(queue.o.valid | (queue.level != 0) for queue in queues).any()),
        ]
        with m.If(taken):
            m.d.sync += index.eq(index + 1)
        with m.Switch(word.engine):
            for engine, queue in zip(ENGINES, queues, strict=True):
                with m.Case(engine):
                    m.d.comb += [
                        queue.i.payload.word.eq(word),
                        queue.i.valid.eq(valid & checked),
                        taken.eq(valid & checked & queue.i.ready),
                        self.mismatch.eq(valid & ~checked),
                    ]
            with m.Case(Engine.CONTROL):
                m.d.comb += taken.eq(valid)
                self._execute(m, word, valid, checked)
            with m.Default():
                m.d.comb += self.illegal.eq(valid)
        # It is looked at when a MARK is executed, which is later.
        marked, base = Signal(), taken & (word.engine == Engine.CONTROL) & (word.op == LOG_BASE)
        if watched(platform):
            with m.If(taken & (word.engine == Engine.EXEC) & (word.op == Op.MARK)):
                m.d.sync += marked.eq(1)
        require(m, platform, self, "LOG_BASE is set before the first MARK", ~(base & marked))
        return m

    def _elaborate_queues(self, m: Module, platform: object) -> list[StreamFifo]:
        """Where contracts are watched, a word's place in the program goes with it."""
        queues = []
        place = Signal(NUMBER_BITS if watched(platform) else 0)
        with m.If(self.transfer):
            m.d.sync += place.eq(place + 1)
        for engine, port, number in zip(ENGINES, self.queues, self.numbers, strict=True):
            shape = data.StructLayout({"word": InstructionWord, "place": place.shape()})
            m.submodules[f"queue_{engine.name.lower()}"] = queue = StreamFifo(shape, self.config.queue_depth)
            m.d.comb += [
                port.payload.eq(queue.o.payload.word),
                port.valid.eq(queue.o.valid),
                queue.o.ready.eq(port.ready),
                queue.i.payload.place.eq(place + 1),
            ]
            if watched(platform):
                m.d.comb += number.eq(queue.o.payload.place)
            queues.append(queue)
        return queues

    def _execute(self, m: Module, word: data.View, valid: Value, checked: Signal) -> None:
        """A word for the fetch itself."""
        low, (wanted_low, wanted_high) = Signal(VALUE_BITS), low_and_high(self.config.fingerprint)
        with m.Switch(word.op):
            with m.Case(register(Engine.CONTROL, "FINGERPRINT_LO").number), m.If(valid):
                m.d.sync += low.eq(word.value)
            with m.Case(register(Engine.CONTROL, "FINGERPRINT_HI").number):
                right = (low == wanted_low) & (word.value == wanted_high)
                m.d.comb += self.mismatch.eq(valid & ~right)
                with m.If(valid):
                    m.d.sync += checked.eq(right)
            with m.Case(LOG_BASE), m.If(valid):
                m.d.sync += self.log_base.eq(word.value)
            with m.Case(Op.END), m.If(valid):
                m.d.sync += self.ended.eq(1)
                m.d.comb += self.mismatch.eq(~checked)
            with m.Default():
                m.d.comb += self.illegal.eq(valid)
