"""The VEC engine: blocks of scores through Shiftmax into the A buffer."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.config import AcceleratorConfig
from gateware.contracts import NUMBER_BITS, watched
from gateware.control.semaphores import SemaphoreTake
from gateware.control.sequencer import Sequencer
from gateware.isa import Engine, InstructionWord, SemaphoreValue
from gateware.memory.operand_a import word_write_layout
from gateware.softmax.shiftmax import Shiftmax, score_signature
from gateware.stream.fifo import StreamFifo

__all__ = ["VectorEngine"]

AHEAD = 2  # operations between their start and their last word; power of two
SETTLE = 8  # cycles until a word that was given to the A buffer can be read


class VectorEngine(wiring.Component):
    """Runs VEC's queue: each operation takes the oldest block of scores.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    words : In(stream of InstructionWord)
    semaphore : Out(SemaphoreTake)
    signal, done : Out(stream of SemaphoreValue)
    scores : In(score_signature)
        As Shiftmax's.
    o : Out(stream of word_write_layout)
    idle, waiting, illegal : Out(1)

    Attributes
    ----------
    number, writing : Signal
        Where contracts are watched, of operations: the word at ``words``; whose results are at ``o``, and whose end
        ``done`` tells.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self.number, self.writing = Signal(NUMBER_BITS), Signal(NUMBER_BITS)
        self.softmax = Shiftmax(
            config.rows, config.softmax_length, config.arithmetic, config.probability_bits, config.softmax_x0_bits
        )
        super().__init__(
            {
                "words": In(stream.Signature(InstructionWord)),
                "semaphore": Out(SemaphoreTake()),
                "signal": Out(stream.Signature(SemaphoreValue)),
                "done": Out(stream.Signature(SemaphoreValue)),
                "scores": In(score_signature(config.rows, config.softmax_length)),
                "o": Out(stream.Signature(word_write_layout(config.rows, config.a_depth, config.a_width))),
                "idle": Out(1),
                "waiting": Out(1),
                "illegal": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.config
        address = (cfg.a_depth - 1).bit_length()
        m.submodules.sequencer = sequencer = Sequencer(Engine.VEC)
        m.submodules.softmax = softmax = self.softmax
        watching = {"number": NUMBER_BITS} if watched(platform) else {}
        place = data.StructLayout({"base": address, "low": address, "done": 4, **watching})
        m.submodules.places = places = StreamFifo(place, AHEAD)
        connect(m, flipped(self.words), sequencer.words)
        connect(m, sequencer.give, flipped(self.signal))
        connect(m, flipped(self.scores), softmax.scores)
        now = sequencer.registers
        half, started = Signal(), Signal()
        under_way = Signal(range(AHEAD + 3))
        m.d.comb += [
            self.semaphore.take.eq(sequencer.take),
            self.semaphore.taking.eq(sequencer.taking),
            sequencer.taken.eq(self.semaphore.taken),
            self.waiting.eq(sequencer.waiting),
            self.illegal.eq(sequencer.illegal),
            sequencer.idle.eq(self.idle),
            sequencer.run.ready.eq(softmax.job.ready & places.i.ready),
            softmax.job.valid.eq(sequencer.run.valid & places.i.ready),
            softmax.job.payload.half.eq(half),
            softmax.job.payload["rows"].eq(now.rows),
            softmax.job.payload.length.eq(now.length.length),
            softmax.job.payload.x0.eq(now.x0),
            started.eq(sequencer.run.valid & sequencer.run.ready),
            places.i.valid.eq(started),
            places.i.payload.base.eq(now.a_base),
            places.i.payload.low.eq(now.a_low),
            places.i.payload.done.eq(sequencer.run.payload.done),
        ]
        with m.If(started):
            m.d.sync += half.eq(~half)

        ended = self._elaborate_words(m, places)
        if watching:
            m.d.comb += [places.i.payload.number.eq(self.number), self.writing.eq(places.o.payload.number)]
            with m.If(started):
                m.d.sync += softmax.number.eq(self.number)
        m.d.sync += under_way.eq(under_way + started - ended)
        m.d.comb += self.idle.eq(under_way == 0)
        return m

    def _elaborate_words(self, m: Module, places: StreamFifo) -> Signal:
        """Words to their banks, those of the operation at the head of ``places``; whether its end is taken note of."""
        softmax, ended = self.softmax, Signal()
        word = softmax.o.payload
        settling, giving = Signal(SETTLE), Signal()
        m.d.comb += [
            softmax.o.ready.eq(places.o.valid & ~giving),
            places.o.ready.eq(ended),
        ]
        base = places.o.payload.base
        m.d.sync += [
            self.o.valid.eq(softmax.o.valid & softmax.o.ready),
            self.o.payload.word.eq(word.data),
            self.o.payload.bank.eq(word.row),
            self.o.payload.address.eq(base + word.word + Mux(word.low, places.o.payload.low, 0)),
        ]
        m.d.sync += settling.eq(settling << 1)
        with m.If(softmax.done):
            m.d.sync += [giving.eq(1), settling.eq(1)]
        m.d.comb += [
            self.done.valid.eq(giving & (settling == 0)),
            self.done.payload.semaphore.eq(places.o.payload.done),
            self.done.payload.count.eq(1),
            ended.eq(self.done.valid & self.done.ready),
        ]
        with m.If(ended):
            m.d.sync += giving.eq(0)
        return ended
