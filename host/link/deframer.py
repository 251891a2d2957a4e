"""Answers out of a stream of bytes that may hold anything."""

from __future__ import annotations

from collections.abc import Iterator

from gateware.link.framing import DELIMITER, FramingError, decode
from gateware.link.packets import Answer, PacketError
from gateware.link.peer_port import LONGEST_ANSWER

__all__ = ["Deframer"]

LONGEST = LONGEST_ANSWER - 1
"""Bytes of a frame without its delimiter."""


class Deframer:
    """Gives the answers whose CRC is right, and drops everything else; keeps no more than the longest frame.

    Members
    -------
    damaged : frames that were dropped
    """

    def __init__(self) -> None:
        self._begun, self._too_long = bytearray(), False
        self.damaged = 0

    def feed(self, content: bytes) -> Iterator[Answer]:
        """The answers that end within `content`."""
        *ends, rest = content.split(bytes([DELIMITER]))
        for end in ends:
            self._keep(end)
            stuffed, too_long = bytes(self._begun), self._too_long
            self.clear()
            if not stuffed:
                continue
            try:
                if too_long:
                    raise FramingError(f"A frame has more than {LONGEST} bytes.")
                answer = Answer.from_bytes(decode(stuffed))
            except (FramingError, PacketError):
                self.damaged += 1
            else:
                yield answer
        self._keep(rest)

    def clear(self) -> None:
        """Forgets the frame that has begun."""
        self._begun.clear()
        self._too_long = False

    def _keep(self, content: bytes) -> None:
        room = LONGEST - len(self._begun)
        self._too_long |= len(content) > room
        self._begun += content[:room]
