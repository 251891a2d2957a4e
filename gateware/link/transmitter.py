"""From an answer's bytes to a frame on the line, kept in block RAM to be sent again."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.crc import Processor
from amaranth.lib.wiring import In, Out

from gateware.contracts import require
from gateware.link.framing import DELIMITER, LONGEST_RUN, frame_bytes
from gateware.link.packets import ANSWER, CRC_BYTES, IDENTITY, PACKET_CRC
from gateware.link.peer_port import LONGEST_ANSWER

__all__ = ["AnswerPort", "Transmitter"]

DEPTH = 2048
SHORT_BITS = 6
SHORT = DEPTH - (1 << SHORT_BITS)  # where short answers lie
assert LONGEST_ANSWER <= SHORT and frame_bytes(ANSWER.size + IDENTITY.size + CRC_BYTES) <= 1 << SHORT_BITS


class AnswerPort(wiring.Signature):
    """The transmitter as whoever answers sees it.

    Members
    -------
    begin : Out(1), short : Out(1)
        Forget what was given so far and begin an answer; ``short``: one that is not kept, with an identity at most.
        While ``ready``, or between ``begin`` and ``finish``.
    data : Out(stream of 8 bits)
        Bytes of the answer, after ``begin``.
    finish : Out(1)
        There are no more bytes; append the CRC and send. In a cycle in which ``data.ready`` is high.
    again : Out(1)
        Send the last answer that was not short once more; while ``ready``.
    ready : In(1)
        Nothing is under way.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "begin": Out(1),
                "short": Out(1),
                "data": Out(stream.Signature(8)),
                "finish": Out(1),
                "again": Out(1),
                "ready": In(1),
            }
        )


class Transmitter(wiring.Component):
    """Stuffs one byte a cycle on its way into block RAM, appends the CRC, then sends one byte a cycle.

    The length of a run is known at its end; its code is then written to the place that was left for it. A run of 254
    costs an additional cycle. From ``finish`` to the first byte on the line are 7 cycles, or 8.

    Members
    -------
    answers : In(AnswerPort)
    tx : Out(stream of 8 bits)
    length : Out(11)
        Bytes of the frame on ``tx``, from its first one on.
    """

    answers: In(AnswerPort())
    tx: Out(stream.Signature(8))
    length: Out(range(LONGEST_ANSWER + 1))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        answers = self.answers
        m.submodules.crc = crc = PACKET_CRC(8).create()
        m.submodules.ram = ram = memory.Memory(shape=8, depth=DEPTH, init=[])
        runs, reader = _Runs(ram.write_port()), ram.read_port()
        reading, end = Signal(range(DEPTH)), runs.place
        runs.elaborate(m)
        m.d.comb += [
            crc.data.eq(answers.data.payload),
            crc.start.eq(answers.begin),
            reader.addr.eq(reading),
            # The end of a short answer, and of no other, is behind SHORT.
            self.length.eq(Mux(end[SHORT_BITS:].all(), end[:SHORT_BITS], end) + 1),
        ]
        with m.FSM() as state:
            self._elaborate_fill(m, runs, crc, reading)
            self._elaborate_send(m, end, reader, reading)
        filling = state.ongoing("FILL")
        begin, finish = ~answers.begin | answers.ready | filling, ~answers.finish | (filling & answers.data.ready)
        require(m, platform, self, "an answer begins before the one before is sent, or after", begin)
        require(m, platform, self, "an answer ends when its last byte has been taken", finish)
        require(m, platform, self, "an answer is repeated when none is under way", ~answers.again | answers.ready)
        return m

    def _elaborate_fill(self, m: Module, runs: "_Runs", crc: Processor, reading: Signal) -> None:
        """States from IDLE on: a frame is filled with an answer's bytes and its CRC. Or the one kept goes again."""
        answers = self.answers
        kept_end, kept = Signal(range(DEPTH)), Signal()
        crc_left = Signal(range(CRC_BYTES + 1))

        def begin() -> None:
            runs.begin(m, Mux(answers.short, SHORT, 0))
            m.d.sync += [kept.eq(~answers.short), crc_left.eq(0)]
            m.next = "FILL"

        with m.State("IDLE"):
            m.d.comb += answers.ready.eq(1)
            with m.If(answers.begin):
                begin()
            with m.Elif(answers.again):
                m.d.sync += [reading.eq(0), runs.place.eq(kept_end)]
                m.next = "SEND"
        with m.State("FILL"):
            m.d.comb += [answers.data.ready.eq(~runs.split), runs.value.eq(answers.data.payload)]
            with m.If(answers.begin):
                begin()
            with m.Elif(runs.split):
                runs.next(m)
            with m.Else():
                m.d.comb += [runs.put.eq(answers.data.valid), crc.valid.eq(answers.data.valid)]
                with m.If(answers.finish):
                    m.next = "CRC"
        with m.State("CRC"):
            m.d.comb += runs.value.eq(crc.crc.word_select(crc_left[:2], 8))
            with m.If(runs.split):
                runs.next(m)
            with m.Elif(crc_left == CRC_BYTES):
                runs.write_code(m)
                m.d.sync += reading.eq(Mux(kept, 0, SHORT))
                with m.If(kept):
                    m.d.sync += kept_end.eq(runs.place)
                m.next = "SEND"
            with m.Else():
                m.d.comb += runs.put.eq(1)
                m.d.sync += crc_left.eq(crc_left + 1)

    def _elaborate_send(self, m: Module, end: Signal, reader: "memory.ReadPort", reading: Signal) -> None:
        """States in which the frame goes out, from ``reading`` to ``end``, and its delimiter."""
        with m.State("SEND"):
            m.d.sync += reading.eq(reading + 1)
            m.next = "OFFER"
        with m.State("OFFER"):
            m.d.comb += [self.tx.valid.eq(1), self.tx.payload.eq(reader.data), reader.en.eq(self.tx.ready)]
            with m.If(self.tx.ready):
                m.d.sync += reading.eq(reading + 1)
                with m.If(reading == end):
                    m.next = "END"
        with m.State("END"):
            m.d.comb += [self.tx.valid.eq(1), self.tx.payload.eq(DELIMITER)]
            with m.If(self.tx.ready):
                m.next = "IDLE"


class _Runs:
    """The frame that is filled, run by run: a run's code goes to the place before it, when its end is known.

    Attributes
    ----------
    place : Signal
        Of the next byte; at the end, of the delimiter.
    put, value : Signal
        A byte is added.
    split : Signal
        The run is as long as it may be: ``next`` comes before anything else.
    """

    def __init__(self, writer: "memory.WritePort") -> None:
        self._writer = writer
        self.place, self._code_place = Signal(range(DEPTH), name="place"), Signal(range(DEPTH), name="code_place")
        self._code = Signal(8, name="code")  # of the run so far
        self.put, self.value, self.split = Signal(name="put"), Signal(8, name="value"), Signal(name="split")

    def elaborate(self, m: Module) -> None:
        with m.If(self.put):
            with m.If(self.value == 0):
                self.next(m)
            with m.Else():
                self._write(m, self.place, self.value)
                m.d.sync += [self.place.eq(self.place + 1), self._code.eq(self._code + 1)]
        m.d.comb += self.split.eq(self._code == LONGEST_RUN + 1)

    def begin(self, m: Module, base: Value) -> None:
        """A frame begins at ``base``."""
        m.d.sync += [self._code_place.eq(base), self.place.eq(base + 1), self._code.eq(1)]

    def next(self, m: Module) -> None:
        """The run has ended, and another one begins."""
        self.write_code(m)
        m.d.sync += [self._code_place.eq(self.place), self.place.eq(self.place + 1), self._code.eq(1)]

    def write_code(self, m: Module) -> None:
        """The run has ended."""
        self._write(m, self._code_place, self._code)

    def _write(self, m: Module, place: Value, value: Value) -> None:
        m.d.comb += [self._writer.addr.eq(place), self._writer.data.eq(value), self._writer.en.eq(1)]
