"""Carries requests out, each once, and answers them."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from gateware.arith.checks import require_range
from gateware.link.answer_bytes import CONTROL_PLACE, AnswerBytes, counters_place
from gateware.link.checks import WORD_BYTES
from gateware.link.control_port import ControlPort
from gateware.link.machine_port import MachinePort
from gateware.link.memory_access import TransferPort
from gateware.link.packets import ANSWER, IDENTITY, MAX_PAYLOAD, REQUEST, Command, Identity, Status
from gateware.link.receiver import SLOT_BYTES, PacketPort
from gateware.link.session import Session
from gateware.link.transmitter import AnswerPort

__all__ = ["Executor"]


class Executor(wiring.Component):
    """One request at a time, from the first byte of its packet to the last of its answer.

    Cycles from a packet to the end of its answer's bytes: 32, and what the request itself takes: for WRITE and READ a
    cycle a byte and memory's time for each beat, for IDENTIFY and COUNTERS 2 a byte, for the control bus its own.

    Parameters
    ----------
    identity : Identity
        What IDENTIFY answers; its memory size bounds every address.
    address_bits : int
        Bits of a beat address.
    timeout_bits : int
        Memory may take 2 to this many cycles for a beat, and the control bus for a register.
    peer_bits : int
        As of `PeerPort`.

    Members
    -------
    packets : Out(PacketPort)
    answers : Out(AnswerPort)
    transfer : Out(TransferPort)
    control : Out(ControlPort)
    machine : Out(MachinePort)
    peer : Out(peer_bits)
        From whom the request is that is under way, or was last.
    """

    def __init__(self, identity: Identity, address_bits: int, timeout_bits: int = 16, peer_bits: int = 0) -> None:
        require_range("Executor", "address_bits", address_bits, 1, 28)
        require_range("Executor", "memory_beats", identity.memory_beats, 1, 1 << address_bits)
        require_range("Executor", "counters", identity.counters, 1, MAX_PAYLOAD // WORD_BYTES)
        require_range("Executor", "timeout_bits", timeout_bits, 2, 32)
        self.identity, self.timeout_bits = identity, timeout_bits
        self.session, self.bytes = Session(identity.memory_beats, peer_bits), AnswerBytes(identity)
        # The request, the place of its next byte, whether that byte is taken, and whether the answer is to be kept.
        self._request, self._index = Signal(REQUEST.layout, name="request"), Signal(range(SLOT_BYTES), name="index")
        self._advance, self._kept = Signal(name="advance"), Signal(name="kept")
        # The answer: its status, its next byte's place, what is left of its payload (of the request's, for WRITE).
        self._status, self._place = Signal(4, name="status"), Signal.like(self.bytes.place, name="place")
        self._left = Signal(range(MAX_PAYLOAD + 1), name="left")
        super().__init__(
            {
                "packets": Out(PacketPort(peer_bits)),
                "answers": Out(AnswerPort()),
                "transfer": Out(TransferPort(address_bits)),
                "control": Out(ControlPort()),
                "machine": Out(MachinePort(address_bits, identity.counters)),
                "peer": Out(peer_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.session, m.submodules.bytes = self.session, self.bytes
        waited, forgiven = Signal(self.timeout_bits), Signal()
        too_long = Signal()
        m.d.sync += waited.eq(Mux(self.transfer.waits | self.control.cyc, waited + 1, 0))
        m.d.comb += [too_long.eq(waited.all()), self.transfer.abandon.eq(self.transfer.waits & too_long)]
        self._connect_request(m)
        self._connect_answer(m, forgiven)
        with m.FSM():
            self._receive(m)
            self._decide(m, forgiven)
            self._write(m)
            self._use_control_bus(m, too_long)
            self._answer(m)
            self._read(m)
            self._finish(m)
        return m

    def _connect_request(self, m: Module) -> None:
        packets, request, index = self.packets, self._request, self._index
        m.d.comb += [
            # The byte at `index` is always there: its address goes out the cycle before.
            packets.address.eq(Mux(packets.release, 0, index + self._advance)),
            self.session.request.header.eq(request),
            self.session.request.packet_length.eq(packets.length),
            self.session.request.running.eq(self.machine.busy),
            self.session.peer.eq(self.peer),
            self.transfer.address.eq(request.address),
            self.transfer.last.eq(self._left == 1),
            self.transfer.source.payload.eq(packets.byte),
            self.control.adr.eq(request.address[2:]),
            self.control.we.eq(request.command == Command.CONTROL_WRITE),
            self.control.stb.eq(self.control.cyc),
            self.machine.program.eq(request.address[4:]),
        ]
        m.d.sync += [index.eq(packets.address), self.machine.start.eq(0), self.machine.stop.eq(0)]

    def _connect_answer(self, m: Module, forgiven: Value) -> None:
        header = self.bytes.header
        m.d.comb += [
            header.session.eq(self.session.number),
            header.sequence.eq(self._request.sequence),
            header.status.eq(self._status),
            header.following.eq(self.session.following),
            header.state.eq(Cat(Mux(forgiven, 0, self.machine.error), Const(0, 3), self.machine.busy)),
            header.length.eq(self._left),
            self.bytes.place.eq(self._place),
            self.answers.short.eq(~self._kept),
            self.session.outcome.eq(self._status),
        ]
        for inner, outer in zip(self.bytes.counters, self.machine.counters, strict=True):
            m.d.comb += inner.eq(outer)

    def _receive(self, m: Module) -> None:
        """The header of a packet, and three cycles in which it is checked."""
        with m.State("IDLE"), m.If(self.packets.present & self.answers.ready):
            m.d.sync += self.peer.eq(self.packets.peer)
            m.next = "HEADER"
        with m.State("HEADER"):
            m.d.comb += self._advance.eq(1)
            m.d.sync += self._request.eq(Cat(self._request.as_value()[8:], self.packets.byte))
            with m.If(self._index == REQUEST.size - 1):
                m.next = "CHECK"
        with m.State("CHECK"):
            m.next = "JUDGE"
        with m.State("JUDGE"):
            m.next = "DECIDE"

    def _decide(self, m: Module, forgiven: Signal) -> None:
        """Is it carried out, answered from what is remembered, or refused?"""
        session = self.session
        with m.State("DECIDE"):
            m.d.sync += [self._place.eq(0), self._left.eq(0), self._kept.eq(session.fresh)]
            m.d.comb += session.enter.eq(session.fresh)
            with m.If(session.repeated):
                m.d.comb += [self.answers.again.eq(1), self.packets.release.eq(1)]
                m.next = "IDLE"
            with m.Else():
                m.d.sync += self._status.eq(session.status)
                m.next = "BEGIN"
            with m.If(session.greeting):
                m.d.sync += self._left.eq(IDENTITY.size)
            with m.If(session.accepted):
                self._begin_command(m, forgiven)

    def _begin_command(self, m: Module, forgiven: Signal) -> None:
        """Begins what a request asks for, and says how long its answer's payload is (or its own, for WRITE)."""
        left = self._left
        with m.Switch(self._request.command):
            with m.Case(Command.IDENTIFY):
                m.d.sync += left.eq(IDENTITY.size)
            with m.Case(Command.COUNTERS):
                m.d.sync += left.eq(WORD_BYTES * self.identity.counters)
            with m.Case(Command.READ):
                m.d.sync += left.eq(self._request.length)
            with m.Case(Command.WRITE):
                m.d.sync += left.eq(self._request.length)
                m.d.comb += [self.transfer.begin.eq(1), self.transfer.writing.eq(1)]
                m.next = "WRITE"
            with m.Case(Command.RUN):
                m.d.sync += [self.machine.start.eq(1), forgiven.eq(0)]
            with m.Case(Command.STOP):
                m.d.sync += self.machine.stop.eq(1)
            with m.Case(Command.RESET):
                m.d.sync += [self.machine.stop.eq(1), forgiven.eq(1)]
            with m.Case(Command.CONTROL_READ):
                m.d.sync += left.eq(WORD_BYTES)
                m.next = "BUS"
            with m.Case(Command.CONTROL_WRITE):
                m.next = "COLLECT"

    def _fail(self, m: Module, status: Status) -> None:
        """Answers with a status, and without a payload."""
        m.d.sync += [self._status.eq(status), self._left.eq(0)]
        m.next = "BEGIN"

    def _write(self, m: Module) -> None:
        """The payload of a WRITE to memory."""
        source = self.transfer.source
        with m.State("WRITE"):
            m.d.comb += [source.valid.eq(self._left != 0), self._advance.eq(source.valid & source.ready)]
            m.d.sync += self._left.eq(self._left - self._advance)
            with m.If(self.transfer.done):
                m.next = "BEGIN"
            with m.If(self.transfer.abandon):
                self._fail(m, Status.MEMORY_TIMEOUT)

    def _use_control_bus(self, m: Module, too_long: Value) -> None:
        """The payload of a CONTROL_WRITE, and the transfer of it or of a CONTROL_READ."""
        control, written, was_read = self.control, Signal(32, name="written"), Signal(32, name="was_read")
        m.d.comb += [control.dat_w.eq(written), self.bytes.register.eq(was_read)]
        with m.State("COLLECT"):
            m.d.comb += self._advance.eq(1)
            m.d.sync += written.eq(Cat(written[8:], self.packets.byte))
            with m.If(self._index == REQUEST.size + WORD_BYTES - 1):
                m.next = "BUS"
        with m.State("BUS"):
            m.d.comb += control.cyc.eq(1)
            m.d.sync += was_read.eq(control.dat_r)
            with m.If(control.err):
                self._fail(m, Status.CONTROL_ERROR)
            with m.Elif(control.ack):
                m.next = "BEGIN"
            with m.Elif(too_long):
                self._fail(m, Status.CONTROL_TIMEOUT)

    def _answer(self, m: Module) -> None:
        """The answer's header, and a payload that is not memory's: two cycles a byte."""
        with m.State("BEGIN"):
            m.d.comb += self.answers.begin.eq(1)
            m.next = "SELECT"
        with m.State("SELECT"):
            m.d.comb += self.bytes.load.eq(1)
            m.next = "PUT"
        with m.State("PUT"):
            m.d.comb += [self.answers.data.payload.eq(self.bytes.byte), self.answers.data.valid.eq(1)]
            with m.If(self.answers.data.ready):
                m.d.sync += self._place.eq(self._place + 1)
                m.next = "SELECT"
                with m.If(self._place >= ANSWER.size):
                    m.d.sync += self._left.eq(self._left - 1)
                    with m.If(self._left == 1):
                        m.next = "FINISH"
                with m.If(self._place == ANSWER.size - 1):
                    self._begin_payload(m)

    def _begin_payload(self, m: Module) -> None:
        """Where the byte after the header comes from; by default from the place after the header's, the identity."""
        command = self._request.command
        with m.If(self._left == 0):
            m.next = "FINISH"
        with m.Elif(command == Command.READ):
            m.d.comb += self.transfer.begin.eq(1)
            m.next = "READ"
        with m.Elif(command == Command.COUNTERS):
            m.d.sync += self._place.eq(counters_place(self.identity.counters))
        with m.Elif(command == Command.CONTROL_READ):
            m.d.sync += self._place.eq(CONTROL_PLACE)

    def _read(self, m: Module) -> None:
        """The payload of a READ's answer, from memory."""
        sink, answer = self.transfer.sink, self.answers.data
        with m.State("READ"):
            m.d.comb += [
                answer.payload.eq(sink.payload),
                answer.valid.eq(sink.valid),
                sink.ready.eq(answer.ready),
            ]
            m.d.sync += self._left.eq(self._left - (sink.valid & sink.ready))
            with m.If(self.transfer.done):
                m.next = "FINISH"
            with m.If(self.transfer.abandon):
                # What was put so far is forgotten: the answer begins anew.
                m.d.sync += self._place.eq(0)
                self._fail(m, Status.MEMORY_TIMEOUT)

    def _finish(self, m: Module) -> None:
        with m.State("FINISH"), m.If(self.answers.data.ready):
            m.d.comb += [self.answers.finish.eq(1), self.packets.release.eq(1), self.session.remember.eq(self._kept)]
            m.next = "IDLE"
