"""Both load engines, with any transform between."""

import pytest

from gateware.engines.load.loader import Loader
from gateware.isa import Engine
from sim.cocotb.runner import run_bench


@pytest.mark.parametrize(("engine", "settle"), [(Engine.LOADT, 8), (Engine.LOADB, 4)])
def test_loader(engine: Engine, settle: int):
    run_bench(
        Loader(engine, 12, settle=settle),
        f"loader_{engine.name.lower()}",
        "tests.gateware.engines.bench_loader",
        parameters={"engine": engine.name, "address_bits": 12, "settle": settle, "stall": 0.3, "operations": 40},
    )
