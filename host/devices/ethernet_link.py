"""The link's datagrams to and from an emulated board in this process, over an Ethernet in the board's own time."""

from __future__ import annotations

from collections import deque

from gateware.link.datagrams import LINE_BITS_A_SECOND, datagrams, line_bytes, whole
from gateware.link.framing import DELIMITER
from host.link.transport import Transport
from sim.emulator.emulation import Emulation

__all__ = ["EthernetLink"]

END = bytes([DELIMITER])
PIECE = 64  # cycles between two looks at an answer that has begun


class EthernetLink(Transport):
    """Time passes only during a wait, in cycles of the machine's clock.

    Each way is a line of its own that carries one datagram after another, with all that Ethernet, IP and UDP add; a
    datagram is there when its last byte is, and half of the round trip later. The host's system takes what it writes
    at once, as a socket does.

    Parameters
    ----------
    emulation : of a component with a link
    clock_mhz : its clock
    round_trip : seconds that the way there and back takes besides, as through switches and the host's system
    """

    def __init__(self, emulation: Emulation, clock_mhz: float, round_trip: float = 0.0) -> None:
        self._emulation, self._hertz = emulation, clock_mhz * 1e6
        self._bit_cycles = self._hertz / LINE_BITS_A_SECOND
        self._latency = round_trip / 2 * self._hertz
        self._there: deque[tuple[float, bytes]] = deque()  # on the way, and the cycle in which each has come
        self._back: deque[tuple[float, bytes]] = deque()
        self._free_there = self._free_back = 0.0
        self._begun = bytearray()  # of the answer that the board is sending

    def write(self, content: bytes) -> None:
        for datagram in datagrams(content):
            self._free_there = self._depart(datagram, self._free_there, self._there)

    def read(self, seconds: float) -> bytes:
        end = self._emulation.cycles + max(1, round(seconds * self._hertz))
        while not (content := self._arrived()) and self._emulation.cycles < end:
            self._run(min(end, int(self._back[0][0]) + 1 if self._back else end))
        return content

    def now(self) -> float:
        return self._emulation.cycles / self._hertz

    def pause(self, seconds: float) -> None:
        end = self._emulation.cycles + max(1, round(seconds * self._hertz))
        while self._emulation.cycles < end:
            self._run(end)

    def passed(self, datagram: bytes, back: bool) -> list[bytes]:
        """What leaves the line for what enters it, in either direction. Subclasses model lines with faults."""
        return [datagram]

    def _depart(self, datagram: bytes, free: float, way: deque[tuple[float, bytes]]) -> float:
        """Puts it on a way whose line is free from a cycle on; returns the next one."""
        free = max(free, self._emulation.cycles) + 8 * line_bytes(len(datagram)) * self._bit_cycles
        come = self.passed(datagram, way is self._back)
        way.extend((free + self._latency, content) for content in come)
        return free

    def _run(self, end: int) -> None:
        """Not beyond a cycle, nor beyond the next datagram's coming, nor beyond the board's next answer."""
        emulation = self._emulation
        while self._there and self._there[0][0] <= emulation.cycles:
            emulation.send(whole(self._there.popleft()[1]))
        if self._there:
            end = min(end, int(self._there[0][0]) + 1)
        if self._begun:
            emulation.run(min(PIECE, max(1, end - emulation.cycles)))
        else:
            emulation.run(max(1, end - emulation.cycles), 1)
        *answers, rest = emulation.receive().split(END)
        for answer in answers:
            self._free_back = self._depart(bytes(self._begun) + answer + END, self._free_back, self._back)
            self._begun.clear()
        self._begun += rest

    def _arrived(self) -> bytes:
        found = bytearray()
        while self._back and self._back[0][0] <= self._emulation.cycles:
            found += whole(self._back.popleft()[1])
        return bytes(found)
