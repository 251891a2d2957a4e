"""The generated core at a PHY's pins, on both simulators."""

from pathlib import Path

import pytest

from sim.cocotb.runner import SIMULATORS, run_bench, simulator_missing
from tests.hw.ethernet.ethernet_board import EthernetBoard
from tests.skips import Skip


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_at_the_phy_s_pins(simulator: str):
    if simulator_missing(simulator):
        Skip.ICARUS.now()
    board = EthernetBoard()
    run_bench(
        board,
        "ethernet_board",
        "tests.hw.ethernet.bench_mii",
        simulator=simulator,
        extra_sources=[board.ethernet.core.verilog, Path(__file__).parent / "fdpe.v"],
    )
