"""A component on the emulated board: open, load memory, run, look."""

import ctypes
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from amaranth.hdl import Elaboratable
from numpy.typing import NDArray

from gateware.config import BEAT_BYTES
from sim.emulator.build import build_design
from sim.emulator.library import CAUSES, Statistics, Violation, load_design, timing
from sim.emulator.litedram import with_litedram
from sim.emulator.memories import memory_named
from sim.emulator.ports import check_ports, link_present, scalar_ports, taps
from sim.emulator.profiles import IDEAL, LITEDRAM, MemoryProfile
from sim.emulator.violations import violation
from sim.watched import watched

__all__ = ["Emulation", "EmulationError", "MemoryStatistics", "Recording", "RunState"]


class EmulationError(RuntimeError):
    """Something was asked of the emulated board that it cannot do; one sentence."""


class RunState(enum.Enum):
    """Why a run ended: cycle limit, ``busy`` fell, error code, enough bytes over the link, violation of a contract."""

    LIMIT = 0
    DONE = 1
    ERROR = 2
    RECEIVED = 3
    VIOLATED = 4


@dataclass(frozen=True)
class MemoryStatistics:
    """What memory did since the last reset.

    ``cycles``: memory cycles by what they went on: idle, transfer, row (opening and closing), turnaround, refresh,
    queue (commands that were on their way through the controller). ``refused``: words that the machine did not take.
    """

    beats_read: int
    beats_written: int
    rows_opened: int
    refreshes: int
    out_of_range: int
    first_out_of_range: int | None
    refused: int
    cycles: Mapping[str, int]


@dataclass(frozen=True)
class Recording:
    """What a tap showed: ``cycles`` (n,) and ``payload`` (n, words of 32 bits, the lowest first)."""

    cycles: NDArray[np.uint64]
    payload: NDArray[np.uint32]

    def since(self, cycle: int) -> "Recording":
        """What was shown from that cycle on."""
        first = int(np.searchsorted(self.cycles, np.uint64(cycle)))
        return Recording(self.cycles[first:], self.payload[first:])


class Emulation:
    """A component through Verilator, with its memory.

    Parameters
    ----------
    component : Amaranth component
        Ports as `sim.emulator.ports` describes: ``memory`` and ``busy``, and what it has of ``start``, ``program``,
        ``error``, ``link``, ``tap_NAME``. Elaborated once, with its contracts watched.
    memory_bytes : int
        Size of the memory, a multiple of 16. Costs what is used of it.
    profile : MemoryProfile, the name of one (`sim.emulator.memories`), or one of `LITEDRAM`
        The last are LiteDRAM's own controllers and memory model, built into the design: all of the board's memory.
    waves : bool
        Build a variant that can write waveforms; slower.

    Starts out of reset. Raises ValueError for bad arguments, BuildError and VerilatorError if it cannot be built.
    """

    def __init__(
        self,
        component: Elaboratable,
        memory_bytes: int,
        profile: MemoryProfile | str = "arty_a7",
        *,
        waves: bool = False,
    ) -> None:
        if memory_bytes <= 0 or memory_bytes % BEAT_BYTES:
            raise ValueError(f"memory_bytes must be a positive multiple of {BEAT_BYTES}, not {memory_bytes}.")
        self._own_memory = isinstance(profile, str) and profile in LITEDRAM
        self._has_link, self._waves = link_present(component), waves
        check_ports(component)  # before anything is elaborated
        memory = profile if isinstance(profile, MemoryProfile) else IDEAL if self._own_memory else memory_named(profile)
        component = self._watched = watched(component)
        if isinstance(profile, str) and self._own_memory:
            component = with_litedram(component, LITEDRAM[profile])
        self.memory_bytes = memory_bytes
        self._taps = {tap.name: (index, tap) for index, tap in enumerate(taps(component))}
        self._inputs, self._outputs = scalar_ports(component)
        self._library = load_design(build_design(component, waves))
        self._open(memory)

    def _open(self, profile: MemoryProfile) -> None:
        self.profile = profile
        self._handle: int | None = self._library.emulator_open(self.memory_bytes, ctypes.byref(timing(profile)))
        if not self._handle:
            raise EmulationError(f"There is no room for {self.memory_bytes} bytes of emulated memory; ask for less.")

    def replace_memory(self, profile: MemoryProfile) -> None:
        """Begins again with an empty memory of another timing, in no time. Not possible with LiteDRAM's memory."""
        if self._own_memory:
            raise EmulationError("The board has LiteDRAM's memory, which has one timing; open another board.")
        self.close()
        self._open(profile)

    def close(self) -> None:
        """Frees the board; waveforms are complete after this. Anything else raises EmulationError from now on."""
        if self._handle:
            self._library.emulator_close(self._handle)
        self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()

    def _board(self) -> int:
        if not self._handle:
            raise EmulationError("The emulated board is closed; open another.")
        return self._handle

    # Memory

    def write_memory(self, beat_address: int, content: bytes) -> None:
        """Writes bytes, from the first byte of a beat on. Takes no cycles."""
        self._copy(True, beat_address, (ctypes.c_uint8 * len(content)).from_buffer_copy(content), len(content))

    def read_memory(self, beat_address: int, length: int) -> bytes:
        """Reads `length` bytes, from the first byte of a beat on. Takes no cycles."""
        if length < 0:
            raise ValueError(f"length must not be negative, not {length}.")
        buffer = (ctypes.c_uint8 * length)()
        self._copy(False, beat_address, buffer, length)
        return bytes(buffer)

    def _copy(self, write: bool, beat_address: int, buffer: ctypes.Array[ctypes.c_uint8], length: int) -> None:
        board = self._board()
        if beat_address < 0 or not self._library.emulator_copy(board, write, beat_address * BEAT_BYTES, buffer, length):
            raise EmulationError(
                f"{length} bytes at beat {beat_address} are not all inside the memory of {self.memory_bytes} bytes."
            )

    @property
    def memory_statistics(self) -> MemoryStatistics:
        """Since the last reset."""
        raw = Statistics()
        self._library.emulator_statistics(self._board(), ctypes.byref(raw))
        if self._own_memory:
            # LiteDRAM's model counts nothing but what went through the port.
            read, written = self.output("beats_read"), self.output("beats_written")
            return MemoryStatistics(read, written, 0, 0, 0, None, 0, dict.fromkeys(CAUSES, 0))
        return MemoryStatistics(
            beats_read=raw.beats_read,
            beats_written=raw.beats_written,
            rows_opened=raw.rows_opened,
            refreshes=raw.refreshes,
            out_of_range=raw.out_of_range,
            first_out_of_range=raw.first_out_of_range if raw.out_of_range else None,
            refused=raw.refused,
            cycles=dict(zip(CAUSES, raw.cycles, strict=True)),
        )

    # Running

    def reset(self) -> None:
        """A few cycles of reset. Memory keeps its bytes; the link is emptied and the statistics begin anew."""
        self._library.emulator_reset(self._board())

    def start(self, program_address: int = 0) -> None:
        """One cycle of ``start``, with the program's beat address."""
        self._library.emulator_start(self._board(), program_address)

    def run(self, max_cycles: int, receive: int = 0) -> RunState:
        """Cycles until ``busy`` falls, an error appears, `receive` bytes (0: never) lie ready, or the limit.

        Raises ContractViolation where a contract of the machine's units does not hold, and from then on until `reset`.
        """
        board = self._board()
        if max_cycles < 0 or receive < 0:
            raise ValueError(f"max_cycles and receive must not be negative, not {max_cycles} and {receive}.")
        state = RunState(self._library.emulator_run(board, max_cycles, receive))
        if state is RunState.VIOLATED:
            found = Violation()
            self._library.emulator_violation(board, ctypes.byref(found))
            raise violation(found, self._watched, self.cycles)
        return state

    @property
    def cycles(self) -> int:
        """Since the board was opened."""
        return int(self._library.emulator_cycles(self._board()))

    @property
    def busy(self) -> bool:
        """The machine's ``busy``."""
        return bool(self._library.emulator_busy(self._board()))

    @property
    def error(self) -> int:
        """The machine's ``error``, 0 if it has none."""
        return int(self._library.emulator_error(self._board()))

    def set_input(self, name: str, value: int) -> None:
        """Drives an input that the emulator does not interpret; the value stays. Names are Verilog's: `a__b`."""
        if name not in self._inputs:
            raise EmulationError(f"There is no input {name!r}; there is {', '.join(self._inputs) or 'none'}.")
        self._library.emulator_set_input(self._board(), self._inputs.index(name), value)

    def output(self, name: str) -> int:
        """An output that the emulator does not interpret, such as a counter."""
        if name not in self._outputs:
            raise EmulationError(f"There is no output {name!r}; there is {', '.join(self._outputs) or 'none'}.")
        return int(self._library.emulator_output(self._board(), self._outputs.index(name)))

    # Link

    def send(self, content: bytes) -> None:
        """Queues bytes; the machine gets one a cycle, when it takes them, as the board runs."""
        self._need_link()
        self._library.emulator_send(self._board(), content, len(content))

    @property
    def unsent(self) -> int:
        """Bytes that the machine has not taken yet."""
        return int(self._library.emulator_unsent(self._board()))

    def receive(self, most: int | None = None) -> bytes:
        """What the machine has sent so far, at most `most` bytes of it. Takes no cycles."""
        self._need_link()
        board = self._board()
        ready = int(self._library.emulator_received(board))
        buffer = (ctypes.c_uint8 * (ready if most is None else min(ready, most)))()
        self._library.emulator_receive(board, buffer, len(buffer))
        return bytes(buffer)

    def _need_link(self) -> None:
        if not self._has_link:
            raise EmulationError("The component has no port `link`, so nothing can be sent to it or received.")

    # Debugging

    def record(self, name: str, enabled: bool = True) -> None:
        """Begins to record a tap anew, or stops; what was recorded stays until the next beginning."""
        self._library.emulator_record(self._board(), self._tap(name), enabled)

    def recording(self, name: str) -> Recording:
        """What the tap showed since `record`."""
        board, index = self._board(), self._tap(name)
        count = int(self._library.emulator_recorded(board, index))
        cycles = np.zeros(count, np.uint64)
        payload = np.zeros((count, self._taps[name][1].words), np.uint32)
        self._library.emulator_recording(
            board,
            index,
            cycles.ctypes.data_as(ctypes.POINTER(ctypes.c_uint64)),
            payload.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32)),
        )
        return Recording(cycles, payload)

    def _tap(self, name: str) -> int:
        if name not in self._taps:
            raise EmulationError(f"There is no tap {name!r}; there is {', '.join(self._taps) or 'none'}.")
        return self._taps[name][0]

    def write_waves(self, path: Path, first_cycle: int = 0, end_cycle: int = (1 << 64) - 1) -> None:
        """Writes a VCD file of the cycles from `first_cycle` to before `end_cycle`, two time steps a cycle."""
        if not self._waves:
            raise EmulationError("This board was built without waveforms; open it with waves=True.")
        if not 0 <= first_cycle < end_cycle < 1 << 64:
            raise ValueError(f"cycles must be 0 <= first < end < 2**64, not {first_cycle} and {end_cycle}.")
        if not self._library.emulator_waves(self._board(), str(path).encode(), first_cycle, end_cycle):
            raise EmulationError(f"The waveforms cannot be written to {path}; choose a folder that is there.")
