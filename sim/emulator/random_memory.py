"""Memories that no board has: every number of their timing drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import replace

from sim.emulator.profiles import MemoryProfile

__all__ = ["random_memory"]

# Chance in 1024 that a pause begins, and its longest: often and short, now and then, seldom and long.
STALLS = (((100, 900), (1, 6)), ((10, 120), (5, 40)), ((1, 4), (100, 1000)))
CLOCKS = ((1, 1), (1, 1), (2, 1), (1, 2), (3, 4), (20, 11), (25, 16))  # memory cycles, machine cycles
BEAT_CYCLES = (1, 2, 4, 8, 8)  # of a memory of 128, 64, 32 and 16 bits


def random_memory(seed: int) -> MemoryProfile:
    """The memory of that seed, 0 to 2**31 - 1.

    Latencies, widths, pauses of each channel of the port, refreshes in bursts, clocks: each kind comes with some seeds
    and not with others, so that nothing hides behind a memory that is slow everywhere.
    """
    draw = random.Random(f"memory {seed}")
    timing = {
        "read_latency": draw.choice((draw.randint(1, 8), draw.randint(1, 100))),
        "crossing": draw.choice((0, 0, draw.randint(1, 6))),
        "command_depth": draw.choice((1, 2, draw.randint(1, 32))),
        "data_depth": draw.choice((1, 2, draw.randint(1, 64))),
        "words_follow": draw.randint(0, 1),
        "seed": seed,
    }
    timing["clock_num"], timing["clock_den"] = draw.choice(CLOCKS)
    for channel in ("command", "word", "answer"):
        timing.update(_stall(draw, channel))
    if draw.random() < 0.3:
        return MemoryProfile(name=f"random:{seed}", banks=0, row_beats=1, queue_depth=1, **timing)
    memory = MemoryProfile(name=f"random:{seed}", **timing, **_dram(draw))
    if draw.random() < 0.3:
        return memory
    memory = replace(memory, t_rfc=draw.randint(1, 60), refresh_burst=draw.choice((1, 1, draw.randint(2, 8))))
    return replace(memory, t_refi=int(memory.least_interval * draw.uniform(1, 20)))


def _stall(draw: random.Random, channel: str) -> dict[str, int]:
    if draw.random() < 0.35:
        return {}
    chances, lengths = draw.choice(STALLS)
    return {f"{channel}_stall": draw.randint(*chances), f"{channel}_stall_cycles": draw.randint(*lengths)}


def _dram(draw: random.Random) -> dict[str, int]:
    return {
        "banks": draw.choice((1, 2, 4, 8, 16)),
        "row_beats": draw.choice((4, 16, 64, 128)),
        "queue_depth": draw.randint(1, 16),
        "t_rp": draw.randint(0, 6),
        "t_rcd": draw.randint(0, 6),
        "t_ras": draw.randint(0, 12),
        "t_rc": draw.randint(0, 18),
        "t_rrd": draw.randint(0, 4),
        "t_faw": draw.choice((0, draw.randint(1, 20))),
        "t_ccd": draw.choice(BEAT_CYCLES),
        "t_wtp": draw.randint(0, 10),
        "t_wtr": draw.randint(0, 10),
        "t_rtw": draw.randint(0, 10),
        "read_time": draw.randint(1, 64),
        "write_time": draw.randint(1, 64),
    }
