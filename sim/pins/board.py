"""A board's top at its pins: open it, let time pass, send and receive on the serial line, ask what the models found."""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sim.pins.delays import LANES, Delays

__all__ = ["PICOSECONDS", "PinBoard", "PinStatistics", "Wiring"]

PICOSECONDS = 1_000_000_000_000
"""A second of them: the models' unit of time."""
CHUNK = 1 << 16
KEPT = 64  # sentences, of all that are counted


class _Options(ctypes.Structure):
    _fields_ = [
        ("baud", ctypes.c_uint64),
        ("leaving", ctypes.c_uint32),
        ("entering", ctypes.c_uint32),
        ("clock", ctypes.c_uint32),
        ("commands", ctypes.c_uint32),
        ("data", ctypes.c_uint32 * LANES),
        ("strobe", ctypes.c_uint32 * LANES),
        ("jitter", ctypes.c_uint32),
        ("crossed", ctypes.c_uint32),
        ("stuck", ctypes.c_uint32),
        ("restless", ctypes.c_uint32),
    ]


class _Statistics(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("activates", "reads", "writes", "refreshes", "clocks")),
        *((name, ctypes.c_uint64) for name in ("evaluations", "conflicts", "broken_bytes")),
        ("cas_latency", ctypes.c_int32),
        ("write_latency", ctypes.c_int32),
    ]


@dataclass(frozen=True)
class PinStatistics:
    """What happened since power-on: commands and clocks at the chip, evaluations of the design, bytes without a stop
    bit; and the latencies in the chip's mode registers, in clocks.
    """

    activates: int
    reads: int
    writes: int
    refreshes: int
    clocks: int
    evaluations: int
    conflicts: int
    broken_bytes: int
    cas_latency: int
    write_latency: int


@dataclass(frozen=True)
class Wiring:
    """How a board is wired: its delays, and what is wrong with it.

    Parameters
    ----------
    delays : of the wires
    crossed : the data wires of the two byte lanes have changed places; strobes and masks have not
    stuck : data wires, as bits, that are always high
    """

    delays: Delays
    crossed: bool = False
    stuck: int = 0


@functools.lru_cache(maxsize=4)
def _library(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    board, size, text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
    signatures: dict[str, tuple[object, list[object]]] = {
        "pins_open": (board, [ctypes.POINTER(_Options)]),
        "pins_close": (None, [board]),
        "pins_time": (ctypes.c_uint64, [board]),
        "pins_run": (None, [board, ctypes.c_uint64, size]),
        "pins_button": (None, [board, ctypes.c_int]),
        "pins_lamps": (ctypes.c_int, [board]),
        "pins_send": (None, [board, text, size]),
        "pins_unsent": (size, [board]),
        "pins_receive": (size, [board, ctypes.c_void_p, size]),
        "pins_copy": (ctypes.c_int, [board, ctypes.c_int, ctypes.c_uint64, ctypes.c_void_p, size]),
        "pins_complaints": (ctypes.c_uint64, [board]),
        "pins_complaint": (text, [board, size]),
        "pins_statistics": (None, [board, ctypes.POINTER(_Statistics)]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class PinBoard:
    """A board with its power just on. A context manager that closes it.

    Parameters
    ----------
    library : of `sim.pins.build.build_board`
    baud : of the computer's end of the serial line
    wiring : between FPGA and memory
    restless : the PLL's fast clocks run on where they would only repeat themselves: slower, and the same

    Raises MemoryError if there is no room for the memory's address space.
    """

    def __init__(self, library: Path, baud: int, wiring: Wiring, restless: bool = False) -> None:
        delays = wiring.delays
        self._library = _library(library)
        lanes = ctypes.c_uint32 * LANES
        options = _Options(
            baud,
            delays.leaving,
            delays.entering,
            delays.clock,
            delays.commands,
            lanes(*delays.data),
            lanes(*delays.strobe),
            delays.jitter,
            wiring.crossed,
            wiring.stuck,
            restless,
        )
        self._board: int | None = self._library.pins_open(ctypes.byref(options))
        if not self._board:
            raise MemoryError("There is no room for the memory of the simulated board.")

    def close(self) -> None:
        """Frees it."""
        if self._board:
            self._library.pins_close(self._board)
        self._board = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def time(self) -> int:
        """Picoseconds since power-on."""
        return int(self._library.pins_time(self._board))

    def run(self, until: int, count: int = 0) -> None:
        """Lets time pass until then (picoseconds), or until so many bytes (0: never) have come."""
        self._library.pins_run(self._board, until, count)

    def press(self, pressed: bool) -> None:
        """The reset button."""
        self._library.pins_button(self._board, pressed)

    @property
    def lamps(self) -> int:
        """Of the four lamps, as bits: runs, error, memory up, memory failed."""
        return int(self._library.pins_lamps(self._board))

    def send(self, content: bytes) -> None:
        """Bytes that go out to the board one behind the other, as time passes."""
        self._library.pins_send(self._board, content, len(content))

    @property
    def unsent(self) -> int:
        """Bytes that are not out yet."""
        return int(self._library.pins_unsent(self._board))

    def receive(self) -> bytes:
        """What has come from the board since."""
        buffer = (ctypes.c_uint8 * CHUNK)()
        return bytes(buffer[: self._library.pins_receive(self._board, buffer, CHUNK)])

    def write_memory(self, address: int, content: bytes) -> None:
        """Into the chip's cells, by the back door. Raises ValueError outside of them."""
        buffer = (ctypes.c_uint8 * len(content)).from_buffer_copy(content)
        self._copy(True, address, buffer, len(content))

    def read_memory(self, address: int, length: int) -> bytes:
        """Out of them."""
        buffer = (ctypes.c_uint8 * length)()
        self._copy(False, address, buffer, length)
        return bytes(buffer)

    def _copy(self, write: bool, address: int, buffer: ctypes.Array[ctypes.c_uint8], length: int) -> None:
        if address < 0 or not self._library.pins_copy(self._board, write, address, buffer, length):
            raise ValueError(f"{length} bytes at {address:#x} are not all inside the chip.")

    @property
    def complaints(self) -> list[str]:
        """What the models found wrong since the chip's last reset, the first ones as sentences."""
        count = int(self._library.pins_complaints(self._board))
        found = [self._library.pins_complaint(self._board, index).decode() for index in range(min(count, KEPT))]
        return found + ([f"There are {count - KEPT} more."] if count > KEPT else [])

    @property
    def statistics(self) -> PinStatistics:
        """Since power-on."""
        raw = _Statistics()
        self._library.pins_statistics(self._board, ctypes.byref(raw))
        return PinStatistics(**{name: int(getattr(raw, name)) for name, _ in _Statistics._fields_})
