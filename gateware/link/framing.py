"""Frames on the line: consistent overhead byte stuffing (Cheshire and Baker, SIGCOMM 1997), ended by a zero byte.

A zero byte never stands inside a frame, so whoever lost the thread finds it again at the next one. The cost is one byte
and at most one more for every 254.
"""

__all__ = ["DELIMITER", "LONGEST_RUN", "FramingError", "decode", "encode", "frame", "frame_bytes"]

DELIMITER = 0
LONGEST_RUN = 254
"""Bytes that follow one code at most."""


def frame_bytes(packet_bytes: int) -> int:
    """The most bytes of a packet's frame, the delimiter among them."""
    return packet_bytes + packet_bytes // LONGEST_RUN + 2


class FramingError(ValueError):
    """Bytes between two delimiters that no encoder wrote; one sentence."""


def encode(packet: bytes) -> bytes:
    """Stuffed bytes, without the delimiter: each run of bytes that are not zero, after its length plus 1."""
    pieces = []
    for run in packet.split(b"\0"):
        while len(run) >= LONGEST_RUN:
            pieces.append(b"\xff" + run[:LONGEST_RUN])
            run = run[LONGEST_RUN:]
        pieces.append(bytes([len(run) + 1]) + run)
    return b"".join(pieces)


def frame(packet: bytes) -> bytes:
    """The packet as it goes over the line."""
    return encode(packet) + bytes([DELIMITER])


def decode(stuffed: bytes) -> bytes:
    """The packet of what stood between two delimiters. Raises FramingError where it ends inside a run."""
    pieces, place = [], 0
    while place < len(stuffed):
        code = stuffed[place]
        run = stuffed[place + 1 : place + code]
        if code == DELIMITER or len(run) != code - 1:
            raise FramingError(f"A frame of {len(stuffed)} bytes ends inside a run of {code - 1}.")
        place += code
        pieces.append(run)
        if code != LONGEST_RUN + 1 and place < len(stuffed):
            pieces.append(b"\0")
    return b"".join(pieces)
