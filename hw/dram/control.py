"""The controller's control port: registers of 32 bits, for whoever initialises and levels the memory."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ADDRESS_BITS", "ControlBus"]

ADDRESS_BITS = 14  # of a register of 32 bits: 64 KB of them


class ControlBus(wiring.Signature):
    """A Wishbone bus without bursts and errors, as its master sees it.

    The master holds ``request`` with ``we``, ``address`` and ``data`` until the cycle in which ``ack`` comes, then
    takes ``request`` away for a cycle. A read's ``answer`` is there with ``ack``.

    Members
    -------
    request, we : Out(1)
    address : Out(14)
        Of a register: its byte address divided by four.
    data : Out(32)
    ack : In(1)
    answer : In(32)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "request": Out(1),
                "we": Out(1),
                "address": Out(ADDRESS_BITS),
                "data": Out(32),
                "ack": In(1),
                "answer": In(32),
            }
        )
