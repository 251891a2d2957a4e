"""The gateware against the instruction-level machine: after any legal program both have the same memory."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateware.config import config
from sim.emulator.emulation import Emulation, RunState
from sim.emulator.machine import emulated_machine
from sim.interpreter.machine import Interpreter
from tests.sim.interpreter.random_programs import KINDS, RandomProgram

TINY = config("tiny")
LIMIT = 1_000_000


@pytest.fixture(scope="module")
def board():
    with emulated_machine(TINY) as emulation:
        yield emulation


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=12), seed=st.integers(0, 2**32 - 1))
def test_gateware_and_interpreter_agree(board: Emulation, kinds: list[str], seed: int):
    program = RandomProgram(TINY, np.random.default_rng(seed))
    start = program.rounds_of(kinds)
    memory = program.bench.memory
    board.write_memory(0, memory.tobytes())
    Interpreter(TINY, memory).run(start)
    board.start(start)
    assert board.run(LIMIT) is RunState.DONE, f"the machine stopped with {board.error}"
    got = np.frombuffer(board.read_memory(0, len(memory)), np.uint8)
    different = np.flatnonzero(got != memory)
    assert not len(different), f"{len(different)} bytes differ, the first in beat {different[0] // 16}"
