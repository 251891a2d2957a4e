"""The memory model against what LiteDRAM's controller, as generated for the Arty A7, was measured to do."""

import numpy as np
import pytest

from sim.emulator.build import build_patterns
from sim.emulator.library import Patterns, load_patterns
from sim.emulator.profiles import ARTY_A7, IDEAL, ULX3S

BEATS = 1 << 24
COMMANDS = 1 << 15
TOLERANCE = 0.03


@pytest.fixture(scope="module")
def patterns() -> Patterns:
    return load_patterns(build_patterns())


def efficiency(patterns, profile, addresses, writes) -> float:
    addresses = np.asarray(addresses).ravel()
    cycles, _ = patterns.run(profile, addresses, np.broadcast_to(writes, addresses.shape))
    return len(addresses) / cycles


def bursts(rng, beats: int) -> np.ndarray:
    return rng.integers(0, BEATS - beats, COMMANDS // beats)[:, None] + np.arange(beats)


@pytest.mark.parametrize(("write", "measured"), [(False, 0.89), (True, 0.88)], ids=["read", "write"])
def test_one_long_sequential_transfer(patterns, write, measured):
    assert efficiency(patterns, ARTY_A7, np.arange(COMMANDS), write) == pytest.approx(measured, abs=TOLERANCE)


@pytest.mark.parametrize(("beats", "measured"), [(1, 0.09), (4, 0.27), (16, 0.57), (64, 0.78), (256, 0.85)])
def test_bursts_of_reads_at_random_addresses(patterns, rng, beats, measured):
    assert efficiency(patterns, ARTY_A7, bursts(rng, beats), False) == pytest.approx(measured, abs=TOLERANCE)


@pytest.mark.parametrize(("beats", "measured"), [(1, 0.06), (4, 0.20), (16, 0.48), (64, 0.71), (256, 0.84)])
def test_bursts_of_reads_and_writes_in_turn(patterns, rng, beats, measured):
    writes = np.repeat(np.arange(COMMANDS // beats) % 2 == 1, beats)
    assert efficiency(patterns, ARTY_A7, bursts(rng, beats), writes) == pytest.approx(measured, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("beats", "stride", "measured"),
    [
        (1, 12, 0.47),
        (1, 24, 0.32),
        (1, 36, 0.23),
        (1, 48, 0.19),
        (4, 12, 0.75),
        (4, 24, 0.63),
        (4, 36, 0.54),
        (4, 48, 0.47),
    ],
)
def test_strided_writes(patterns, beats, stride, measured):
    addresses = np.arange(COMMANDS // beats)[:, None] * stride + np.arange(beats)
    assert efficiency(patterns, ARTY_A7, addresses, True) == pytest.approx(measured, abs=TOLERANCE)


def test_latency_of_a_read_that_opens_its_row(patterns):
    """Sequential reads from rest; later ones never return earlier than the row's opening allows."""
    _, latencies = patterns.run(ARTY_A7, np.array([5 * 128]), np.array([False]))
    assert 15 <= latencies[0] <= 21


def test_a_crossing_costs_latency_and_not_bandwidth(patterns):
    addresses = np.arange(COMMANDS)
    crossed = ARTY_A7.behind_crossing(100)
    assert efficiency(patterns, crossed, addresses, False) == pytest.approx(
        efficiency(patterns, ARTY_A7, addresses, False), abs=0.005
    )
    near = patterns.run(ARTY_A7, addresses[:1], np.array([False]))[1][0]
    assert patterns.run(crossed, addresses[:1], np.array([False]))[1][0] == near + 6


def test_a_faster_machine_sees_the_same_memory(patterns):
    reads = efficiency(patterns, ARTY_A7, np.arange(COMMANDS), False)
    assert efficiency(patterns, ARTY_A7.behind_crossing(125), np.arange(COMMANDS), False) == pytest.approx(
        reads * 100 / 125, abs=0.005
    )


def test_the_ideal_memory_takes_a_command_a_cycle(patterns, rng):
    addresses = rng.integers(0, BEATS, COMMANDS)
    cycles, latencies = patterns.run(IDEAL, addresses, np.arange(COMMANDS) % 2 == 1)
    assert cycles <= COMMANDS + IDEAL.read_latency + 1
    assert set(latencies.tolist()) == {IDEAL.read_latency}


def test_sdram_moves_two_bytes_a_cycle_at_best(patterns, rng):
    reads = efficiency(patterns, ULX3S, np.arange(COMMANDS), False) * 16
    assert 1.7 < reads < 2.0
    assert efficiency(patterns, ULX3S, bursts(rng, 1), False) * 16 < reads / 1.8


def test_bad_profile_is_refused():
    with pytest.raises(ValueError, match="read_latency must be 1 to 1000, not 0"):
        type(IDEAL)(name="x", banks=0, row_beats=1, queue_depth=1, read_latency=0)
