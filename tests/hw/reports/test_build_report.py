"""Reports of builds: the JSON that others read, the tables, the page."""

import dataclasses
import io
import json
import re
from pathlib import Path

from rich.console import Console

from gateware.config import config
from hw.boards.fit import estimate
from hw.boards.parts import XC7A35T
from hw.reports.boards_page import BEGIN, END, write_page
from hw.reports.build_report import print_report, report, write_report
from hw.toolchains.outcome import Outcome, Routed, Timing
from hw.toolchains.utilisation import Utilisation

USED = Utilisation(16_000, 28_000, 90, 47.0, 19_000)
FIELDS = ["board", "part", "toolchain", "status", "lut", "ff", "dsp", "bram36", "limits", "fmax_mhz", "bitstream"]


def outcome(folder: Path, mhz: float) -> Outcome:
    clocks = (Timing("user_clk", mhz, 100.0, ("array.x", "array.y")), Timing("fast", 450.0, 400.0))
    return Outcome(USED, {"top.machine": USED}, Routed(clocks, folder / "top.bit"), files={"netlist": folder / "n"})


def test_success_has_everything(tmp_path: Path):
    found = report("arty_a7", XC7A35T, "openxc7", "success", config("arty_a7_35"), outcome(tmp_path, 120.0), "")
    assert set(FIELDS) <= found.keys()
    # Fmax is the machine's, not the PHY's faster clock's.
    assert (found["fmax_mhz"], found["lut"], found["lut_cells"], found["limits"]["lut"]) == (
        120.0,
        16_000,
        19_000,
        20_800,
    )
    assert found["estimate"] == dataclasses.asdict(estimate(config("arty_a7_35"), XC7A35T))
    assert set(found["frames_per_second"]) == set(found["frames_source"]) == {"deit_tiny", "deit_small"}
    assert found["bitstream"] == str(tmp_path / "top.bit")
    path = write_report(found, tmp_path)
    assert json.loads(path.read_text()) == found
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
    text = io.StringIO()
    print_report(found, Console(file=text, width=120))
    assert "19,000" in text.getvalue() and "user_clk: 120.0 MHz of 100.0, met" in text.getvalue()
    off = found["estimate"]["lut"] / 16_000 - 1
    assert re.search(
        rf"16,000 .* 76\.9% .* {found['estimate']['lut']:,} .* {re.escape(f'{off:+.1%}')}", text.getvalue()
    )


def test_failure_names_no_bitstream(tmp_path: Path):
    found = report("arty_a7", XC7A35T, "openxc7", "failure", config("tiny"), outcome(tmp_path, 90.0), "Too slow.")
    assert found["bitstream"] is None and found["problem"] == "Too slow."
    found = report("arty_a7", XC7A35T, "vivado", "failure", config("tiny"), Outcome(None), "Vivado failed.")
    assert found["lut"] is None and write_report(found, tmp_path).exists()
    print_report(found, Console(file=io.StringIO()))


def test_the_page_has_a_line_for_each_board_that_was_built(tmp_path: Path):
    page = tmp_path / "boards.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    boards = {"arty_a7": "arty_a7_35", "ulx3s_85f": "ulx3s_85f"}

    def built(used: Utilisation, preset: str, clock: float = 100.0, problem: str = "") -> list[str]:
        """The page's lines of the board after a build of that preset at that clock."""
        (tmp_path / "arty_a7").mkdir(exist_ok=True)
        found = Outcome(used, {}, outcome(tmp_path, 120.0).routed)
        machine = dataclasses.replace(config(preset), clock_mhz=clock)
        row = report("arty_a7", XC7A35T, "openxc7", "success", machine, found, problem)
        write_report(row, tmp_path / "arty_a7")
        assert write_page(tmp_path, boards, page) == ["ulx3s_85f"]
        lines = page.read_text().splitlines()
        assert lines[0] == "before" and lines[-1] == "after" and "old" not in lines
        return [line for line in lines if line.startswith("| `arty_a7` |")]

    (line,) = built(USED, "arty_a7_35")
    assert line.startswith("| `arty_a7` | XC7A35T | 16,000 of 20,800 | 19,000 |") and line.endswith("| yes |")
    assert built(dataclasses.replace(USED, lut=1_000), "tiny") == [line]  # of another machine
    assert built(dataclasses.replace(USED, lut=1_000), "arty_a7_35", clock=50.0) == [
        line
    ]  # slower than it is meant to be
    assert "17,000 of 20,800" in built(dataclasses.replace(USED, lut=17_000), "arty_a7_35")[0]
    assert built(USED, "arty_a7_35", problem="WARNING, FORCED")[0].endswith("| no |")
