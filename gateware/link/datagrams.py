"""The link's frames as UDP datagrams: their port, and what they take of an Ethernet. docs/ethernet.md."""

from collections.abc import Iterator

from gateware.link.framing import DELIMITER

__all__ = [
    "ETHERNET_BOARDS",
    "HOST_BITS",
    "LINE_BITS_A_SECOND",
    "LONGEST",
    "PEER_BITS",
    "PORT_BITS",
    "UDP_PORT",
    "datagrams",
    "line_bytes",
    "whole",
]

UDP_PORT = 49768
"""Where a board listens; of the ports that nobody registers (RFC 6335)."""
LINE_BITS_A_SECOND = 100_000_000
ETHERNET_BOARDS = ("arty_a7_35", "arty_a7_100")
"""Configurations whose boards have it."""
PORT_BITS, HOST_BITS = 16, 8
PEER_BITS = PORT_BITS + HOST_BITS
"""A peer is a UDP port and, above it, the last byte of an address of the own network; 0 is whoever is on the UART."""

LONGEST = 2048
"""Bytes of a datagram that are looked at; a frame has half of that."""

END = bytes([DELIMITER])
HEADERS = 20 + 8  # of IP and UDP
LEAST_CONTENT = 46  # of an Ethernet frame
AROUND = 7 + 1 + 14 + 4 + 12  # preamble, its end, the frame's header, its check sequence, the gap to the next frame


def line_bytes(datagram_bytes: int) -> int:
    """Bytes of the line that a datagram takes, everything around it included."""
    return AROUND + max(LEAST_CONTENT, HEADERS + datagram_bytes)


def datagrams(content: bytes) -> Iterator[bytes]:
    """The frames in some bytes, each with its delimiter; empty ones mean nothing and are left out."""
    for stuffed in content.split(END):
        if stuffed:
            yield stuffed + END


def whole(datagram: bytes) -> bytes:
    """A datagram with a delimiter at its end: one that was cut short spoils no other."""
    return datagram if datagram.endswith(END) else datagram + END
