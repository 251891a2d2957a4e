"""Runs of bytes to and from memory, which has beats."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.config import BEAT_BITS, BEAT_BYTES
from gateware.contracts import require
from gateware.memory.port import ReadPort, WritePort

__all__ = ["MemoryAccess", "TransferPort"]


class TransferPort(wiring.Signature):
    """A transfer as whoever wants it sees it.

    Parameters
    ----------
    address_bits : int
        Bits of a beat address.

    Members
    -------
    begin : Out(1), writing : Out(1), address : Out(address_bits + 4)
        Begin at a byte; while nothing is under way.
    last : Out(1)
        The next transfer on ``source`` or ``sink`` is the run's last.
    source : Out(stream of 8 bits)
        Bytes to write.
    sink : In(stream of 8 bits)
        Bytes read.
    done : In(1)
        In the cycle in which memory takes a write's last beat, and in that in which a read's last byte is taken.
    waits : In(1)
        Memory has not taken or brought a beat yet.
    abandon : Out(1)
        Give the transfer up; while ``waits``.
    """

    def __init__(self, address_bits: int) -> None:
        super().__init__(
            {
                "begin": Out(1),
                "writing": Out(1),
                "address": Out(address_bits + 4),
                "last": Out(1),
                "source": Out(stream.Signature(8)),
                "sink": In(stream.Signature(8)),
                "done": In(1),
                "waits": In(1),
                "abandon": Out(1),
            }
        )


class MemoryAccess(wiring.Component):
    """One transfer at a time, from any byte on; it can be given up where memory does not move.

    A write takes a byte a cycle, and memory's time for each beat; bytes outside the run stay. A read asks for one beat
    at a time: memory's latency and 2 cycles, then a byte a cycle. A beat that comes after its read was given up is
    dropped; the next read waits for it.

    Parameters
    ----------
    address_bits : int
        Bits of a beat address.

    Members
    -------
    transfer : In(TransferPort)
    read : Out(ReadPort), write : Out(WritePort)
    """

    def __init__(self, address_bits: int) -> None:
        require_range("MemoryAccess", "address_bits", address_bits, 1, 28)
        self.address_bits = address_bits
        super().__init__(
            {
                "transfer": In(TransferPort(address_bits)),
                "read": Out(ReadPort(address_bits)),
                "write": Out(WritePort(address_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        transfer = self.transfer
        beat_address, lane = Signal(self.address_bits), Signal(4)
        gathered, mask = Signal(BEAT_BITS), Signal(BEAT_BYTES)
        fetched = Signal(BEAT_BITS, reset_less=True)
        owed = Signal()  # memory has a read to answer
        begun, writing = Signal(), Signal()  # a cycle late: what begins a transfer is known late in a cycle
        m.d.sync += [begun.eq(transfer.begin), writing.eq(transfer.writing)]
        m.d.comb += [
            self.read.cmd.payload.eq(beat_address),
            self.write.beat.payload.address.eq(beat_address),
            self.write.beat.payload.data.eq(gathered),
            self.write.beat.payload.mask.eq(mask),
            transfer.sink.payload.eq(fetched.word_select(lane, 8)),
        ]
        with m.If(self.read.valid):
            m.d.sync += [owed.eq(0), fetched.eq(self.read.beat)]

        require(m, platform, self, "memory brings only what was asked for", ~self.read.valid | owed)
        require(m, platform, self, "a transfer is given up only while it waits", ~transfer.abandon | transfer.waits)
        with m.FSM() as state:
            with m.State("IDLE"):
                m.d.sync += [beat_address.eq(transfer.address[4:]), lane.eq(transfer.address[:4]), mask.eq(0)]
                with m.If(begun):
                    m.next = "ASK"
                    with m.If(writing):
                        m.next = "GATHER"
            self._elaborate_write(m, beat_address, lane, gathered, mask)
            self._elaborate_read(m, beat_address, lane, owed)
        idle = state.ongoing("IDLE")
        under_way = begun | ~idle
        require(m, platform, self, "a transfer begins when none is under way", ~(transfer.begin & under_way))
        return m

    def _elaborate_write(self, m: Module, beat_address: Signal, lane: Signal, gathered: Signal, mask: Signal) -> None:
        """States of a write: bytes are gathered to a beat, which is stored."""
        transfer = self.transfer
        ending = Signal()  # the beat has the run's last byte
        with m.State("GATHER"):
            m.d.comb += transfer.source.ready.eq(1)
            with m.If(transfer.source.valid):
                m.d.sync += [
                    gathered.word_select(lane, 8).eq(transfer.source.payload),
                    mask.bit_select(lane, 1).eq(1),
                    lane.eq(lane + 1),
                    ending.eq(transfer.last),
                ]
                with m.If(transfer.last | lane.all()):
                    m.next = "STORE"
        with m.State("STORE"):
            m.d.comb += [
                self.write.beat.valid.eq(1),
                transfer.waits.eq(~self.write.beat.ready),
                transfer.done.eq(self.write.beat.ready & ending),
            ]
            with m.If(self.write.beat.ready):
                m.d.sync += [beat_address.eq(beat_address + 1), mask.eq(0)]
                m.next = "GATHER"
                with m.If(ending):
                    m.next = "IDLE"
            with m.Elif(transfer.abandon):
                m.next = "IDLE"

    def _elaborate_read(self, m: Module, beat_address: Signal, lane: Signal, owed: Signal) -> None:
        """States of a read: a beat is asked for and waited for, then its bytes leave."""
        transfer = self.transfer
        with m.State("ASK"):
            m.d.comb += [self.read.cmd.valid.eq(~owed), transfer.waits.eq(owed | ~self.read.cmd.ready)]
            with m.If(self.read.cmd.valid & self.read.cmd.ready):
                m.d.sync += owed.eq(1)
                m.next = "WAIT"
            with m.Elif(transfer.abandon):
                m.next = "IDLE"
        with m.State("WAIT"):
            m.d.comb += transfer.waits.eq(owed)
            with m.If(~owed):
                m.next = "BYTES"
            with m.Elif(transfer.abandon):
                m.next = "IDLE"
        with m.State("BYTES"):
            m.d.comb += [transfer.sink.valid.eq(1), transfer.done.eq(transfer.sink.ready & transfer.last)]
            with m.If(transfer.sink.ready):
                m.d.sync += lane.eq(lane + 1)
                with m.If(transfer.last):
                    m.next = "IDLE"
                with m.Elif(lane.all()):
                    m.d.sync += beat_address.eq(beat_address + 1)
                    m.next = "ASK"
