"""ShiftGELU, bit for bit the reference's, at the promised rate."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from gateware.gelu.exponent import SignedShiftExpLane
from gateware.gelu.shiftgelu import ShiftGELU
from sim.cocotb.runner import quick_to_compile, run_bench
from sim.reference.arithmetic import LEAN, OFFICIAL, Arithmetic, preset
from sim.reference.rescale import Dyadic
from tests.vectors.golden import golden

BENCH = "tests.gateware.gelu.bench_shiftgelu"
VARIANTS = {"lean": LEAN, "official": OFFICIAL, "polynomial": preset("lean:gelu=polynomial")}
SCALES = [1, 2, 3, 6, 7, 9, 13, 18, 23, 33, 35, 54, 128, 139, 254, 255]


def run(variant: str, testcase: str | list[str], simulator: str = "verilator", **more: object) -> None:
    """On Verilator where Icarus is not installed."""
    run_bench(
        ShiftGELU(VARIANTS[variant]),
        f"shiftgelu_{variant}",
        BENCH,
        testcase=testcase,
        simulator=quick_to_compile() if simulator == "icarus" else simulator,
        parameters={"arithmetic": asdict(VARIANTS[variant]), **more},
    )


def test_groups():
    lengths = [(4, 16), (256, 3), (20, 4)]
    testcases = ["every_maximum", "edge_tables", "random_groups", "quick_groups", "maxima_come_first"]
    testcases.append("values_above_the_maximum")
    run("lean", testcases, scales=SCALES, stalls=[0.0, 0.3, 0.9], lengths=lengths)


def test_long_group():
    run("lean", "random_groups", stalls=[0.0], lengths=[(3072, 1), (524, 1)])


def test_short_groups_in_the_other_arithmetic():
    testcases = ["edge_tables", "random_groups", "quick_groups", "reset_in_a_row"]
    lengths = [(4, 3), (256, 1)]
    # Its groups take up to two cycles more than those of `lean`.
    run(
        "official", testcases, "icarus", scales=[2, 24], stalls=[0.3], lengths=lengths, moments=[1, 700], quick_group=39
    )


def test_reset_in_a_row():
    run("lean", "reset_in_a_row", moments=[1, 7, 258, 800, 1032, 1095, 1100, 1200, 1500])


def test_the_polynomial():
    testcases = ["every_maximum", "edge_tables", "random_groups", "values_above_the_maximum", "reset_in_a_row"]
    lengths = [(4, 6), (256, 3), (20, 4)]
    run("polynomial", testcases, scales=[4, 5, 20, 255], stalls=[0.0, 0.6], lengths=lengths, moments=[1, 40, 300, 700])
    run("polynomial", "throughput", rates=[(768, 4, 768), (128, 4, 257)], least_rate=1.9, latency=283)


def test_throughput():
    rates = [(768, 4, 1032), (1536, 3, 1536)]
    run("lean", "throughput", rates=rates, least_rate=2, latency=1097)


@pytest.mark.parametrize(("variant", "every"), [("lean", 1), ("official", 5)])
def test_golden_vectors(variant: str, every: int, tmp_path: Path):
    bits = VARIANTS[variant].multiplier_bits
    files = []
    for name in ("gelu_c384", "gelu_c768")[: 2 if variant == "lean" else 1]:
        vectors, scales = golden(name), golden("quantact_gelu16to8")
        chosen = slice(0, len(vectors["q"]), every)
        factors = [
            Dyadic.from_ratio(scale_in[0], scale_out, bits).normalised(bits)
            for scale_in, scale_out in zip(scales["s_in"], scales["s_out"], strict=True)
        ]
        cases = {
            "rows": vectors["q"][chosen, :4],
            "x0": -vectors["x0"][chosen],
            "y": vectors["y"][chosen, :4],
            "multiplier": np.array([factor.multiplier for factor in factors[: len(vectors["q"])][chosen]]),
            "shift": np.array([factor.shift for factor in factors[: len(vectors["q"])][chosen]]),
        }
        files.append(str(tmp_path / f"{name}.npz"))
        np.savez(files[-1], allow_pickle=False, **cases)
    run(variant, "golden_rows", "verilator" if variant == "lean" else "icarus", files=files)


@pytest.mark.parametrize(
    ("arithmetic", "x0_bits", "message"),
    [
        (LEAN, 0, "x0_bits must be between 1 and 8, not 0"),
        (LEAN, 9, "x0_bits must be between 1 and 8, not 9"),
        (replace(LEAN, name="steep", gelu_slope_by_shifts=True), 8, "the arithmetic 'steep' has a literal variant"),
        (replace(LEAN, name="halved", half_shifted_first=True), 8, "the arithmetic 'halved' has a literal variant"),
    ],
)
def test_wrong_parameters(arithmetic: Arithmetic, x0_bits: int, message: str):
    with pytest.raises(ValueError, match=message):
        ShiftGELU(arithmetic, x0_bits)


@pytest.mark.parametrize(
    ("n", "x0_bits", "message"),
    [
        (7, 8, "n must be between 8 and 23, not 7"),
        (24, 8, "n must be between 8 and 23, not 24"),
        (23, 9, "x0_bits must be between 1 and 8, not 9"),
    ],
)
def test_wrong_parameters_of_the_exponential(n: int, x0_bits: int, message: str):
    with pytest.raises(ValueError, match=message):
        SignedShiftExpLane(n, x0_bits)
