"""A sequencer does with each word what the instruction set says, for every engine that has one."""

import pytest

from gateware.control.sequencer import Sequencer
from gateware.isa import Engine
from sim.cocotb.runner import run_bench


@pytest.mark.parametrize("engine", [Engine.EXEC, Engine.LOADT, Engine.VEC])
def test_sequencer(engine: Engine):
    run_bench(
        Sequencer(engine),
        f"sequencer_{engine.name.lower()}",
        "tests.gateware.control.bench_sequencer",
        parameters={"engine": engine.name, "cycles": 2000},
    )
