"""Carries requests out, each once, and answers them."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import Out

from gateware.arith.checks import require_range
from gateware.link.checks import WORD_BYTES, RequestChecks
from gateware.link.control_port import ControlPort
from gateware.link.machine_port import MachinePort
from gateware.link.memory_access import TransferPort
from gateware.link.packets import ANSWER, IDENTITY, MAX_PAYLOAD, REQUEST, WINDOW, Command, Identity, Status
from gateware.link.receiver import PacketPort
from gateware.link.transmitter import AnswerPort

__all__ = ["Executor"]

# Words of an answer that are not memory's: the header, the identity, a register; the counters in the other half.
CONTROL_PLACE = ANSWER.size + IDENTITY.size
assert CONTROL_PLACE + WORD_BYTES == 32


class Executor(wiring.Component):
    """One request at a time, from the first byte of its packet to the last of its answer.

    Cycles from a packet to the end of its answer's bytes: 34, and what the request itself takes: for WRITE and READ a
    cycle a byte and memory's time for each beat, for IDENTIFY and COUNTERS 2 a byte, for the control bus its own.

    Parameters
    ----------
    identity : Identity
        What IDENTIFY answers; its memory size bounds every address.
    address_bits : int
        Bits of a beat address.
    timeout_bits : int
        Memory may take 2 to this many cycles for a beat, and the control bus for a register.

    Members
    -------
    packets : Out(PacketPort)
    answers : Out(AnswerPort)
    transfer : Out(TransferPort)
    control : Out(ControlPort)
    machine : Out(MachinePort)
    """

    def __init__(self, identity: Identity, address_bits: int, timeout_bits: int = 16) -> None:
        require_range("Executor", "address_bits", address_bits, 1, 28)
        require_range("Executor", "memory_beats", identity.memory_beats, 1, 1 << address_bits)
        require_range("Executor", "counters", identity.counters, 1, MAX_PAYLOAD // WORD_BYTES)
        require_range("Executor", "timeout_bits", timeout_bits, 2, 32)
        self.identity, self.address_bits, self.timeout_bits = identity, address_bits, timeout_bits
        self.checks = RequestChecks(identity.memory_beats)
        super().__init__(
            {
                "packets": Out(PacketPort()),
                "answers": Out(AnswerPort()),
                "transfer": Out(TransferPort(address_bits)),
                "control": Out(ControlPort()),
                "machine": Out(MachinePort(address_bits, identity.counters)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        packets, answers, transfer, control, machine = (
            self.packets,
            self.answers,
            self.transfer,
            self.control,
            self.machine,
        )
        request = Signal(REQUEST.layout)
        command = request.command
        session, opened, following = Signal(16), Signal(), Signal(8)
        index, advance = Signal.like(packets.address), Signal()
        place, left = Signal(range(2 * self._counters_place)), Signal(range(MAX_PAYLOAD + 1))
        status, kept, forgiven = Signal(4), Signal(), Signal()
        written, was_read = Signal(32), Signal(32)  # on the control bus

        m.submodules.history = history = memory.Memory(
            shape=4, depth=WINDOW, init=[], attrs={"ram_style": "distributed"}
        )
        remember, recall = history.write_port(), history.read_port(domain="comb")
        m.d.comb += [
            remember.addr.eq(request.sequence),
            remember.data.eq(status),
            recall.addr.eq(request.sequence),
            # The byte at `index` is always there: its address goes out the cycle before.
            packets.address.eq(Mux(packets.release, 0, index + advance)),
            transfer.address.eq(request.address),
            transfer.last.eq(left == 1),
            transfer.source.payload.eq(packets.byte),
            control.adr.eq(request.address[2:]),
            control.dat_w.eq(written),
            control.we.eq(command == Command.CONTROL_WRITE),
            control.stb.eq(control.cyc),
            machine.program.eq(request.address[4:]),
            answers.short.eq(~kept),
        ]
        m.d.sync += index.eq(packets.address)

        m.submodules.checks = checks = self.checks
        m.d.comb += [
            checks.request.eq(request),
            checks.packet_length.eq(packets.length),
            checks.session.eq(session),
            checks.opened.eq(opened),
            checks.following.eq(following),
            checks.running.eq(machine.busy),
        ]
        verdict, same, behind = checks.verdict, checks.same, checks.behind
        fresh = Signal()
        m.d.comb += fresh.eq(Mux(same, behind == 0xFF, (command == Command.OPEN) & (verdict == Status.DONE)))

        word, counter = Signal(32), Signal(32)
        first = Cat(
            self._header(request, session, status, following, self._state(forgiven), left),
            Const(int.from_bytes(self.identity.to_bytes(), "little"), 8 * IDENTITY.size),
            was_read,
        )
        counters = Cat(*machine.counters)
        waited = Signal(self.timeout_bits)
        m.d.sync += waited.eq(Mux(transfer.waits | control.cyc, waited + 1, 0))
        m.d.comb += transfer.abandon.eq(transfer.waits & waited.all())

        with m.FSM():
            with m.State("IDLE"), m.If(packets.present & answers.ready):
                m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += advance.eq(1)
                m.d.sync += request.eq(Cat(request.as_value()[8:], packets.byte))
                with m.If(index == REQUEST.size - 1):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "DECIDE"
            with m.State("DECIDE"):
                m.d.sync += [place.eq(0), left.eq(0), kept.eq(fresh)]
                m.next = "BEGIN"
                with m.If(fresh):
                    m.d.sync += [
                        session.eq(request.session),
                        opened.eq(1),
                        following.eq(request.sequence + 1),
                        status.eq(verdict),
                    ]
                    with m.If(verdict == Status.DONE):
                        self._act(m, command, request.length, left, forgiven)
                with m.Elif(~same):
                    m.d.sync += status.eq(Status.WRONG_SESSION)
                with m.Elif(behind == 0):
                    m.d.comb += [answers.again.eq(1), packets.release.eq(1)]
                    m.next = "IDLE"
                with m.Elif(behind < WINDOW):
                    m.d.sync += status.eq(recall.data)
                with m.Else():
                    m.d.sync += status.eq(Status.OUT_OF_ORDER)
            with m.State("WRITE"):
                m.d.comb += [
                    transfer.source.valid.eq(left != 0),
                    advance.eq(transfer.source.valid & transfer.source.ready),
                ]
                m.d.sync += left.eq(left - advance)
                with m.If(transfer.done):
                    m.next = "BEGIN"
                with m.If(transfer.abandon):
                    m.d.sync += [status.eq(Status.MEMORY_TIMEOUT), left.eq(0)]
                    m.next = "BEGIN"
            with m.State("COLLECT"):
                m.d.comb += advance.eq(1)
                m.d.sync += written.eq(Cat(written[8:], packets.byte))
                with m.If(index == REQUEST.size + WORD_BYTES - 1):
                    m.next = "BUS"
            with m.State("BUS"):
                m.d.comb += control.cyc.eq(1)
                m.d.sync += was_read.eq(control.dat_r)
                with m.If(control.err):
                    m.d.sync += [status.eq(Status.CONTROL_ERROR), left.eq(0)]
                    m.next = "BEGIN"
                with m.Elif(control.ack):
                    m.next = "BEGIN"
                with m.Elif(waited.all()):
                    m.d.sync += [status.eq(Status.CONTROL_TIMEOUT), left.eq(0)]
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += answers.begin.eq(1)
                m.next = "SELECT"
            with m.State("SELECT"):
                m.d.sync += [
                    word.eq(first.word_select(place[2:5], 32)),
                    counter.eq(counters.word_select(place[2 : self._counter_bits + 2], 32)),
                ]
                m.next = "PUT"
            with m.State("PUT"):
                m.d.comb += [
                    answers.data.payload.eq(Mux(place[-1], counter, word).word_select(place[:2], 8)),
                    answers.data.valid.eq(1),
                ]
                with m.If(answers.data.ready):
                    m.d.sync += place.eq(place + 1)
                    m.next = "SELECT"
                    with m.If(place >= ANSWER.size):
                        m.d.sync += left.eq(left - 1)
                        with m.If(left == 1):
                            m.next = "FINISH"
                    with m.If(place == ANSWER.size - 1):
                        with m.If(left == 0):
                            m.next = "FINISH"
                        with m.Elif(command == Command.READ):
                            m.d.comb += transfer.begin.eq(1)
                            m.next = "READ"
                        with m.Elif(command == Command.COUNTERS):
                            m.d.sync += place.eq(self._counters_place)
                        with m.Elif(command == Command.CONTROL_READ):
                            m.d.sync += place.eq(CONTROL_PLACE)
            with m.State("READ"):
                m.d.comb += [
                    answers.data.payload.eq(transfer.sink.payload),
                    answers.data.valid.eq(transfer.sink.valid),
                    transfer.sink.ready.eq(answers.data.ready),
                ]
                m.d.sync += left.eq(left - (transfer.sink.valid & transfer.sink.ready))
                with m.If(transfer.done):
                    m.next = "FINISH"
                with m.If(transfer.abandon):
                    # What was put so far is forgotten: the answer begins anew.
                    m.d.sync += [status.eq(Status.MEMORY_TIMEOUT), left.eq(0), place.eq(0)]
                    m.next = "BEGIN"
            with m.State("FINISH"), m.If(answers.data.ready):
                m.d.comb += [answers.finish.eq(1), packets.release.eq(1), remember.en.eq(kept)]
                m.next = "IDLE"
        return m

    @property
    def _counter_bits(self) -> int:
        return max(3, (self.identity.counters - 1).bit_length())

    @property
    def _counters_place(self) -> int:
        return WORD_BYTES << self._counter_bits

    def _act(self, m: Module, command: Value, length: Value, left: Signal, forgiven: Signal) -> None:
        """Begins what a request asks for, and says how long its answer's payload is (or its own, for WRITE)."""
        with m.Switch(command):
            with m.Case(Command.IDENTIFY):
                m.d.sync += left.eq(IDENTITY.size)
            with m.Case(Command.COUNTERS):
                m.d.sync += left.eq(WORD_BYTES * self.identity.counters)
            with m.Case(Command.READ):
                m.d.sync += left.eq(length)
            with m.Case(Command.WRITE):
                m.d.sync += left.eq(length)
                m.d.comb += [self.transfer.begin.eq(1), self.transfer.writing.eq(1)]
                m.next = "WRITE"
            with m.Case(Command.RUN):
                m.d.comb += self.machine.start.eq(1)
                m.d.sync += forgiven.eq(0)
            with m.Case(Command.STOP):
                m.d.comb += self.machine.stop.eq(1)
            with m.Case(Command.RESET):
                m.d.comb += self.machine.stop.eq(1)
                m.d.sync += forgiven.eq(1)
            with m.Case(Command.CONTROL_READ):
                m.d.sync += left.eq(WORD_BYTES)
                m.next = "BUS"
            with m.Case(Command.CONTROL_WRITE):
                m.next = "COLLECT"

    def _state(self, forgiven: Value) -> Value:
        return Cat(Mux(forgiven, 0, self.machine.error), Const(0, 3), self.machine.busy)

    def _header(
        self, request: data.View, session: Value, status: Value, following: Value, state: Value, left: Value
    ) -> Value:
        values = {
            "session": session,
            "sequence": request.sequence,
            "status": status,
            "following": following,
            "state": state,
            "length": left,
        }
        parts = []
        for field in ANSWER.fields:
            value = Value.cast(values[field.name])
            parts.append(Cat(value, Const(0, 8 * field.size - len(value))))
        return Cat(*parts)
