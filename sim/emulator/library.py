"""The C interface of the emulator's libraries, typed: the only place that uses ctypes."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_int, c_int32, c_int64, c_uint8, c_uint32, c_uint64, c_void_p
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.emulator.profiles import MemoryProfile

__all__ = ["CAUSES", "Statistics", "Timing", "Violation", "load_design", "load_patterns", "timing"]

CAUSES = ("idle", "transfer", "row", "turnaround", "refresh", "queue")


class Timing(Structure):
    """`Timing` of native/dram_controller.h."""

    _fields_ = [(field.name, c_int32) for field in fields(MemoryProfile) if field.name != "name"]


class Statistics(Structure):
    """`Statistics` of native/memory_model.h."""

    _fields_ = [
        ("beats_read", c_uint64),
        ("beats_written", c_uint64),
        ("rows_opened", c_uint64),
        ("refreshes", c_uint64),
        ("out_of_range", c_uint64),
        ("first_out_of_range", c_uint64),
        ("refused", c_uint64),
        ("cycles", c_uint64 * len(CAUSES)),
    ]


class Violation(Structure):
    """`Violation` of native/program_order.h."""

    _fields_ = [(name, c_uint32) for name in ("contract", "disorder", "access", "number", "other", "address", "lane")]


def timing(profile: MemoryProfile) -> Timing:
    """A profile as the C++ side takes it."""
    return Timing(*profile.numbers())


class Pattern(NamedTuple):
    """What commands took: ``cycles`` of all; of each read its ``latencies`` and ``values``, the lowest 64 bits."""

    cycles: int
    latencies: NDArray[np.int32]
    values: NDArray[np.uint64]


class Patterns:
    """Access patterns on the memory model alone."""

    def __init__(self, path: Path) -> None:
        self._pattern = ctypes.CDLL(str(path)).memory_pattern
        self._pattern.restype = c_int64
        pointers = [c_void_p, c_void_p]
        self._pattern.argtypes = [POINTER(Timing), c_uint64, c_int64, *pointers, c_int64, *pointers]

    def run(
        self,
        profile: MemoryProfile,
        addresses: NDArray[np.uint64],
        writes: NDArray[np.bool_],
        memory_bytes: int = 1 << 28,
        limit: int = 100_000_000,
    ) -> Pattern:
        """The commands, each offered when the one before was accepted. Write number i, from 1 on, writes 2**32 + i.

        Raises RuntimeError if they do not come to an end within `limit` cycles.
        """
        where = np.ascontiguousarray(addresses, np.uint64)
        kinds = np.ascontiguousarray(writes, np.uint8)
        reads = int((kinds == 0).sum())
        latencies, values = np.zeros(reads + 1, np.int32), np.zeros(reads + 1, np.uint64)
        cycles = self._pattern(
            ctypes.byref(timing(profile)),
            memory_bytes,
            len(where),
            where.ctypes.data,
            kinds.ctypes.data,
            limit,
            latencies.ctypes.data,
            values.ctypes.data,
        )
        if cycles < 0:
            raise RuntimeError(f"{profile.name}: {len(where)} commands were not done within {limit} cycles.")
        return Pattern(cycles, latencies[:-1], values[:-1])


def load_patterns(path: Path) -> Patterns:
    """The library of `build_patterns`."""
    return Patterns(path)


def load_design(path: Path) -> ctypes.CDLL:
    """The library of `build_design`, with the types of its functions set."""
    library = ctypes.CDLL(str(path))
    handle = c_void_p
    for name, result, arguments in (
        ("emulator_open", handle, [c_uint64, POINTER(Timing)]),
        ("emulator_close", None, [handle]),
        ("emulator_reset", None, [handle]),
        ("emulator_start", None, [handle, c_uint64]),
        ("emulator_run", c_int, [handle, c_uint64, c_uint64]),
        ("emulator_cycles", c_uint64, [handle]),
        ("emulator_busy", c_int, [handle]),
        ("emulator_error", c_uint64, [handle]),
        ("emulator_violation", None, [handle, POINTER(Violation)]),
        ("emulator_copy", c_int, [handle, c_int, c_uint64, c_void_p, c_uint64]),
        ("emulator_statistics", None, [handle, POINTER(Statistics)]),
        ("emulator_send", None, [handle, c_char_p, c_uint64]),
        ("emulator_unsent", c_uint64, [handle]),
        ("emulator_received", c_uint64, [handle]),
        ("emulator_receive", c_uint64, [handle, POINTER(c_uint8), c_uint64]),
        ("emulator_set_input", None, [handle, c_int, c_uint64]),
        ("emulator_output", c_uint64, [handle, c_int]),
        ("emulator_record", None, [handle, c_int, c_int]),
        ("emulator_recorded", c_uint64, [handle, c_int]),
        ("emulator_recording", None, [handle, c_int, POINTER(c_uint64), POINTER(c_uint32)]),
        ("emulator_waves", c_int, [handle, c_char_p, c_uint64, c_uint64]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
