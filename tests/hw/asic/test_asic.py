"""`--board asic`: memories behind wrappers, areas, the layout flow's files, and what the command says."""

import json
import re
from pathlib import Path

import pytest
from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import memory, wiring

from gateware.config import config
from hw import build as command
from hw.asic.bench import bench_top
from hw.asic.board import Asic
from hw.asic.build import by_unit
from hw.asic.cells import read_library
from hw.asic.layout import constraints, flow_configuration
from hw.asic.memories import Wrapper, behavioural
from hw.asic.synthesis import Area, Sources, area, elaborate, script
from hw.boards.board import BoardError
from hw.toolchains.errors import ToolError
from tests.hw.toolchains.fake_tools import tool, tools, writes

__all__ = ["tools"]  # a fixture

LIBERTY = Path(__file__).with_name("cells.lib")
WRAPPER = Wrapper(512, 8, 1)


class Holder(Elaboratable):
    """A memory and ports to it."""

    def __init__(self, depth: int = 512, domain: str = "sync", reads: int = 1, init: tuple[int, ...] = ()) -> None:
        self.memory = memory.Memory(shape=8, depth=depth, init=init)
        self.writer = self.memory.write_port()
        self.readers = [self.memory.read_port(domain=domain) for _ in range(reads)]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ram = self.memory
        inputs = [Signal(8, name=f"i{index}") for index in range(3)]
        m.d.sync += [signal.eq(signal + 1) for signal in inputs]
        m.d.comb += [self.writer.en.eq(inputs[0][0]), self.writer.addr.eq(inputs[1]), self.writer.data.eq(inputs[2])]
        for reader in self.readers:
            m.d.comb += reader.addr.eq(inputs[0])
        return m


class Chip(wiring.Component):
    """A top without ports of its own around a memory."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unit = self.holder
        return m


def sources(holder: Holder) -> Sources:
    return elaborate(Chip(holder), "chip")


@pytest.mark.parametrize(
    ("holder", "wrapper"),
    [
        (Holder(), WRAPPER),
        (Holder(reads=2), Wrapper(512, 8, 2)),
        (Holder(depth=255), None),
        (Holder(domain="comb"), None),
        (Holder(init=(0, 7)), None),
    ],
    ids=["macro", "two read ports", "small", "read without a clock", "starts with contents"],
)
def test_which_memories_are_macros(holder: Holder, wrapper: Wrapper | None):
    found = sources(holder)
    assert found.wrappers == ((wrapper,) if wrapper else ())
    assert found.instances == ([("unit.ram.macro", wrapper)] if wrapper else [])
    assert ("$memrd" in found.rtlil) == (wrapper is None)


def test_models_of_memories():
    text = behavioural(Wrapper(512, 8, 2))
    assert "module memory_512x8_1w2r (" in text and "reg [7:0] words [0:511];" in text
    assert "input wire [8:0] read1_address" in text and text.count("~write_data : words[") == 2


def test_a_library():
    library = read_library(LIBERTY)
    assert (library.name, len(library.cells), library.gate) == ("dozen", 13, 2.0)
    assert library.tie("1") == ("TIE", "ONE") and library.tie("0") == ("TIE", "ZERO")
    assert [cell.name for cell in library.cells.values() if cell.flip_flop] == ["DFF"]
    assert [cell.name for cell in library.cells.values() if cell.nand2] == ["NAND2"]


@pytest.mark.parametrize("function", ["!(A & B)", "(!A) | (!B)", "!A+!B", "!((A*B))"])
def test_ways_to_write_a_nand(tmp_path: Path, function: str):
    (tmp_path / "x.lib").write_text(LIBERTY.read_text().replace("!(A&B)", function))
    assert read_library(tmp_path / "x.lib").gate == 2.0


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("library (dozen)", "module dozen", "does not begin with a library group; unpack it"),
        ("!(A&B)", "!(A&B&A)", "has no NAND of two inputs, which gate equivalents are counted in, among its 13 cells"),
        ("ff (IQ", "latch (IQ", "has no flip-flop"),
        ("area : 9.0;", "area : nine;", "cannot be read after its cell TIE; correct it"),
        ('function : "IQ"; }\n  }\n}', "", "cannot be read after its cell TIE"),
    ],
)
def test_files_that_are_no_library(tmp_path: Path, before: str, after: str, message: str):
    text = LIBERTY.read_text()
    assert before in text
    (tmp_path / "x.lib").write_text(text.replace(before, after))
    with pytest.raises(BoardError, match=message):
        read_library(tmp_path / "x.lib")


def test_areas():
    modules = {"chip": {"NAND2": 3, "DFF": 2, "memory_512x8_1w1r": 2, "chip.unit": 1}, "chip.unit": {"INV": 5}}
    text = json.dumps({"modules": {f"\\{name}": {"num_cells_by_type": cells} for name, cells in modules.items()}})
    found = area(text, read_library(LIBERTY), [WRAPPER])
    assert found["chip"] == Area(cells=5, area=24.0, sequential=18.0, gates=12.0, macro_bits=8192)
    assert found["chip.unit"] == Area(5, 5.0, 0.0, 2.5, 0)
    with pytest.raises(ToolError, match=r"cells that are not in dozen remain: memory_512x8_1w1r"):
        area(text, read_library(LIBERTY), [])
    with pytest.raises(ToolError, match="no statistics of Yosys"):
        area("{}", read_library(LIBERTY), [])


def test_modules_join_to_units():
    core = "integer_vit.machine.accelerator.core"
    names = ["integer_vit", "integer_vit.reset", f"{core}.array", f"{core}.array.element_0", f"{core}.array.x.y", core]
    joined = by_unit(dict.fromkeys(names, Area(1, 2.0, 1.0, 1.0, 8)))
    assert {name: unit.cells for name, unit in joined.items()} == {
        "frame": 2,
        "accelerator.core.array": 3,
        "accelerator.core": 1,
    }


def test_script():
    library = read_library(LIBERTY)
    text = script(sources(Holder()), library, 10.0)
    assert "setattr -mod -set keep_hierarchy 1 chip.unit\n" in text and "read_verilog -lib memories.v" in text
    assert "abc -liberty cells.lib -D 10000\n" in text and "hilomap -hicell TIE ONE -locell TIE ZERO" in text
    assert text.index("setattr -unset init") < text.index("synth ") < text.index("dfflibmap") < text.index("\nabc ")


def test_files_of_the_layout_flow():
    found = json.loads(flow_configuration("chip", 12.5, [("a.ram.macro", WRAPPER), ("b.ram.macro", WRAPPER)]))
    assert (found["DESIGN_NAME"], found["CLOCK_PORT"], found["CLOCK_PERIOD"]) == ("chip", "clock", 12.5)
    macro = found["MACROS"]["memory_512x8_1w1r"]
    assert set(macro["instances"]) == {"a.ram.macro", "b.ram.macro"} and macro["gds"] and macro["lef"]
    text = constraints(12.5, ["link__rx__payload[*]", "link__rx__valid"])
    assert "create_clock -name clock -period 12.500 [get_ports clock]" in text
    assert (
        "set_input_delay 3.750 -clock clock [get_ports {link__rx__payload[*] link__rx__valid}]" in text
        and "set_false_path -from [get_ports reset_n]" in text
    )


def test_a_top_for_benches():
    netlist = "module inner(a);\n  input a;\nendmodule\nmodule unit_gates(clk, q);\n  input clk;\n  wire clk;\n"
    netlist += "  output signed [3:0] q;\n  wire signed [3:0] q;\nendmodule\n"
    assert bench_top(netlist, "unit_gates", "unit") == (
        "module unit(\n  input wire clk ,\n  output wire signed [3:0] q \n);\n"
        "  unit_gates gates(.clk (clk ), .q (q ));\nendmodule\n"
    )
    with pytest.raises(ValueError, match="the netlist has no module other"):
        bench_top(netlist, "other", "unit")


def asic(out: Path, *more: str) -> int:
    return command.main(["--board", "asic", "--config", "tiny", "--out", str(out), *more])


def test_the_command(elaborated_once, tools, tmp_path, monkeypatch, capsys):
    assert asic(tmp_path / "a") == 3
    assert "give the Liberty file of your cells with --liberty FILE" in capsys.readouterr().out.replace("\n", " ")
    row = json.loads((tmp_path / "a" / "report.json").read_text())
    assert row["status"] == "partial" and row["area"] is None and row["bitstream"] is None
    for name in ("verilog", "memories", "constraints", "configuration"):
        assert Path(row["files"][name]).stat().st_size
    inputs = re.search(r"\[get_ports \{(.*)\}\]", (tmp_path / "a" / "constraints.sdc").read_text())
    text = (tmp_path / "a" / "top.v").read_text()
    top = text.partition("module integer_vit(")[2].partition("endmodule")[0]
    ports = set(re.findall(r"^  input (?:\[\d+:0\] )?(\w+);", top, re.MULTILINE))
    assert inputs is not None
    assert {name.removesuffix("[*]") for name in inputs[1].split()} == ports - {"clock", "reset_n"}
    assert "module integer_vit(" in text and "input reset_n;" in text
    placed = json.loads((tmp_path / "a" / "config.json").read_text())["MACROS"]
    assert row["macros"] == {name: len(macro["instances"]) for name, macro in placed.items()}
    assert all(f"{name} " in text for name in placed) and "memory_512x128_1w1r" in placed

    stats = {"modules": {"\\integer_vit": {"num_cells_by_type": {"NAND2": 10, "DFF": 1}}}}
    files = {"area.json": json.dumps(stats), "netlist.v": "module integer_vit(); endmodule", "cells.v": "//"}
    monkeypatch.setenv("YOSYS", tool(tools, "yosys", writes(files)))
    assert asic(tmp_path / "b", "--liberty", str(LIBERTY)) == 0
    row = json.loads((tmp_path / "b" / "report.json").read_text())
    assert row["area"]["gates"] == 14.5 and (tmp_path / "b" / "report.png").stat().st_size
    assert (tmp_path / "b" / "cells.lib").read_text() == LIBERTY.read_text()

    monkeypatch.setenv("YOSYS", tool(tools, "yosys", "print('killed'); sys.exit(9)"))
    assert asic(tmp_path / "b", "--liberty", str(LIBERTY)) == 1
    assert "yosys failed with status 9: killed" in capsys.readouterr().out.replace("\n", " ")
    monkeypatch.setenv("YOSYS", tool(tools, "yosys", ""))
    assert asic(tmp_path / "b", "--liberty", str(LIBERTY)) == 1
    assert "did not write area.json" in capsys.readouterr().out.replace("\n", " ")


@pytest.fixture
def elaborated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine takes seconds to elaborate: once is enough for one test."""
    board = Asic(config("tiny"))
    made = board.sources()
    design = board.design_of(made)
    monkeypatch.setattr(Asic, "sources", lambda self: made)
    monkeypatch.setattr(Asic, "design_of", lambda self, sources: design)


def test_users_mistakes(capsys, tmp_path):
    assert asic(tmp_path, "--liberty", str(tmp_path / "none.lib")) == 2
    assert "there is no file" in capsys.readouterr().err
    assert asic(tmp_path, "--toolchain", "vivado") == 2
    assert "asic is built with yosys or auto, not vivado" in capsys.readouterr().err
    assert command.main(["--board", "arty_a7", "--liberty", str(LIBERTY)]) == 2
    assert "--liberty is for asic" in capsys.readouterr().err
