"""Whose turn a request is, and what became of those before it."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.link.checks import RequestChecks, RequestPort
from gateware.link.packets import NO_SESSION, WINDOW, Command, Status

__all__ = ["Session"]


class Session(wiring.Component):
    """The device's session: its number, the request that it waits for, and the outcomes of the last 32.

    Every output is a register, of the request that was there two cycles ago: much depends on them.

    Parameters
    ----------
    memory_beats : int
        Size of the memory, a multiple of 64.
    peer_bits : int
        As of `PeerPort`.

    Members
    -------
    request : In(RequestPort)
    peer : In(peer_bits)
        From whom the request is. A session is that of the peer who opened it, and of nobody else.
    fresh : Out(1)
        It is the request's turn; ``enter`` : In(1): so it is, and the session waits for the next one.
    accepted : Out(1)
        It is its turn, and it may be carried out.
    repeated : Out(1)
        It is the last request once more: the last answer is still there.
    greeting : Out(1)
        It only asks what the device is, outside of any session: it may, and changes nothing.
    status : Out(4)
        How it is answered, unless it fails later; of no meaning with ``repeated``.
    remember : In(1), outcome : In(4)
        The request has been handled, with this status.
    number : Out(16), following : Out(8)
        The session, and the sequence number that it waits for.
    """

    def __init__(self, memory_beats: int, peer_bits: int = 0) -> None:
        self.checks, self.peer_bits = RequestChecks(memory_beats), peer_bits
        super().__init__(
            {
                "request": In(RequestPort()),
                "peer": In(peer_bits),
                "enter": In(1),
                "fresh": Out(1),
                "accepted": Out(1),
                "repeated": Out(1),
                "greeting": Out(1),
                "status": Out(4),
                "remember": In(1),
                "outcome": In(4),
                "number": Out(16),
                "following": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request, opened, owner = self.request.header, Signal(), Signal(self.peer_bits)
        m.submodules.checks = checks = self.checks
        m.submodules.history = history = memory.Memory(
            shape=4, depth=WINDOW, init=[], attrs={"ram_style": "distributed"}
        )
        remember, recall = history.write_port(), history.read_port(domain="comb")
        verdict, same, behind = checks.verdict, checks.same, checks.behind
        may_open = (request.command == Command.OPEN) & (verdict == Status.DONE)
        fresh, greeting, status = Signal(), Signal(), Signal(4)
        connect(m, flipped(self.request), checks.request)
        m.d.comb += [
            checks.session.eq(self.number),
            checks.opened.eq(opened & (owner == self.peer)),
            checks.following.eq(self.following),
            fresh.eq(Mux(same, behind == 0xFF, may_open)),
            greeting.eq(
                ~same
                & (request.session == NO_SESSION)
                & (request.command == Command.IDENTIFY)
                & (verdict == Status.DONE)
            ),
            recall.addr.eq(request.sequence),
            remember.addr.eq(request.sequence),
            remember.data.eq(self.outcome),
            remember.en.eq(self.remember),
        ]
        with m.If(fresh):
            m.d.comb += status.eq(verdict)
        with m.Elif(~same):
            m.d.comb += status.eq(Mux(greeting, Status.DONE, Status.WRONG_SESSION))
        with m.Elif(behind < WINDOW):
            m.d.comb += status.eq(recall.data)
        with m.Else():
            m.d.comb += status.eq(Status.OUT_OF_ORDER)
        m.d.sync += [
            self.fresh.eq(fresh),
            self.accepted.eq(fresh & (verdict == Status.DONE)),
            self.repeated.eq(same & (behind == 0)),
            self.greeting.eq(greeting),
            self.status.eq(status),
        ]
        with m.If(self.enter):
            m.d.sync += [self.number.eq(request.session), owner.eq(self.peer), opened.eq(1)]
            m.d.sync += self.following.eq(request.sequence + 1)
        return m
