"""A serial port, as the host opens one, at whose other end a simulated board's UART pins are."""

from __future__ import annotations

import os
import tty

from gateware.link.uart import BITS_A_BYTE
from host.link.transport import SerialTransport
from sim.pins.board import PICOSECONDS, PinBoard

__all__ = ["PinLine"]

PIECE = 512  # bytes that certainly find room in a pseudo-terminal
GATHERED = 4  # byte times that the computer's end waits for more behind a byte


class PinLine(SerialTransport):
    """The host's serial port on a pseudo-terminal, in the board's time.

    Every byte goes through the operating system's pseudo-terminal and then, bit by bit, over the board's pins. Time
    passes on the board only while somebody writes, reads or waits: the same calls give the same run.

    Parameters
    ----------
    board : with its power on
    baud : of the computer's end, as the board was opened with
    """

    def __init__(self, board: PinBoard, baud: int) -> None:
        self._board, self._byte = board, BITS_A_BYTE * PICOSECONDS // baud
        self._mine, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._mine, False)
        super().__init__(os.ttyname(self._theirs), baud)

    def write(self, content: bytes) -> None:
        for first in range(0, len(content), PIECE):
            super().write(content[first : first + PIECE])
            self._board.send(self._from_terminal())
            while self._board.unsent:
                self._pass(self._byte * max(1, self._board.unsent - 1))

    def read(self, seconds: float) -> bytes:
        content = super().read(0)
        end = self._board.time + max(1, round(seconds * PICOSECONDS))
        while not content and self._board.time < end:
            self._board.run(end, 1)
            if self._board.time < end:
                self._board.run(min(end, self._board.time + GATHERED * self._byte))
            self._to_terminal()
            content = super().read(0)
        return content

    def now(self) -> float:
        return self._board.time / PICOSECONDS

    def pause(self, seconds: float) -> None:
        self._pass(round(seconds * PICOSECONDS))

    def close(self) -> None:
        super().close()
        os.close(self._mine)
        os.close(self._theirs)

    def _pass(self, picoseconds: int) -> None:
        self._board.run(self._board.time + picoseconds)
        self._to_terminal()

    def _from_terminal(self) -> bytes:
        content = bytearray()
        while True:
            try:
                content += os.read(self._mine, PIECE)
            except BlockingIOError:
                return bytes(content)

    def _to_terminal(self) -> None:
        if content := self._board.receive():
            os.write(self._mine, content)
