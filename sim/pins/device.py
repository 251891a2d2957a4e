"""The host's device on a simulated board's serial line."""

from __future__ import annotations

from firmware.program.program import Program
from gateware.config import BEAT_BYTES
from host.devices.linked import ConnectedDevice
from host.link.connection import Connection
from sim.pins.board import PICOSECONDS, PinBoard
from sim.pins.line import PinLine

__all__ = ["POWER_ON", "PinDevice", "connected"]

POWER_ON = 150 * PICOSECONDS // 1_000_000
"""Picoseconds until the PLL has locked (100 microseconds) and the machine is out of its reset."""


def connected(board: PinBoard, baud: int) -> Connection:
    """Lets the board power up and opens a session over its serial line. Raises LinkError."""
    board.run(max(board.time, POWER_ON))
    return Connection(PinLine(board, baud))


class PinDevice(ConnectedDevice):
    """A board at its pins, whose programs go over the line, or into the memory's cells by the back door.

    Parameters
    ----------
    board, connection : of the board
    through_line : which of the two
    """

    def __init__(self, board: PinBoard, connection: Connection, through_line: bool = False) -> None:
        super().__init__("the simulated board", connection)
        self._board, self._through_line = board, through_line

    def upload(self, program: Program) -> None:
        if self._through_line:
            super().upload(program)
            return
        for base, content in program.pieces():
            self._board.write_memory(base * BEAT_BYTES, content)
