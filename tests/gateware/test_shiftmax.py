"""Shiftmax, bit for bit the reference's, at the promised rate."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateware.nonlinear.shiftmax import Shiftmax
from sim.benches.runner import run_bench, simulator_missing
from sim.reference.arithmetic import LEAN, OFFICIAL, Arithmetic
from tests.shared_data import shared_data

BENCH = "tests.gateware.bench_shiftmax"
PAPER = Arithmetic("paper", softmax_n=12, half_shifted_first=True, softmax_half_up=True)
VARIANTS: dict[str, dict[str, Any]] = {
    "lean": {"rows": 11, "max_length": 256, "arithmetic": LEAN, "bits": 8, "x0_bits": 10},
    "official16": {"rows": 5, "max_length": 200, "arithmetic": OFFICIAL, "bits": 16, "x0_bits": 10},
    "official8": {"rows": 4, "max_length": 200, "arithmetic": OFFICIAL, "bits": 8, "x0_bits": 10},
    "paper": {"rows": 4, "max_length": 24, "arithmetic": PAPER, "bits": 11, "x0_bits": 13},
}


def run(variant: str, testcase: str, simulator: str = "verilator", **more: object) -> None:
    arguments = VARIANTS[variant]
    run_bench(
        Shiftmax(**arguments),
        f"shiftmax_{variant}",
        BENCH,
        testcase=testcase,
        simulator=simulator,
        parameters={**arguments, "arithmetic": asdict(arguments["arithmetic"]), **more},
    )


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_random_blocks(variant: str, stall: float):
    run(variant, "random_blocks", stall=stall, blocks=12 if VARIANTS[variant]["max_length"] > 64 else 40)


@pytest.mark.parametrize("variant", VARIANTS)
def test_edge_rows(variant: str):
    run(variant, "edge_rows")


@pytest.mark.parametrize("variant", ["lean", "official16"])
def test_reset_in_a_row(variant: str):
    run(variant, "reset_in_a_row")


@pytest.mark.parametrize(
    ("variant", "length", "limit"),
    [("lean", 197, 101), ("lean", 49, 27), ("lean", 1, 17), ("official16", 197, 101), ("official8", 49, 27)],
)
def test_throughput(variant: str, length: int, limit: int):
    run(variant, "throughput", length=length, limit=limit)


def test_on_icarus():
    missing = simulator_missing("icarus")
    if missing:
        pytest.skip(missing)
    run("official8", "random_blocks", simulator="icarus", stall=0.3, blocks=12)


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("official16", "softmax_o16_n197"),
        ("official16", "softmax_o16_n64"),
        ("official8", "softmax_o8_n49"),
        ("official8", "softmax_o8_n197"),
    ],
)
def test_golden_vectors(variant: str, name: str, tmp_path: Path):
    rows = VARIANTS[variant]["rows"]
    with np.load(shared_data("vectors", f"{name}.npz")) as vectors:
        chosen = np.flatnonzero(-vectors["x0"] < 1 << VARIANTS[variant]["x0_bits"])[::16]
        cases = {
            "scores": vectors["q"][chosen, :rows].astype(np.int64),
            "x0": -vectors["x0"][chosen],
            "golden": vectors["y"][chosen, :rows],
        }
    np.savez(tmp_path / "cases.npz", **cases)
    run(variant, "golden_rows", file=str(tmp_path / "cases.npz"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 1}, "rows must be between 2 and 64, not 1"),
        ({"max_length": 198}, "max_length must be a multiple of 4, not 198"),
        ({"max_length": 1028}, "max_length must be between 8 and 1024, not 1028"),
        ({"bits": 16}, "bits must be 8 in the lean arithmetic, not 16"),
        ({"x0_bits": 14}, "x0_bits must be between 1 and 13, not 14"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        Shiftmax(**{**VARIANTS["lean"], **changes})
