"""LayerNorm, bit for bit the reference's, at the promised rate."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateware.layernorm.layernorm import LayerNorm, constant_values
from sim.cocotb.runner import run_bench
from sim.reference.rescale import Dyadic
from sim.reference.scales import norm_scales
from tests.simulators import needs_simulator
from tests.vectors.golden import golden

BENCH = "tests.gateware.layernorm.bench_layernorm"
VARIANTS: dict[str, dict[str, Any]] = {
    "lean": {"max_channels": 192, "multiplier_bits": 16},
    "official": {"max_channels": 96, "multiplier_bits": 31, "square_style": "plain", "product_style": "lut"},
    "longest": {"max_channels": 1536, "multiplier_bits": 16, "overlap": 768},
    "l1": {"max_channels": 192, "multiplier_bits": 16, "l1": True},
    "one group at a time": {"max_channels": 64, "multiplier_bits": 16, "overlap": 32},
}


def run(variant: str, testcase: str | list[str], simulator: str = "verilator", **parameters: object) -> None:
    arguments = VARIANTS[variant]
    run_bench(
        LayerNorm(**arguments),
        f"layernorm_{variant.replace(' ', '_')}",
        BENCH,
        testcase=testcase,
        simulator=simulator,
        parameters={**arguments, **parameters},
    )


@pytest.mark.parametrize("variant", ["lean", "official", "one group at a time", "l1"])
@pytest.mark.parametrize("stall", [0.0, 0.95])
def test_random_rows(variant: str, stall: float):
    run(variant, "random_rows", stall=stall)


@pytest.mark.parametrize(
    ("variant", "lengths"),
    [("lean", [4, 8, 188, 192]), ("l1", [4, 192]), ("official", [4, 8, 92, 96]), ("longest", [4, 1536])],
)
def test_extreme_rows(variant: str, lengths: list[int]):
    run(variant, "extremes", lengths=lengths, stall=0.2)


def test_extreme_rows_on_icarus():
    needs_simulator("icarus")
    run("official", "extremes", "icarus", lengths=[4, 12], stall=0.2)


@pytest.mark.parametrize("variant", ["lean", "official"])
def test_reset_in_a_row(variant: str):
    run(variant, ["reset_in_a_row", "results_wait"])


@pytest.mark.parametrize("channels", [192, 4])
def test_throughput(channels: int):
    limit = max(2 * channels, LayerNorm(**VARIANTS["lean"]).root_cycles)
    run("lean", "throughput", channels=channels, limit=limit)


@pytest.mark.parametrize("channels", [16, 192])
def test_throughput_of_the_l1_form(channels: int):
    run("l1", "throughput", channels=channels, limit=max(2 * channels + 12, LayerNorm(**VARIANTS["l1"]).root_cycles))


@pytest.mark.parametrize("channels", [768, 1536])
def test_throughput_of_the_longest_rows(channels: int):
    """Groups overlap up to half of the longest row; longer ones come one after the other."""
    unit = LayerNorm(**VARIANTS["longest"])
    limit = 2 * channels if channels <= unit.overlap else 4 * channels + unit.root_cycles
    run("longest", "throughput", channels=channels, limit=limit)


@pytest.mark.parametrize(("channels", "variant"), [(96, "official"), (192, "lean")])
def test_golden_vectors(channels: int, variant: str, tmp_path: Path):
    multiplier_bits = VARIANTS[variant]["multiplier_bits"]
    vectors = golden(f"layernorm_c{channels}")
    factors = [
        Dyadic.from_ratio(norm_scales(gamma), scale, multiplier_bits).normalised(multiplier_bits)
        for gamma, scale in zip(vectors["gamma"], vectors["scale_q8"], strict=True)
    ]
    cases = {
        "rows": vectors["q"],
        "bias": vectors["bias_int"],
        "multiplier": np.array([factor.multiplier for factor in factors]),
        "shift": np.array([factor.shift for factor in factors]),
        "golden": vectors["y_q8"],
    }
    if variant == "lean":  # the golden bytes are the official multiplier's; with 16 bits some differ by one
        cases["golden"] = np.array(
            [np.clip(factor.apply(y), -128, 127) for factor, y in zip(factors, vectors["y"], strict=True)]
        )
    np.savez(tmp_path / "cases.npz", allow_pickle=False, **cases)
    run(variant, "golden_rows", file=str(tmp_path / "cases.npz"))


def test_constants_are_held_exactly():
    assert constant_values(5, 1 << 16, 40, 16) == {"bias": 5, "multiplier": 1 << 15, "shift": 39}
    assert constant_values(5, -(1 << 16), 200, 16) == {"bias": 5, "multiplier": -(1 << 15), "shift": 127}


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ((0, 1 << 17, 40), "a multiplier must have at most 16 bits, not 131072"),
        ((0, 1, -1), "a rescale's shift must not be negative, not -1"),
        ((1 << 31, 1, 40), "a bias must have at most 32 bits, not 2147483648"),
    ],
)
def test_constants_out_of_range(constants: tuple[int, int, int], message: str):
    with pytest.raises(ValueError, match=message):
        constant_values(*constants, multiplier_bits=16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_channels": 4}, "max_channels must be between 8 and 4096, not 4"),
        ({"max_channels": 98}, "max_channels must be a multiple of 4, not 98"),
        ({"max_channels": 96, "multiplier_bits": 32}, "multiplier_bits must be between 12 and 31, not 32"),
        ({"max_channels": 96, "square_style": "dsp"}, "square_style must be lut or plain, not 'dsp'"),
    ],
)
def test_wrong_parameters(arguments: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        LayerNorm(**arguments)
