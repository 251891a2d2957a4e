"""The emulated board's engine, on a small machine that copies beats."""

import re
import struct

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.memory.port import MemoryPort
from sim.emulator import build
from sim.emulator.emulation import Emulation, EmulationError, RunState
from tests.sim.emulator.emulator_copier import LENGTH_ERROR, Copier

MEMORY = 1 << 20
PROGRAM, SOURCE, TARGET = 3, 16, 0x1000
LIMIT = 100_000


@pytest.fixture
def board():
    with Emulation(Copier(), MEMORY) as emulation:
        yield emulation


def program(source: int, target: int, beats: int, mask: int = 0xFFFF) -> bytes:
    return struct.pack("<4I", source, target, beats, mask)


def content(rng, beats: int) -> bytes:
    return rng.bytes(16 * beats)


def copy(board: Emulation, beats: int, **words) -> RunState:
    board.write_memory(PROGRAM, program(SOURCE, TARGET, beats, **words))
    board.start(PROGRAM)
    return board.run(LIMIT)


@pytest.mark.parametrize("profile", ["arty_a7", "ulx3s_85f", "ideal"])
def test_copies_through_every_memory(rng, profile):
    data = content(rng, 200)
    with Emulation(Copier(), MEMORY, profile) as board:
        board.write_memory(SOURCE, data)
        assert copy(board, 200) is RunState.DONE
        assert board.read_memory(TARGET, len(data)) == data
        assert board.read_memory(TARGET + 200, 16) == bytes(16)
        statistics = board.memory_statistics
        assert (statistics.beats_read, statistics.beats_written) == (201, 200)
        assert (statistics.refused, statistics.out_of_range) == (0, 0)
        assert (board.error, board.busy, board.output("copied")) == (0, False, 200)


def test_masked_bytes_stay(board, rng):
    data, before = content(rng, 1), content(rng, 1)
    board.write_memory(SOURCE, data)
    board.write_memory(TARGET, before)
    assert copy(board, 1, mask=0b1010_0000_0000_0110) is RunState.DONE
    wanted = [data[i] if 0b1010_0000_0000_0110 >> i & 1 else before[i] for i in range(16)]
    assert list(board.read_memory(TARGET, 16)) == wanted


def test_a_slower_memory_takes_more_cycles_and_the_same_one_always_as_many(rng):
    cycles = []
    for profile in ("ideal", "arty_a7", "arty_a7", "ulx3s_85f"):
        with Emulation(Copier(), MEMORY, profile) as board:
            before = board.cycles
            assert copy(board, 100) is RunState.DONE
            cycles.append(board.cycles - before)
    assert cycles[0] < cycles[1] == cycles[2]
    assert cycles[0] < cycles[3]


def test_the_machines_error_ends_the_run_and_the_next_start_clears_it(board):
    assert copy(board, 0) is RunState.ERROR
    assert board.error == LENGTH_ERROR
    assert copy(board, 1) is RunState.DONE
    assert board.error == 0


def test_the_limit_ends_a_run_that_goes_on_later(board):
    board.write_memory(PROGRAM, program(SOURCE, TARGET, 100))
    board.start(PROGRAM)
    before = board.cycles
    assert board.run(50) is RunState.LIMIT
    assert board.cycles == before + 50
    assert board.busy
    assert board.run(LIMIT) is RunState.DONE


def test_reset_in_mid_copy_leaves_a_working_board(board, rng):
    data = content(rng, 100)
    board.write_memory(SOURCE, data)
    board.write_memory(PROGRAM, program(SOURCE, TARGET, 100))
    board.start(PROGRAM)
    assert board.run(1000) is RunState.LIMIT
    board.reset()
    assert not board.busy
    assert board.memory_statistics.beats_read == 0
    assert copy(board, 100) is RunState.DONE
    assert board.read_memory(TARGET, 1600) == data


def test_reads_beyond_the_memory_give_zeros_and_are_recorded(board, rng):
    beats = MEMORY // 16
    board.write_memory(TARGET, content(rng, 3))
    board.write_memory(beats - 1, bytes([7] * 16))
    board.write_memory(PROGRAM, program(beats - 1, TARGET, 3))
    board.start(PROGRAM)
    assert board.run(LIMIT) is RunState.DONE
    assert board.read_memory(TARGET, 48) == bytes([7] * 16 + [0] * 32)
    assert (board.memory_statistics.out_of_range, board.memory_statistics.first_out_of_range) == (2, beats)


def test_writes_beyond_the_memory_are_dropped_and_recorded(board):
    board.write_memory(PROGRAM, program(SOURCE, MEMORY // 16 + 5, 1))
    board.start(PROGRAM)
    assert board.run(LIMIT) is RunState.DONE
    assert board.memory_statistics.first_out_of_range == MEMORY // 16 + 5


def test_statistics_account_for_every_cycle(board):
    board.reset()
    before = board.cycles
    copy(board, 150)
    board.run(100)  # the last write is still on its way when the machine is done
    statistics = board.memory_statistics
    assert sum(statistics.cycles.values()) == board.cycles - before
    assert statistics.cycles["transfer"] == 301
    assert statistics.cycles["turnaround"] > 0
    assert statistics.refreshes == (board.cycles - before) // 782


def test_link_carries_bytes_in_order_both_ways(board, rng):
    data = rng.bytes(1000)
    board.send(data[:10])
    board.send(data[10:])
    assert board.run(LIMIT, receive=1) is RunState.RECEIVED
    assert board.run(LIMIT, receive=1000) is RunState.RECEIVED
    assert board.unsent == 0
    assert board.receive(3) == bytes(~byte & 255 for byte in data[:3])
    assert board.receive() == bytes(~byte & 255 for byte in data[3:])
    assert board.receive() == b""


def test_taps_record_when_told(board, rng):
    data = content(rng, 5)
    board.write_memory(SOURCE, data)
    assert copy(board, 5) is RunState.DONE
    assert len(board.recording("beat").cycles) == 0
    board.record("beat")
    board.record("step")
    assert copy(board, 5) is RunState.DONE
    recording = board.recording("beat")
    assert recording.payload.shape == (5, 5)  # 130 bits
    assert recording.payload[:, :4].astype("<u4").tobytes() == data
    assert not recording.payload[:, 4].any()
    assert (np.diff(recording.cycles.astype(np.int64)) > 10).all()
    assert board.recording("step").payload.ravel().tolist() == [5, 6, 7, 8, 9]
    board.record("step", False)
    assert copy(board, 1) is RunState.DONE
    assert len(board.recording("step").cycles) == 5
    assert len(board.recording("beat").cycles) == 6


def test_inputs_without_a_meaning_can_be_set(board):
    board.write_memory(SOURCE, bytes(16))
    board.set_input("key", 9)
    assert copy(board, 1) is RunState.DONE
    assert board.read_memory(TARGET, 16) == bytes([9] + [0] * 15)


def test_waves_of_a_window(tmp_path):
    path = tmp_path / "copier.vcd"
    with Emulation(Copier(), MEMORY, waves=True) as board:
        start = board.cycles + 40
        board.write_waves(path, start, start + 10)
        assert copy(board, 10) is RunState.DONE
    text = path.read_text()
    assert re.search(r"\$var \w+ +1 \S+ word_taken ", text)
    times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    assert (times[0], times[-1]) == (2 * start, 2 * start + 19)


def test_two_boards_do_not_share_anything(rng):
    data = content(rng, 4)
    with Emulation(Copier(), MEMORY) as one, Emulation(Copier(), MEMORY, "ideal") as other:
        one.write_memory(SOURCE, data)
        assert copy(one, 4) is copy(other, 4) is RunState.DONE
        assert one.read_memory(TARGET, 64) == data
        assert other.read_memory(TARGET, 64) == bytes(64)


def test_the_same_content_is_built_once(monkeypatch):
    path = build.build_design(Copier())

    def nothing(*arguments):
        raise AssertionError("built again")

    monkeypatch.setattr(build, "_verilate", nothing)
    assert build.build_design(Copier()) == path


def test_a_failed_build_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(build, "CACHE", tmp_path)
    monkeypatch.setattr(build, "VERILATOR_FLAGS", ["--no-such-option"])
    with pytest.raises(build.BuildError, match="no-such-option"):
        build.build_design(Copier())
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


class Nothing(wiring.Component):
    """Lacks what a machine must have."""

    memory: Out(MemoryPort(8))
    busy: In(1)

    def elaborate(self, platform: object) -> Module:
        return Module()


def test_a_component_with_other_ports_is_refused():
    with pytest.raises(ValueError, match="Nothing: the emulator needs the port busy of 1 bits, out, and there is one"):
        Emulation(Nothing(), MEMORY)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda board: board.write_memory(MEMORY // 16 - 1, bytes(17)), "17 bytes at beat 65535 are not all inside"),
        (lambda board: board.read_memory(-1, 16), "16 bytes at beat -1"),
        (lambda board: board.record("nothing"), "no tap 'nothing'; there is beat, step"),
        (lambda board: board.set_input("nothing", 1), "no input 'nothing'; there is key"),
        (lambda board: board.output("nothing"), "no output 'nothing'; there is copied"),
        (lambda board: board.write_waves("x.vcd"), "built without waveforms"),
        (lambda board: (board.close(), board.run(1)), "is closed"),
    ],
)
def test_what_a_board_cannot_do_is_said(board, action, message):
    with pytest.raises(EmulationError, match=message):
        action(board)


@pytest.mark.parametrize(
    ("memory_bytes", "profile", "message"),
    [(24, "ideal", "positive multiple of 16, not 24"), (16, "ddr9", "one of arty_a7, .* not 'ddr9'")],
)
def test_bad_arguments_are_refused(memory_bytes, profile, message):
    with pytest.raises(ValueError, match=message):
        Emulation(Copier(), memory_bytes, profile)
