"""A rescale lane by itself."""

import pytest

from gateware.postprocess.lane import RescaleLane
from sim.cocotb.runner import run_bench


@pytest.mark.parametrize(("value_width", "multiplier_bits"), [(27, 16), (27, 31)])
def test_lane(value_width: int, multiplier_bits: int):
    unit = RescaleLane(value_width, multiplier_bits)
    sizes = {"value_width": value_width, "multiplier_bits": multiplier_bits}
    latencies = {"latency": unit.latency, "addend_latency": unit.addend_latency}
    run_bench(
        unit,
        f"lane_{multiplier_bits}",
        "tests.gateware.postprocess.bench_lane",
        parameters={**sizes, **latencies, "cycles": 3000},
    )
