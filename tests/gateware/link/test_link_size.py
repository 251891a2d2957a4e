"""What the link takes on an FPGA; docs/link.md says these figures."""

import re
from pathlib import Path

import pytest
from amaranth.lib import wiring

from gateware.config import config
from gateware.link.datagrams import PEER_BITS
from gateware.link.link import Link
from gateware.link.uart import Uart
from gateware.machine import identity
from hw.units.synthesis import synthesise

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "link.md").read_text()
BOARD = config("arty_a7")
UNITS = {
    "link": lambda: Link(identity(BOARD, 16 << BOARD.address_bits), BOARD.address_bits, peer_bits=PEER_BITS),
    "UART at 12 Mbaud": lambda: Uart(100_000_000, 12_000_000),
}


@pytest.mark.parametrize("name", UNITS)
def test_the_page_has_the_figures(name: str):
    unit: wiring.Component = UNITS[name]()
    found = synthesise(unit, "xc7")
    print(name, found)
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {name} |"))
    cells = [cell.strip().replace(",", "") for cell in row.strip("|").split("|")]
    lut, ff, block_ram = int(cells[1]), int(cells[2]), float(cells[3])
    # Another release of Yosys finds some more or less.
    assert found.lut == pytest.approx(lut, rel=0.05)
    assert found.ff == pytest.approx(ff, rel=0.05)
    assert (found.block_ram, found.dsp) == (block_ram, 0)
    assert re.fullmatch(r"[\d.]+", cells[3])
