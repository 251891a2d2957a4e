"""Resources of a netlist, limits of a part, and the estimate before any tool runs."""

import json
from dataclasses import asdict

import pytest

from gateware.config import config
from hw.boards.fit import estimate, misfits
from hw.boards.parts import XC7A35T
from hw.build import BOARDS
from hw.reports.boards_page import PAGE
from hw.toolchains import vivado
from hw.toolchains.errors import ToolError
from hw.toolchains.utilisation import Utilisation, by_unit, count, over_limits, packed
from tests.hw.toolchains import fake_tools as fake


def test_vivado_s_tables():
    assert vivado.read_utilisation(fake.VIVADO_USED) == Utilisation(15_000, 20_000, 90, 41.5, 15_000)
    (clock,) = vivado.read_timing(fake.VIVADO_TIMING.format(slack=-2.5))
    assert clock.achieved_mhz == pytest.approx(80) and not clock.met


def test_units_are_counted_once():
    modules = {"top": {"LUT6": 5, "unit": 2}, "unit": {"LUT2": 7, "DSP48E1": 1}}
    text = json.dumps({"modules": {f"\\{name}": {"num_cells_by_type": cells} for name, cells in modules.items()}})
    assert by_unit(text) == {"top": Utilisation(5, 0, 0, 0, 5), "unit": Utilisation(4, 0, 1, 0, 7)}
    with pytest.raises(ToolError, match="unknown size, NEW_CELL"):
        count({"NEW_CELL": 1})


def test_limits_are_the_part_s_own():
    assert over_limits(Utilisation(18_304, 41_600, 90, 50, 25_000), XC7A35T) == []
    assert len(over_limits(Utilisation(18_305, 41_601, 91, 50.5, 18_305), XC7A35T)) == 4


def test_small_luts_share_one():
    assert packed({"LUT6": 3, "LUT5": 4, "RAM32M": 2, "SRL16E": 5}) == 3 + 4 + 8 + 5
    assert packed({"LUT4": 10, "INV": 4, "LUT1": 2}) == 10  # each with an inverter
    assert packed({"LUT3": 10, "LUT2": 12, "LUT1": 1}) == 12  # ten pairs, two LUT2 together, one alone
    assert packed({"LUT3": 6}) == 6  # two have six inputs


# What `python -m hw.build` reported of the boards' presets: `--docs` takes it over from the builds.
BUILT = [row for row in json.loads(PAGE.with_suffix(".json").read_text()) if row["part"] is not None]


def test_each_part_is_in_the_record():
    assert {row["part"] for row in BUILT} == {"XC7A35T", "XC7A100T", "LFE5U-85F"}


@pytest.mark.parametrize("row", BUILT, ids=lambda row: row["board"])
def test_estimates_are_within_a_tenth(row):
    board = BOARDS[row["board"]]
    assert board.part is not None
    found = estimate(config(row["config"], row["arithmetic"]), board.part)
    assert asdict(found) == pytest.approx({key: row[key] for key in asdict(found)}, rel=0.1)
    assert misfits(config(row["config"], row["arithmetic"]), board.part) == []
