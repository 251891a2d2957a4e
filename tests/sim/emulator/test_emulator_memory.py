"""The memory model against what LiteDRAM's controller, as generated for the Arty A7, was measured to do."""

from dataclasses import replace

import numpy as np
import pytest

from sim.emulator.build import build_patterns
from sim.emulator.library import Patterns, load_patterns
from sim.emulator.memories import memory_named, memory_option
from sim.emulator.profiles import ARTY_A7, IDEAL, ULX3S
from sim.emulator.random_memory import random_memory
from sim.reference.errors import UserError

BEATS = 1 << 24
COMMANDS = 1 << 15
TOLERANCE = 0.03


@pytest.fixture(scope="module")
def patterns() -> Patterns:
    return load_patterns(build_patterns())


def efficiency(patterns, profile, addresses, writes) -> float:
    addresses = np.asarray(addresses).ravel()
    return len(addresses) / patterns.run(profile, addresses, np.broadcast_to(writes, addresses.shape)).cycles


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
    found = patterns.run(ARTY_A7, np.array([5 * 128]), np.array([False]))
    assert 15 <= found.latencies[0] <= 21


def test_a_crossing_costs_latency_and_not_bandwidth(patterns):
    addresses = np.arange(COMMANDS)
    crossed = ARTY_A7.behind_crossing(100)
    assert efficiency(patterns, crossed, addresses, False) == pytest.approx(
        efficiency(patterns, ARTY_A7, addresses, False), abs=0.005
    )
    near = patterns.run(ARTY_A7, addresses[:1], np.array([False])).latencies[0]
    assert patterns.run(crossed, addresses[:1], np.array([False])).latencies[0] == near + 6


def test_a_faster_machine_sees_the_same_memory(patterns):
    reads = efficiency(patterns, ARTY_A7, np.arange(COMMANDS), False)
    assert efficiency(patterns, ARTY_A7.behind_crossing(125), np.arange(COMMANDS), False) == pytest.approx(
        reads * 100 / 125, abs=0.005
    )


def test_the_ideal_memory_takes_a_command_a_cycle(patterns, rng):
    addresses = rng.integers(0, BEATS, COMMANDS)
    cycles, latencies, _ = patterns.run(IDEAL, addresses, np.arange(COMMANDS) % 2 == 1)
    assert cycles <= COMMANDS + IDEAL.read_latency + 1
    assert set(latencies.tolist()) == {IDEAL.read_latency}


def test_sdram_moves_two_bytes_a_cycle_at_best(patterns, rng):
    reads = efficiency(patterns, ULX3S, np.arange(COMMANDS), False) * 16
    assert 1.7 < reads < 2.0
    assert efficiency(patterns, ULX3S, bursts(rng, 1), False) * 16 < reads / 1.8


def test_bad_profile_is_refused():
    with pytest.raises(ValueError, match="read_latency must be 1 to 1000, not 0"):
        type(IDEAL)(name="x", banks=0, row_beats=1, queue_depth=1, read_latency=0)


def random_commands(rng: np.random.Generator, count: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Reads and writes in bursts of one kind, at few enough addresses that reads meet what was written."""
    writes = np.repeat(rng.integers(0, 2, count), rng.integers(1, 12, count))[:count] == 1
    addresses = rng.integers(0, 40, count) * rng.choice([1, 7, 128], count)
    return addresses.astype(np.uint64), writes


def test_data_are_right_under_random_timings(patterns, rng: np.random.Generator):
    """Every read sees exactly the writes before it."""
    for seed in range(300):
        addresses, writes = random_commands(rng)
        memory: dict[int, int] = {}
        expected = []
        for number, (address, write) in enumerate(zip(addresses.tolist(), writes.tolist(), strict=True)):
            if write:
                memory[address] = (1 << 32) + 1 + int(writes[:number].sum())
            else:
                expected.append(memory.get(address, 0))
        found = patterns.run(random_memory(seed), addresses, writes, limit=4_000_000)
        np.testing.assert_array_equal(found.values, np.array(expected, np.uint64), f"random:{seed}")


def test_a_seed_is_one_timing(patterns, rng: np.random.Generator):
    addresses, writes = random_commands(rng)
    cycles = [[patterns.run(random_memory(seed), addresses, writes).cycles for seed in range(40)] for _ in range(2)]
    assert cycles[0] == cycles[1]
    assert len(set(cycles[0])) > 35


@pytest.mark.parametrize("channel", ["command", "word", "answer"])
def test_each_channel_pauses_by_itself(patterns, channel: str):
    """A pause of 1 to 8 cycles begins in every fourth cycle: 4.5 cycles of pause behind 3 of work on average."""
    write = channel == "word"
    paused = memory_named(f"ideal,seed=5,{channel}_stall=256,{channel}_stall_cycles=8")
    for writes in (write, not write):
        cycles = patterns.run(paused, np.arange(COMMANDS), np.full(COMMANDS, writes)).cycles
        # Commands hold up either kind.
        expected = 2.5 if writes == write or channel == "command" else 1
        assert cycles / COMMANDS == pytest.approx(expected, rel=0.05)


def test_a_word_that_follows_its_command(patterns):
    together = patterns.run(IDEAL, np.arange(1), np.array([True])).cycles
    assert patterns.run(replace(IDEAL, words_follow=1), np.arange(1), np.array([True])).cycles == together + 1


def test_refreshes_in_bursts(patterns):
    """As many refreshes as in equal intervals take about as much time."""
    one = patterns.run(ARTY_A7, np.arange(COMMANDS), np.zeros(COMMANDS)).cycles
    without = patterns.run(replace(ARTY_A7, t_refi=0), np.arange(COMMANDS), np.zeros(COMMANDS)).cycles
    storm = replace(ARTY_A7, t_refi=8 * ARTY_A7.t_refi, refresh_burst=8)
    assert patterns.run(storm, np.arange(COMMANDS), np.zeros(COMMANDS)).cycles == pytest.approx(one, rel=0.02)
    alone = replace(ARTY_A7, t_refi=8 * ARTY_A7.t_refi)
    assert patterns.run(alone, np.arange(COMMANDS), np.zeros(COMMANDS)).cycles - without < (one - without) / 4


def test_random_memories_are_of_every_kind():
    """Over a hundred seeds each kind is there, and each is missing somewhere."""
    kinds = {
        "no DRAM": lambda memory: memory.banks == 0,
        "16 bits": lambda memory: memory.banks and memory.t_ccd == 8,
        "commands pause": lambda memory: memory.command_stall > 0,
        "words pause": lambda memory: memory.word_stall > 0,
        "answers pause": lambda memory: memory.answer_stall > 0,
        "refreshes": lambda memory: memory.t_refi > 0,
        "storms": lambda memory: memory.refresh_burst > 1,
        "words follow": lambda memory: memory.words_follow,
        "another clock": lambda memory: memory.clock_num != memory.clock_den,
        "a crossing": lambda memory: memory.crossing > 0,
    }
    memories = [random_memory(seed) for seed in range(100)]
    for kind, has in kinds.items():
        assert 3 <= sum(bool(has(memory)) for memory in memories) <= 97, kind


def test_names_of_memories():
    assert memory_named("ulx3s_85f") is ULX3S
    assert memory_named("random:7") == random_memory(7) != random_memory(8)
    changed = memory_named("arty_a7,read_latency=20,t_refi=0")
    assert changed == replace(ARTY_A7, name="arty_a7,read_latency=20,t_refi=0", read_latency=20, t_refi=0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("core", "memory must be one of arty_a7, .* or random:SEED, not 'core'"),
        ("random:", "a random memory is random:SEED with a SEED of 0 to 2147483647, not 'random:'"),
        ("random:2147483648", "not 'random:2147483648'"),
        ("random:-1", "not 'random:-1'"),
        ("ideal,latency=3", "'latency=3' changes no field"),
        ("ideal,name=3", "'name=3' changes no field"),
        ("ideal,read_latency", "'read_latency' changes no field"),
        ("ideal,read_latency=3,read_latency=4", "'read_latency=4' changes no field"),
        ("ideal,read_latency=0", "read_latency must be 1 to 1000, not 0"),
        ("ideal,word_stall=1024", "word_stall must be 0 to 1023, not 1024"),
        ("arty_a7,t_refi=70", "t_refi must be 0 or at least [0-9]*, which leaves time"),
        ("litedram,t_refi=70", "memory must be one of"),
    ],
)
def test_a_wrong_name_of_a_memory_is_one_sentence(text: str, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        memory_named(text)
    with pytest.raises(UserError, match=f"--memory: .*{sentence}"):
        memory_option(text)
