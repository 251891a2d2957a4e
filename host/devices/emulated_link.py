"""The link's bytes to and from an emulated board in this process, in the board's own time."""

from __future__ import annotations

from collections import deque

from gateware.link.uart import BITS_A_BYTE
from host.link.transport import Transport
from sim.emulator.emulation import Emulation, RunState

__all__ = ["EmulatedLink"]

PIECE = 64  # bytes between two looks at what the board has sent


class EmulatedLink(Transport):
    """Time passes only during a write, a read or a wait, in cycles of the machine's clock.

    Parameters
    ----------
    emulation : of a component with a link
    clock_mhz : its clock
    baud : bits a second, 10 of them a byte, each way; None: a byte a cycle
    """

    def __init__(self, emulation: Emulation, clock_mhz: float, baud: int | None = None) -> None:
        self._emulation, self._hertz = emulation, clock_mhz * 1e6
        self._byte_cycles = 1.0 if baud is None else BITS_A_BYTE * self._hertz / baud
        self._due: deque[tuple[float, int]] = deque()  # bytes on the line, and the cycle in which each has come
        self._line_free = 0.0

    def write(self, content: bytes) -> None:
        for first in range(0, len(content), PIECE):
            piece = content[first : first + PIECE]
            self._emulation.send(piece)
            self._pass(max(1, round(len(piece) * self._byte_cycles)))

    def read(self, seconds: float) -> bytes:
        end = self._emulation.cycles + max(1, round(seconds * self._hertz))
        while not (content := self._arrived()) and self._emulation.cycles < end:
            next_byte = int(self._due[0][0]) + 1 if self._due else end
            self._run(min(end, next_byte) - self._emulation.cycles, 1)
        return content

    def now(self) -> float:
        return self._emulation.cycles / self._hertz

    def pause(self, seconds: float) -> None:
        self._pass(round(seconds * self._hertz))

    def _pass(self, cycles: int) -> None:
        end = self._emulation.cycles + cycles
        while self._emulation.cycles < end:
            self._run(end - self._emulation.cycles, 0)

    def _run(self, cycles: int, receive: int) -> RunState:
        """At most so many cycles; what the board sends goes on the line."""
        state = self._emulation.run(max(1, cycles), receive)
        for byte in self._emulation.receive():
            self._line_free = max(self._line_free, self._emulation.cycles) + self._byte_cycles
            self._due.append((self._line_free, byte))
        return state

    def _arrived(self) -> bytes:
        now, found = self._emulation.cycles, bytearray()
        while self._due and self._due[0][0] <= now:
            found.append(self._due.popleft()[1])
        return bytes(found)
