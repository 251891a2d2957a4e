"""The short form of `python -m sim.pins`: the Arty's top with an accelerator that has no core, and a faster UART."""

import pytest
from amaranth.hdl import Module

from firmware.dram.initialisation import Phy
from gateware.config import BEAT_BYTES, config
from gateware.core import Core
from gateware.link.packets import MAX_PAYLOAD
from gateware.machine import identity
from host.dram.leveling import Lane
from hw.boards.arty_a7 import ArtyA7
from sim.pins.board import PinBoard, Wiring
from sim.pins.build import build_board
from sim.pins.check import Bench, brought_up
from sim.pins.delays import ARTY_A7
from sim.pins.device import connected
from sim.pins.eyes import misplaced
from sim.pins.faults import FAULTS

BAUD = 25_000_000  # the most that the UART does at 100 MHz
MACHINE = config("tiny")
ARTY_PHY = Phy(phases=4, data_bits=16, dfi_bits=32, read_phase=2, write_phase=3, delays=32, bitslips=8)


@pytest.fixture(scope="module")
def bench() -> Bench:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Core, "elaborate", lambda self, platform: Module())
        design = ArtyA7(MACHINE, baud=BAUD).design()
    return Bench(MACHINE, design, build_board(design), BAUD)


def test_the_board_comes_up_at_its_pins(bench: Bench):
    beat = bytes(range(3, 3 + BEAT_BYTES))
    with PinBoard(bench.library, BAUD, Wiring(ARTY_A7)) as board, connected(board, BAUD) as link:
        assert link.identity == identity(MACHINE, bench.model.memory_bytes)
        lanes = brought_up(bench, lambda text: None, FAULTS["read-slip"], board, link)
        assert lanes[0] != lanes[1]  # each lane's wires are its own
        link.write(5 * BEAT_BYTES, beat)
        assert board.read_memory(5 * BEAT_BYTES, BEAT_BYTES) == beat
        # That fault comes after leveling: the lane's bytes return from a bit further on.
        assert link.read(5 * BEAT_BYTES, BEAT_BYTES)[::2] == beat[::2]
        assert link.read(5 * BEAT_BYTES, BEAT_BYTES)[1::2] != beat[1::2]
        # Nothing of a long read is asked for twice: the device has room for what is under way.
        link.read(0, 4 * MAX_PAYLOAD)
        assert (link.statistics.timeouts, link.statistics.resent) == (0, 0)
        found = board.statistics
        assert (found.cas_latency, found.write_latency, found.conflicts) == (7, 5, 0) and board.complaints == []


def test_resting_clocks_change_nothing(bench: Bench):
    seen, evaluations = [], []
    for restless in (False, True):
        with PinBoard(bench.library, BAUD, Wiring(ARTY_A7), restless) as board, connected(board, BAUD) as link:
            link.control_write(bench.constants().registers["sdram_dfii_pi0_address"], 0x155)
            board.run(board.time + 40_000_000)
            found = board.statistics
            seen.append((board.time, found.refreshes, found.reads, board.lamps, board.complaints, link.identity))
            evaluations.append(found.evaluations)
    assert seen[0] == seen[1] and seen[0][1] > 0
    assert evaluations[1] > 3 * evaluations[0]


@pytest.mark.parametrize(
    ("lane", "chosen", "good"),
    [
        (0, Lane(0, 3, 21, 12), True),
        (0, Lane(0, 5, 21, 12), False),  # two alignments on: a memory clock late
        (0, Lane(0, 3, 28, 12), False),
        (0, Lane(0, 2, 5, 5), False),  # narrower than the wires leave it
        (1, Lane(0, 3, 18, 13), True),
    ],
)
def test_an_eye_must_lie_where_the_wires_put_it(lane: int, chosen: Lane, good: bool):
    right = [Lane(0, 3, 21, 12), Lane(0, 3, 18, 13)]
    right[lane] = chosen
    wrong = misplaced(right, ARTY_PHY, 100.0, ARTY_A7)
    assert len(wrong) == (not good)
    assert good or f"Byte lane {lane} reads with alignment {chosen.read_bitslip}" in wrong[0]
