"""The command that checks a program: under which memories, and what it says of them."""

import dataclasses
import json

import numpy as np
import pytest

from firmware.compiler.compiled import program_of
from firmware.compiler.compiler import compile_graph
from firmware.program.file import save_program
from firmware.quantiser.random_model import random_model
from gateware.config import config
from sim.emulator import check, exactness
from sim.emulator.timings import QUICK_CYCLES, memory_of, random_memories
from sim.reference.architecture import parse_architecture
from sim.reference.integer_vit import IntegerVit

ARCH = "vit:image=4,patch=2,dim=16,depth=1,heads=1,classes=2"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A small model and its program, as arguments."""
    folder = tmp_path_factory.mktemp("check")
    model = IntegerVit(random_model(parse_architecture(ARCH), "lean", np.random.default_rng(1)))
    model.model.save(folder / "model")
    compiled = compile_graph(model.graph, config("tiny"), model.model.shape.image)
    save_program(program_of(model, compiled, config("tiny")), folder / "program")
    return [str(folder / "program"), "--model", str(folder / "model")]


def test_a_short_frame_is_checked_with_three_memories(files: list[str], capsys: pytest.CaptureFixture[str]):
    assert check.main(files) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == "all equal with the memory arty_a7, random:1, random:2"
    assert [line.split(": ")[0] for line in lines] == ["arty_a7", "random:1", "random:2"]
    assert all("integers of" in line and "tensors compared" in line for line in lines)
    cycles = {line.split()[1] for line in lines}
    assert len(cycles) == 3, "each memory has its own timing"


def test_a_long_frame_is_checked_with_the_boards_memory():
    assert random_memories(QUICK_CYCLES + 1) == [] and len(random_memories(QUICK_CYCLES)) >= 2
    assert memory_of("ulx3s_85f") == "ulx3s_85f" and memory_of("tiny") == "arty_a7"


def test_memories_that_are_named_are_the_only_ones(files: list[str], capsys: pytest.CaptureFixture[str]):
    assert check.main([*files, "--memory", "random:9,word_stall=100", "--memory", "ulx3s_85f", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["memories"]) == ["random:9,word_stall=100", "ulx3s_85f"]
    assert found["cycles"] == found["memories"]["random:9,word_stall=100"] < found["memories"]["ulx3s_85f"]
    assert found["differences"] == [] and found["steps"] > 0


def test_a_difference_is_told_with_its_memory(
    files: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    real, calls = exactness.compare, []

    def compared(*arguments):
        """The second frame differs."""
        calls.append(arguments)
        found = real(*arguments)
        return dataclasses.replace(found, different=["head: 1 of 2 integers differ"]) if len(calls) == 2 else found

    monkeypatch.setattr(exactness, "compare", compared)
    assert check.main(files) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "with the memory random:1: head: 1 of 2 integers differ" in lines
    assert lines[-1] == "different with the memory random:1"


def test_a_machine_that_stops_is_told(files: list[str], capsys: pytest.CaptureFixture[str]):
    """Memory in which nothing moves for longer than the watchdog waits."""
    slow = "ideal,clock_num=1,clock_den=1000,read_latency=1000"
    assert check.main([*files, "--memory", slow]) == 1
    assert f"with the memory {slow}: The machine stopped: nothing moved for too long" in capsys.readouterr().out


@pytest.mark.parametrize("memory", ["core", "random:x", "ideal,latency=1"])
def test_a_wrong_memory_is_one_sentence(files: list[str], memory: str, capsys: pytest.CaptureFixture[str]):
    assert check.main([*files, "--memory", memory]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: --memory: ") and captured.err.count("\n") == 1 and not captured.out
