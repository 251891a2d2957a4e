"""`python -m host.profile`: layers from the counters' log, as table, lines, picture and trace."""

import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firmware.program.log import Layer, layers_of, log_bytes
from gateware.counters import COUNTERS
from host import profile
from sim.emulator.timeline import ENGINES, chrome_trace

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "digits.safetensors"


def slot(counters: list[int]) -> bytes:
    return struct.pack("<16I", *(value % (1 << 32) for value in counters), 0)


def test_layers_are_differences_that_may_wrap():
    first = [(1 << 32) - 5 + index for index in range(len(COUNTERS))]
    second = [value + 100 * (index + 1) for index, value in enumerate(first)]
    third = [value + 7 for value in second]
    log = slot(first) + slot(second) + slot(third)
    assert len(log) == log_bytes(3)
    one, two = layers_of(("one", "two", "end"), log)
    assert (one.name, one.start, one.cycles) == ("one", 0, 100)
    assert list(one.counters.values()) == [100 * (index + 1) for index in range(len(COUNTERS))]
    assert (two.name, two.start, two.cycles, two.share("steps")) == ("two", 100, 7, 1.0)


def test_a_trace_has_a_slice_a_layer_in_microseconds():
    counters = dict.fromkeys(COUNTERS, 0) | {"cycles": 50, "steps": 25, "memory_reads": 10}
    layers = [Layer("a", 0, counters), Layer("b", 50, counters)]
    events = chrome_trace(layers, 25.0)["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    assert [(event["name"], event["ts"], event["dur"]) for event in slices] == [("a", 0.0, 2.0), ("b", 2.0, 2.0)]
    busy = {event["name"]: event["args"]["busy"] for event in events if event["ph"] == "C" and event["ts"] == 2.0}
    assert busy["array, %"] == 50.0 and busy["DRAM, %"] == 20.0 and len(busy) == len(ENGINES)


def test_a_frame_on_the_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    picture, trace = tmp_path / "timeline.png", tmp_path / "trace.json"
    more = ["--png", str(picture), "--trace", str(trace), "--json"]
    assert profile.main(["--device", "sim:tiny", *more, str(SHIPPED)]) == 0
    found = json.loads(capsys.readouterr().out)
    layers = found["layers"]
    assert len(layers) > 20 and layers[-1]["layer"] == "head"
    # The marks span the frame but for its beginning and end; the array's states fit into each layer.
    spanned = sum(layer["cycles"] for layer in layers)
    assert 0.95 * found["cycles"] < spanned <= found["cycles"]
    for layer in layers:
        assert layer["steps"] + layer["exec_wait"] + layer["exec_blocked"] + layer["exec_empty"] <= layer["cycles"]
    assert all(layer["steps"] > 0 for layer in layers)
    with Image.open(picture) as drawn:
        assert len(np.unique(np.asarray(drawn.convert("RGB")).reshape(-1, 3), axis=0)) > 20
    assert len(json.loads(trace.read_text())["traceEvents"]) > 6 * len(layers)


def test_a_device_that_counts_nothing(capsys: pytest.CaptureFixture[str]):
    assert profile.main(["--device", "reference", str(SHIPPED)]) == 2
    assert "counts no cycles" in capsys.readouterr().err


def test_lines_in_a_pipe_and_a_table_on_a_terminal(brightness, program: Path, capsys, monkeypatch):
    counters = dict.fromkeys(COUNTERS, 0) | {"cycles": 50, "steps": 25}
    layers = [Layer("first", 0, counters), Layer("second", 50, counters | {"steps": 50})]
    monkeypatch.setattr("tests.host.conftest.BrightnessDevice.layers", lambda self: layers)
    monkeypatch.setattr("tests.host.conftest.BrightnessDevice.clock_mhz", 100.0)
    assert profile.main(["--device", "brightness:counting", str(program)]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert lines[0][:3] == ["layer", "cycles", "array"]
    assert [line[:3] for line in lines[1:]] == [
        ["first", "50", "50.0"],
        ["second", "50", "100.0"],
        ["all layers", "100", "75.0"],
    ]
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    assert profile.main(["--device", "brightness:counting", str(program)]) == 0
    out = capsys.readouterr().out
    assert "second" in out and "frames/s" in out and "\t" not in out


def test_a_file_that_cannot_be_written(brightness, program: Path, tmp_path: Path, capsys, monkeypatch):
    counters = dict.fromkeys(COUNTERS, 0) | {"cycles": 50}
    monkeypatch.setattr("tests.host.conftest.BrightnessDevice.layers", lambda self: [Layer("a", 0, counters)])
    monkeypatch.setattr("tests.host.conftest.BrightnessDevice.clock_mhz", 100.0)
    for more in (["--png", str(tmp_path / "no" / "x.png")], ["--png", str(tmp_path / "x.tune")], ["--trace", "/no/x"]):
        assert profile.main(["--device", "brightness:counting", *more, str(program)]) == 2
        assert re.fullmatch(r"(Cannot write|The folder) \S+ .*\.\n", capsys.readouterr().err)
        assert not list(tmp_path.glob("*x.*"))
