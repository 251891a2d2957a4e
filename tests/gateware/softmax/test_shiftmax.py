"""Shiftmax, bit for bit the reference's, at the promised rate."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateware.softmax.shiftmax import Shiftmax
from sim.cocotb.runner import quick_to_compile, run_bench
from sim.reference.arithmetic import LEAN, OFFICIAL, Arithmetic, preset
from tests.vectors.golden import golden

BENCH = "tests.gateware.softmax.bench_shiftmax"
PAPER = Arithmetic("paper", softmax_n=12, half_shifted_first=True, softmax_half_up=True)
POLYNOMIAL, LOGARITHM = (
    preset("lean:softmax_bits=8,softmax=polynomial"),
    preset("lean:softmax_bits=8,softmax=logarithm"),
)
EIGHT, NINE = preset("lean:softmax_bits=8"), preset("lean:softmax_bits=9")
LOGARITHM16 = preset("official:softmax=logarithm,softmax_n=12")
VARIANTS: dict[str, dict[str, Any]] = {
    "lean": {"rows": 11, "max_length": 256, "arithmetic": LEAN, "bits": 10, "x0_bits": 10},
    "eight_bits": {"rows": 4, "max_length": 64, "arithmetic": EIGHT, "bits": 8, "x0_bits": 10},
    "nine_bits": {"rows": 4, "max_length": 24, "arithmetic": NINE, "bits": 9, "x0_bits": 10},
    "official16": {"rows": 5, "max_length": 200, "arithmetic": OFFICIAL, "bits": 16, "x0_bits": 10},
    "official8": {"rows": 4, "max_length": 200, "arithmetic": OFFICIAL, "bits": 8, "x0_bits": 10},
    "polynomial": {
        "rows": 6,
        "max_length": 200,
        "arithmetic": POLYNOMIAL,
        "bits": 8,
        "x0_bits": 10,
    },
    "logarithm": {
        "rows": 6,
        "max_length": 256,
        "arithmetic": LOGARITHM,
        "bits": 8,
        "x0_bits": 10,
    },
    "logarithm16": {
        "rows": 4,
        "max_length": 24,
        "arithmetic": LOGARITHM16,
        "bits": 16,
        "x0_bits": 13,
    },
    "paper": {"rows": 4, "max_length": 24, "arithmetic": PAPER, "bits": 11, "x0_bits": 13},
}
# The smaller variants, which take longer to compile than to simulate.
ON_ICARUS = {"eight_bits", "nine_bits", "official16", "official8", "paper", "logarithm16"}


# Cycles a row, sustained, at these lengths: 2 * ceil(length / 4) + 1, and at least what the division takes.
RATES = {
    "lean": [(197, 101), (49, 27), (1, 17)],
    "nine_bits": [(24, 17)],
    "eight_bits": [(64, 33), (1, 17)],
    "official16": [(197, 101), (64, 33)],
    "official8": [(49, 27)],
    "paper": [(24, 20)],
    "polynomial": [(197, 101), (1, 17)],
    "logarithm": [(197, 101), (1, 17)],
    "logarithm16": [(24, 17)],
}


def run(variant: str, testcase: str | list[str], **more: object) -> None:
    arguments = VARIANTS[variant]
    unit = Shiftmax(**arguments)
    run_bench(
        unit,
        f"shiftmax_{variant}",
        BENCH,
        testcase=testcase,
        simulator=quick_to_compile() if variant in ON_ICARUS else "verilator",
        parameters={**arguments, "arithmetic": asdict(arguments["arithmetic"]), "latency": unit.latency, **more},
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_blocks(variant: str):
    blocks = 8 if variant in ON_ICARUS else 24
    testcases = ["random_blocks", "edge_rows", "tight_rows", "reset_in_a_row", "senseless_jobs", "throughput"]
    run(variant, testcases, stalls=[0.0, 0.6], blocks=blocks, rates=RATES[variant])


@pytest.mark.parametrize(
    ("variant", "names"),
    [("official16", ["softmax_o16_n197", "softmax_o16_n64"]), ("official8", ["softmax_o8_n49", "softmax_o8_n197"])],
)
def test_golden_vectors(variant: str, names: list[str], tmp_path: Path):
    rows = VARIANTS[variant]["rows"]
    for name in names:
        vectors = golden(name)
        chosen = np.flatnonzero(-vectors["x0"] < 1 << VARIANTS[variant]["x0_bits"])
        cases = {
            "scores": vectors["q"][chosen, :rows],
            "x0": -vectors["x0"][chosen],
            "golden": vectors["y"][chosen, :rows],
        }
        np.savez(tmp_path / f"{name}.npz", allow_pickle=False, **cases)
    run(variant, "golden_rows", files=[str(tmp_path / f"{name}.npz") for name in names])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 1}, "rows must be between 2 and 64, not 1"),
        ({"max_length": 198}, "max_length must be a multiple of 4, not 198"),
        ({"max_length": 1028}, "max_length must be between 8 and 1024, not 1028"),
        ({"bits": 16}, "bits must be 10 in the lean arithmetic, not 16"),
        ({"x0_bits": 14}, "x0_bits must be between 1 and 13, not 14"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        Shiftmax(**{**VARIANTS["lean"], **changes})
