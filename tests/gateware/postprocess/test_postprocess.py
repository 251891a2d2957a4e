"""The postprocessor, bit for bit the reference's, at the promised rate."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateware.isa import PostMode
from gateware.postprocess.feeder import Feeder
from gateware.postprocess.lane import RescaleLane
from gateware.postprocess.postprocessor import PostProcessor
from sim.cocotb.runner import run_bench
from sim.reference.rescale import Dyadic
from tests.simulators import needs_simulator
from tests.vectors.golden import golden

BENCH = "tests.gateware.postprocess.bench_postprocess"
VARIANTS: dict[str, dict[str, int]] = {
    "lean": {"rows": 11, "acc_width": 26, "multiplier_bits": 16},
    "official": {"rows": 11, "acc_width": 26, "multiplier_bits": 31},
    "tiny": {"rows": 4, "acc_width": 26, "multiplier_bits": 16},
    "wide": {"rows": 11, "acc_width": 32, "multiplier_bits": 31},
}


def run(variant: str, testcase: str | list[str], simulator: str = "verilator", **parameters: object) -> None:
    arguments = VARIANTS[variant]
    component = PostProcessor(**arguments)
    run_bench(
        component,
        f"postprocess_{variant}",
        BENCH,
        testcase=testcase,
        simulator=simulator,
        parameters={**arguments, "latency": component.latency, **parameters},
    )


@pytest.mark.parametrize(("variant", "residual_limit"), [("lean", 33), ("official", 37), ("tiny", 21)])
def test_tiles(variant: str, residual_limit: int):
    run(
        variant,
        ["random_tiles", "slow_neighbours", "reset_in_a_tile", "throughput", "ready_is_registered"],
        stalls=[0.0, 0.4],
        tiles=30,
        residual_limit=residual_limit,
    )


@pytest.mark.parametrize("variant", ["lean", "official"])
def test_tiles_in_icarus(variant: str):
    needs_simulator("icarus")
    run(variant, "random_tiles", simulator="icarus", stalls=[0.3], tiles=12)


GOLDEN = {
    "acc32to8_per-ch": PostMode.Q8,
    "acc32to16_per-ch": PostMode.Q16,
    "gelu16to8": PostMode.Q8,
    "ties_pow2_ratio": None,
    "residual_16p16to16": PostMode.RESIDUAL,
    "residual_saturating": PostMode.RESIDUAL,
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_vectors(name: str, tmp_path: Path):
    z = golden(f"quantact_{name}")
    bits = 31
    mode = GOLDEN[name] or {8: PostMode.Q8, 16: PostMode.Q16}[int(z["bits"])]
    cases: dict[str, list[Any]] = {
        key: [] for key in ("acc", "skip", "multiplier", "shift", "branch", "factor", "golden")
    }
    for case in range(len(z["x"])):
        factor = Dyadic(z["m"][case], z["e"][case]).normalised(bits)
        multiplier, shift = (np.broadcast_to(part, z["x"].shape[2:]) for part in (factor.multiplier, factor.shift))
        start = 4 * (case % (z["x"].shape[2] // 4))
        columns = slice(start, start + 4)
        cases["acc"].append(z["x"][case][:, columns])
        cases["golden"].append(z["y"][case][:, columns])
        if mode == PostMode.RESIDUAL:
            # The branch arrives as 16 bits: its first rescale is by 1.
            skip_factor = Dyadic(z["m1"][case], z["e1"][case]).normalised(bits)
            cases["branch"].append([int(multiplier[0]), int(shift[0])])
            cases["factor"].append([int(skip_factor.multiplier[0]), int(skip_factor.shift[0])])
            cases["skip"].append(z["identity"][case][:, columns])
            cases["multiplier"].append(np.full(4, 1 << 30))
            cases["shift"].append(np.full(4, 30))
        else:
            cases["multiplier"].append(multiplier[columns])
            cases["shift"].append(shift[columns])
            cases["branch"].append([1, 0])
            cases["factor"].append([1, 0])
            cases["skip"].append(np.zeros_like(cases["acc"][-1]))
    np.savez(tmp_path / "cases.npz", allow_pickle=False, **{key: np.array(value) for key, value in cases.items()})
    run("wide", "golden", file=str(tmp_path / "cases.npz"), mode=mode.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": 1, "acc_width": 26, "multiplier_bits": 16}, "rows must be between 2 and 64, not 1"),
        ({"rows": 11, "acc_width": 33, "multiplier_bits": 16}, "acc_width must be between 18 and 32, not 33"),
        ({"rows": 11, "acc_width": 26, "multiplier_bits": 32}, "multiplier_bits must be between 1 and 31, not 32"),
    ],
)
def test_wrong_parameters(arguments: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        PostProcessor(**arguments)


def test_wrong_parameters_of_parts():
    with pytest.raises(ValueError, match="Feeder: rows must be between 2 and 64, not 65"):
        Feeder(65, 16)
    with pytest.raises(ValueError, match="RescaleLane: value_width must be between 8 and 33, not 34"):
        RescaleLane(34, 16)
