"""The generated core at a PHY's pins, on both simulators."""

import shutil
import subprocess
from pathlib import Path

import pytest

from hw.toolchains.yosys import yosys
from sim.cocotb.runner import SIMULATORS, run_bench, simulator_missing
from tests.hw.ethernet.ethernet_board import EthernetBoard
from tests.skips import Skip


def as_yosys_reads_it(verilog: Path, folder: Path) -> Path:
    """The core after Yosys's front end. Its combinational blocks assign a default, then a value, which never settles in
    Icarus where blocks read each other; in synthesis and Verilator only the last one counts.
    """
    shutil.copy(verilog, folder / "generated.v")
    commands = "read_verilog generated.v; proc; opt_clean; write_verilog -noattr core.v"
    subprocess.run([yosys(), "-q", "-p", commands], cwd=folder, check=True, timeout=300)
    return folder / "core.v"


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_at_the_phy_s_pins(simulator: str, tmp_path: Path):
    if simulator_missing(simulator):
        Skip.ICARUS.now()
    board = EthernetBoard()
    verilog = board.ethernet.core.verilog
    run_bench(
        board,
        "ethernet_board",
        "tests.hw.ethernet.bench_mii",
        simulator=simulator,
        extra_sources=[
            as_yosys_reads_it(verilog, tmp_path) if simulator == "icarus" else verilog,
            Path(__file__).parent / "fdpe.v",
        ],
    )
