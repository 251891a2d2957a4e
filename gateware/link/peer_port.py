"""Who is at the other end of the link, where several can be."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.link.framing import frame_bytes
from gateware.link.packets import ANSWER, CRC_BYTES, MAX_PAYLOAD

__all__ = ["LONGEST_ANSWER", "PeerPort"]

LONGEST_ANSWER = frame_bytes(ANSWER.size + MAX_PAYLOAD + CRC_BYTES)
"""Bytes of its frame."""


class PeerPort(wiring.Signature):
    """Beside the byte streams, as the link sees it: from whom a request comes, and for whom an answer is.

    A peer is a number that means something to whoever carries the bytes; the link only compares it.

    Parameters
    ----------
    peer_bits : int
        Bits of the number; 0 where there is one peer.

    Members
    -------
    sender : In(peer_bits)
        Of the request whose delimiter goes over ``rx``.
    receiver : Out(peer_bits), length : Out(11)
        Of the answer that goes over ``tx``, and its bytes with the delimiter; steady from its first byte to its last.
    """

    def __init__(self, peer_bits: int) -> None:
        super().__init__(
            {"sender": In(peer_bits), "receiver": Out(peer_bits), "length": Out(range(LONGEST_ANSWER + 1))}
        )
