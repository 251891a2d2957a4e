"""From an answer's bytes to a frame on the line, kept in block RAM to be sent again."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.contracts import require
from gateware.link.framing import DELIMITER, LONGEST_RUN
from gateware.link.packets import ANSWER, CRC_BYTES, MAX_PAYLOAD, PACKET_CRC

__all__ = ["AnswerPort", "Transmitter"]

DEPTH = 2048
SHORT = DEPTH - 16  # where short answers lie
LONGEST = ANSWER.size + MAX_PAYLOAD + CRC_BYTES
assert LONGEST + LONGEST // LONGEST_RUN + 1 <= SHORT and ANSWER.size + CRC_BYTES + 1 <= 16


class AnswerPort(wiring.Signature):
    """The transmitter as whoever answers sees it.

    Members
    -------
    begin : Out(1), short : Out(1)
        Forget what was given so far and begin an answer; ``short``: one without payload that is not kept. While
        ``ready``, or between ``begin`` and ``finish``.
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
    """

    answers: In(AnswerPort())
    tx: Out(stream.Signature(8))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        answers = self.answers
        m.submodules.crc = crc = PACKET_CRC(8).create()
        m.submodules.ram = ram = memory.Memory(shape=8, depth=DEPTH, init=[])
        writer, reader = ram.write_port(), ram.read_port()
        place, code_place = Signal(range(DEPTH)), Signal(range(DEPTH))  # of the next byte, and of its run's code
        reading, kept_end, kept = Signal(range(DEPTH)), Signal(range(DEPTH)), Signal()
        code = Signal(8)  # of the run so far
        crc_left = Signal(range(CRC_BYTES + 1))
        put, value = Signal(), Signal(8)
        base = Mux(answers.short, SHORT, 0)

        def begin() -> None:
            m.d.sync += [code_place.eq(base), place.eq(base + 1), code.eq(1), kept.eq(~answers.short), crc_left.eq(0)]
            m.next = "FILL"

        def next_run() -> None:
            m.d.comb += [writer.addr.eq(code_place), writer.data.eq(code), writer.en.eq(1)]
            m.d.sync += [code_place.eq(place), place.eq(place + 1), code.eq(1)]

        with m.If(put):
            with m.If(value == 0):
                next_run()
            with m.Else():
                m.d.comb += [writer.addr.eq(place), writer.data.eq(value), writer.en.eq(1)]
                m.d.sync += [place.eq(place + 1), code.eq(code + 1)]

        split = Signal()  # a run is as long as it may be: its code is written before anything else
        m.d.comb += [
            split.eq(code == LONGEST_RUN + 1),
            crc.data.eq(answers.data.payload),
            crc.start.eq(answers.begin),
            reader.addr.eq(reading),
        ]
        with m.FSM() as state:
            with m.State("IDLE"):
                m.d.comb += answers.ready.eq(1)
                with m.If(answers.begin):
                    begin()
                with m.Elif(answers.again):
                    m.d.sync += [reading.eq(0), place.eq(kept_end)]
                    m.next = "SEND"
            with m.State("FILL"):
                m.d.comb += [answers.data.ready.eq(~split), value.eq(answers.data.payload)]
                with m.If(answers.begin):
                    begin()
                with m.Elif(split):
                    next_run()
                with m.Else():
                    m.d.comb += [put.eq(answers.data.valid), crc.valid.eq(answers.data.valid)]
                    with m.If(answers.finish):
                        m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += value.eq(crc.crc.word_select(crc_left[:2], 8))
                with m.If(split):
                    next_run()
                with m.Elif(crc_left == CRC_BYTES):
                    m.d.comb += [writer.addr.eq(code_place), writer.data.eq(code), writer.en.eq(1)]
                    m.d.sync += reading.eq(Mux(kept, 0, SHORT))
                    with m.If(kept):
                        m.d.sync += kept_end.eq(place)
                    m.next = "SEND"
                with m.Else():
                    m.d.comb += put.eq(1)
                    m.d.sync += crc_left.eq(crc_left + 1)
            with m.State("SEND"):
                m.d.sync += reading.eq(reading + 1)
                m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += [self.tx.valid.eq(1), self.tx.payload.eq(reader.data), reader.en.eq(self.tx.ready)]
                with m.If(self.tx.ready):
                    m.d.sync += reading.eq(reading + 1)
                    with m.If(reading == place):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [self.tx.valid.eq(1), self.tx.payload.eq(DELIMITER)]
                with m.If(self.tx.ready):
                    m.next = "IDLE"
        filling = state.ongoing("FILL")
        begin, finish = ~answers.begin | answers.ready | filling, ~answers.finish | (filling & answers.data.ready)
        require(m, platform, self, "an answer begins before the one before is sent, or after", begin)
        require(m, platform, self, "an answer ends when its last byte has been taken", finish)
        require(m, platform, self, "an answer is repeated when none is under way", ~answers.again | answers.ready)
        return m
