"""A small machine with the accelerator's ports, for tests of the emulator: it copies beats."""

from enum import IntEnum

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.memory.port import MemoryPort

__all__ = ["LENGTH_ERROR", "Copier"]

LENGTH_ERROR = 5
ADDRESS_BITS = 20


class State(IntEnum):
    """DESCRIPTOR: asks for the program's beat. ACCEPT: waits for it. READ, STORE, WRITE: one beat."""

    IDLE = 0
    DESCRIPTOR = 1
    ACCEPT = 2
    READ = 3
    STORE = 4
    WRITE = 5


class Copier(wiring.Component):
    """The program is one beat of 32-bit words: from, to, beats (0 is an error), mask of the bytes to write.

    `link` answers each byte with its complement; `tap_beat` shows each copied beat, `tap_step` its number;
    `key` is added to each beat's lowest byte, and `copied` counts beats.
    """

    def __init__(self) -> None:
        tap = wiring.Signature({"payload": Out(130), "valid": Out(1)})
        super().__init__(
            {
                "memory": Out(MemoryPort(ADDRESS_BITS)),
                "start": In(1),
                "program": In(ADDRESS_BITS),
                "busy": Out(1),
                "error": Out(4),
                "link": Out(wiring.Signature({"rx": In(stream.Signature(8)), "tx": Out(stream.Signature(8))})),
                "tap_beat": Out(tap),
                "tap_step": Out(wiring.Signature({"payload": Out(8), "valid": Out(1)})),
                "key": In(8),
                "copied": Out(16),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        state, issued = Signal(State), Signal()
        source, target, left = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS), Signal(32)
        mask, beat, word_taken = Signal(16), Signal(128), Signal()
        cmd, wdata, rdata = self.memory.cmd, self.memory.wdata, self.memory.rdata
        m.d.comb += [self.busy.eq(state != State.IDLE), rdata.ready.eq(1), wdata.p.data.eq(beat), wdata.p.mask.eq(mask)]
        m.d.comb += [
            self.link.rx.ready.eq(self.link.tx.ready),
            self.link.tx.valid.eq(self.link.rx.valid),
            self.link.tx.payload.eq(~self.link.rx.payload),
            self.tap_beat.payload.eq(beat),
            self.tap_step.payload.eq(self.copied),
        ]
        with m.Switch(state):
            with m.Case(State.IDLE), m.If(self.start):
                m.d.sync += [state.eq(State.DESCRIPTOR), source.eq(self.program), self.error.eq(0)]
            with m.Case(State.DESCRIPTOR, State.READ):
                m.d.comb += [cmd.valid.eq(~issued), cmd.p.address.eq(source)]
                with m.If(cmd.valid & cmd.ready):
                    m.d.sync += issued.eq(1)
                with m.If(rdata.valid):
                    m.d.sync += [issued.eq(0), beat.eq(rdata.payload)]
                    m.d.sync += state.eq(State.STORE)
                    with m.If(state == State.DESCRIPTOR):
                        m.d.sync += state.eq(State.ACCEPT)
            with m.Case(State.ACCEPT):
                m.d.sync += [source.eq(beat[:32]), target.eq(beat[32:64]), left.eq(beat[64:96]), mask.eq(beat[96:112])]
                m.d.sync += state.eq(State.READ)
                with m.If(beat[64:96] == 0):
                    m.d.sync += [self.error.eq(LENGTH_ERROR), state.eq(State.IDLE)]
            with m.Case(State.STORE):
                m.d.sync += [beat[:8].eq(beat[:8] + self.key), state.eq(State.WRITE)]
            with m.Case(State.WRITE):
                m.d.comb += [
                    cmd.valid.eq(~issued),
                    cmd.p.address.eq(target),
                    cmd.p.we.eq(1),
                    wdata.valid.eq(~word_taken),
                ]
                with m.If(cmd.valid & cmd.ready):
                    m.d.sync += issued.eq(1)
                with m.If(wdata.valid & wdata.ready):
                    m.d.sync += word_taken.eq(1)
                with m.If(issued & word_taken):
                    m.d.comb += [self.tap_beat.valid.eq(1), self.tap_step.valid.eq(1)]
                    m.d.sync += [issued.eq(0), word_taken.eq(0), self.copied.eq(self.copied + 1)]
                    m.d.sync += [source.eq(source + 1), target.eq(target + 1), left.eq(left - 1), state.eq(State.READ)]
                    with m.If(left == 1):
                        m.d.sync += state.eq(State.IDLE)
        return m
