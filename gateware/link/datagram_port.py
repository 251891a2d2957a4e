"""Datagrams each way: what carries the link's frames over a network."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.link.datagrams import PEER_BITS
from gateware.link.peer_port import LONGEST_ANSWER

__all__ = ["DATAGRAM_BYTE", "DatagramPort"]

DATAGRAM_BYTE = data.StructLayout({"byte": 8, "last": 1})
"""A byte of a datagram, and whether it is the last one."""


class DatagramPort(wiring.Signature):
    """Datagrams as the link's side sees them.

    Members
    -------
    rx : In(stream of DATAGRAM_BYTE), sender : In(PEER_BITS)
        A datagram, and from whom it is, steady while it lasts.
    tx : Out(stream of DATAGRAM_BYTE), receiver : Out(PEER_BITS), length : Out(11)
        The same to somebody, with the number of its bytes.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "rx": In(stream.Signature(DATAGRAM_BYTE)),
                "sender": In(PEER_BITS),
                "tx": Out(stream.Signature(DATAGRAM_BYTE)),
                "receiver": Out(PEER_BITS),
                "length": Out(range(LONGEST_ANSWER + 1)),
            }
        )
