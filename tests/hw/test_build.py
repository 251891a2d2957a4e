"""`hw.build`: what its command says and returns, and how timing and sizes decide."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from hw import build as command
from hw.toolchains.outcome import Outcome, Routed, Timing
from hw.toolchains.utilisation import Utilisation
from tests.hw.toolchains import fake_tools as fake
from tests.hw.toolchains.fake_tools import tools

__all__ = ["tools"]  # a fixture


def test_without_place_and_route_everything_else_is_done(tools, tmp_path, monkeypatch):
    monkeypatch.setenv("YOSYS", fake.yosys_tool(tools, fake.SMALL))
    outcome, chosen, status, problem = fake.run(fake.Small(), tmp_path / "out")
    assert (chosen, status, problem) == ("yosys", "partial", "")
    assert outcome.used == Utilisation(900, 800, 88, 41.5, 900)
    assert "nextpnr-xilinx is not installed; install nextpnr-himbaechel" in outcome.missing
    assert outcome.routed is None


def test_a_design_that_does_not_fit_is_refused_with_numbers(tools, tmp_path, monkeypatch):
    cells = {**fake.SMALL, "LUT6": 19_000, "LUT2": 2_000, "DSP48E1": 96}
    monkeypatch.setenv("YOSYS", fake.yosys_tool(tools, cells))
    outcome, _, status, problem = fake.run(fake.Small(), tmp_path / "out", "yosys")
    assert status == "failure" and outcome.routed is None
    assert "takes 20,000 LUTs and a XC7A35T should be given at most 18,304: 1,696 too many" in problem
    assert "96 DSPs" in problem and "lower rows" in problem


def test_timing_decides(tools, tmp_path, monkeypatch):
    fake.ecp5_tools(tools, monkeypatch, mhz=55.0, wanted=60.0)
    outcome, chosen, status, problem = fake.run(fake.SmallEcp5(), tmp_path / "out")
    assert (chosen, status) == ("trellis", "failure") and outcome.used == Utilisation(900, 800, 88, 20, 900)
    assert problem.startswith("The clock clk reaches 55.0 MHz and is to be 60.0")
    assert outcome.routed is not None and outcome.routed.bitstream is None
    assert not (tmp_path / "out" / "top.bit").exists()
    fake.ecp5_tools(tools, monkeypatch, mhz=61.0, wanted=60.0)
    assert fake.run(fake.SmallEcp5(), tmp_path / "out")[2] == "success"
    fake.vivado_tool(tools, monkeypatch, slack=-2.5)
    assert "sys_clk reaches 80.0 MHz and is to be 100.0" in fake.run(fake.SmallVivado(), tmp_path / "out")[3]
    assert not (tmp_path / "out" / "top.bit").exists()
    fake.open_tools(tools, monkeypatch, mhz=99.0)
    assert "reaches 99.0 MHz and is to be 100.0" in fake.run(fake.Small(), tmp_path / "out")[3]
    assert not (tmp_path / "out" / "top.bit").exists()


@pytest.mark.parametrize("board", [fake.Small, fake.SmallEcp5, fake.SmallVivado])
def test_a_forced_bitstream_is_told_loudly(tools, tmp_path, monkeypatch, board):
    fake.open_tools(tools, monkeypatch, mhz=99.0)
    if board is fake.SmallEcp5:
        fake.ecp5_tools(tools, monkeypatch, mhz=55.0, wanted=60.0)
    elif board is fake.SmallVivado:
        fake.vivado_tool(tools, monkeypatch, slack=-2.5)
    outcome, _, status, problem = fake.run(board(), tmp_path / "out", force=True)
    assert status == "success" and problem.startswith("WARNING, FORCED: The clock ")
    assert outcome.routed is not None and outcome.routed.bitstream == tmp_path / "out" / "top.bit"


def test_what_cannot_fit_is_refused_before_any_tool_runs(capsys):
    assert command.main(["--board", "arty_a7", "--set", "rows=12", "--set", "b_depth=12288"]) == 2
    said = capsys.readouterr().err
    assert "needs 98 DSPs and a XC7A35T has 90; set rows to 11 or less" in said
    assert "lower a_depth (2048) or b_depth (12288)" in said


def test_users_mistakes(capsys, tmp_path):
    assert command.main(["--board", "arty"]) == 2
    assert "--board must be one of arty_a7" in capsys.readouterr().err
    assert command.main(["--board", "ulx3s_85f", "--toolchain", "vivado", "--out", str(tmp_path)]) == 2
    assert "built with trellis, yosys or auto, not vivado" in capsys.readouterr().err
    assert command.main(["--board", "arty_a7", "--set", "rows=3"]) == 2
    assert "rows must be 4 to 64" in capsys.readouterr().err
    assert command.main(["--board", "arty_a7", "--set", "size=3"]) == 2
    assert "names no number of the configuration" in capsys.readouterr().err
    assert command.main(["--board", "arty_a7", "--clock", "90", "--out", str(tmp_path), "--toolchain", "yosys"]) == 2
    assert "must be one of 100, 87.5, 83.33, 80, 75 MHz, not 90" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main(["--board", "arty_a7", "--clock", "quick"])
    assert "must be a number of MHz or auto, not 'quick'" in capsys.readouterr().err
    assert command.main(["--list-boards"]) == 0


@pytest.mark.parametrize(
    ("reaches", "tried"),
    [(101.0, [100]), (88.0, [100, 87.5]), (82.0, [100, 80]), (60.0, [100, 75])],
    ids=["the first", "the next", "not all between", "none"],
)
def test_the_clock_that_is_met(reaches, tried, tmp_path, monkeypatch):
    clocks = []

    def build(board, *_):
        clocks.append(board.config.clock_mhz)
        # The PHY's clock is four times the machine's, and misses by as much.
        timing = tuple(Timing(f"x{times}", times * reaches, times * clocks[-1]) for times in (1, 4))
        return Outcome(None, routed=Routed(timing)), "openxc7", "success" if reaches >= clocks[-1] else "failure", ""

    monkeypatch.setattr(command, "build", build)
    options = command.parser().parse_args(["--board", "arty_a7", "--clock", "auto"])
    board, (_, _, status, _) = command.build_at_a_clock(command.BOARDS["arty_a7"](), options, tmp_path, Console())
    assert clocks == tried and board.config.clock_mhz == tried[-1]
    assert status == ("success" if reaches >= tried[-1] else "failure")


@pytest.mark.parametrize(
    ("mhz", "loader", "status", "words"),
    [
        (41.0, "Path('loaded').write_text(' '.join(a[1:]))", 0, ""),
        (41.0, "print('no cable'); sys.exit(1)", 3, "error: loader failed with status 1: no cable"),
        (39.0, "Path('loaded').write_text('')", 1, ""),
    ],
    ids=["loaded", "no board", "too slow"],
)
def test_building_and_programming(tools, tmp_path, monkeypatch, capsys, mhz, loader, status, words):
    fake.ecp5_tools(tools, monkeypatch, mhz=mhz, wanted=40.0)
    monkeypatch.setitem(command.BOARDS, "small", fake.SmallEcp5)
    monkeypatch.setattr(fake.SmallEcp5, "loader", "ulx3s")
    monkeypatch.setenv("OPENFPGALOADER", fake.tool(tools, "loader", loader))
    out = tmp_path / "out"
    assert command.main(["--board", "small", "--program", "--out", str(out)]) == status
    assert words in capsys.readouterr().err
    row = json.loads((out / "report.json").read_text())
    assert row["bitstream"] == (None if mhz < 40 else str(out / "top.bit"))
    loaded = out / "loaded"
    assert (loaded.read_text() if loaded.exists() else None) == ("-b ulx3s top.bit" if status == 0 else None)


ROOT = Path(__file__).resolve().parents[2]
# What is started in the background may have been told to ignore an interrupt.
COMMAND = """import signal, sys
from hw import build
from tests.hw.toolchains.fake_tools import SmallEcp5
signal.signal(signal.SIGINT, signal.default_int_handler)
build.BOARDS["small"] = SmallEcp5
sys.exit(build.main(["--board", "small", "--out", sys.argv[1]]))"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_build_ends_its_tool(tools, tmp_path, monkeypatch, sent):
    fake.ecp5_tools(tools, monkeypatch)
    out = tmp_path / "out"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        # The connection is closed when the last of those who hold it ends.
        helper = "import time; print('here', end='', flush=True); time.sleep(100)"
        body = f"import socket, subprocess\nline = socket.create_connection({server.getsockname()!r})\n"
        body += f"subprocess.Popen([sys.executable, '-c', {helper!r}], stdout=line)\ntime.sleep(100)"
        fake.tool(tools, "nextpnr-ecp5", body)
        command = [sys.executable, "-c", COMMAND, str(out)]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        try:
            line, _ = server.accept()
            with line:
                line.settimeout(60)
                assert line.recv(100) == b"here"
                process.send_signal(sent)
                said = process.communicate(timeout=60)[1]
                assert (process.returncode, said) == (130, "Interrupted.\n")
                assert line.recv(100) == b""
        finally:
            process.kill()
            process.communicate()
    assert not (out / "top.bit").exists() and not (out / "report.json").exists()
