"""The C++ memory against the truth: the same network with LiteDRAM's own controller and memory model inside."""

import numpy as np
import pytest

from firmware.compiler.compiler import compile_graph
from firmware.program_file import program_of
from gateware.config import config
from sim.bench.workloads import random_image, random_model
from sim.emulator.board import Board
from sim.reference.integer_vit import IntegerVit

TOLERANCE = 0.05
# A block of two heads; with 50 tokens matrices span rows of the memory.
NETWORK = "vit:image=28,patch=4,dim=64,depth=1,heads=2,classes=10"


def test_cycles_agree_with_the_model_of_the_memory():
    model = random_model(NETWORK, "lean", 1)
    machine, runner, image = config("tiny"), IntegerVit(model), random_image(model, 1)
    compiled = compile_graph(runner.graph, machine, model.shape.image)
    program = program_of(runner, compiled, machine)
    expected = runner.run(image[None].astype(np.int64))[runner.graph.output][0]
    cycles = {}
    for memory in ("arty_a7", "litedram"):
        with Board(program, memory) as board:
            frame = board.run(image)
            np.testing.assert_array_equal(frame.logits[: len(expected)], expected)
            cycles[memory] = frame.cycles
            statistics = frame.memory
            assert statistics.beats_read > 1000 and statistics.beats_written > 100
    print(cycles)
    assert cycles["arty_a7"] == pytest.approx(cycles["litedram"], rel=TOLERANCE)
