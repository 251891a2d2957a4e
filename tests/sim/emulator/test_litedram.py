"""The C++ memory against the truth: the same copies with LiteDRAM's own controller and memory model inside.

Whole networks are compared by `python -m sim.bench --memory litedram`, which builds another emulated machine.
"""

import struct
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from hw.dram.controller import LiteDram
from hw.dram.generate import Core
from hw.dram.settings import ULX3S
from sim.emulator.emulation import Emulation, RunState
from sim.reference.errors import UserError
from tests.sim.emulator.emulator_copier import Copier

TOLERANCE = 0.08  # of single beats to and fro, where the model is farthest off
PROGRAM, SOURCE, TARGET, BEATS = 3, 64, 0x1000, 800  # over several rows of the memory


def test_cycles_agree_with_the_model_of_the_memory(rng: np.random.Generator):
    data = rng.bytes(16 * BEATS)
    cycles = {}
    for memory in ("arty_a7", "litedram"):
        with Emulation(Copier(), 1 << 20, memory) as board:
            board.write_memory(SOURCE, data)
            board.write_memory(PROGRAM, struct.pack("<4I", SOURCE, TARGET, BEATS, 0xFFFF))
            before = board.cycles
            board.start(PROGRAM)
            assert board.run(200_000) is RunState.DONE
            cycles[memory] = board.cycles - before
            assert board.read_memory(TARGET, len(data)) == data
    print(cycles)
    assert cycles["arty_a7"] == pytest.approx(cycles["litedram"], rel=TOLERANCE)


def test_a_machine_that_addresses_more_than_the_memory_has_is_a_sentence():
    """An error of the user's, whichever command names the memory."""
    core = cast(Core, SimpleNamespace(settings=ULX3S, simulation=True))
    with pytest.raises(UserError, match="has beat addresses of 21 bits.*choose address_bits of at most 21"):
        LiteDram(core, 24)
