"""The link on two lines, by itself: frames come through whole or not at all, whatever the two lines do."""

import pytest

from gateware.link.two_lines import TwoLines
from sim.cocotb.runner import run_bench

TIMEOUT_BITS = 6


def test_two_lines():
    run_bench(
        TwoLines(TIMEOUT_BITS),
        "two_lines",
        "tests.gateware.link.bench_two_lines",
        parameters={"timeout": 1 << TIMEOUT_BITS, "datagrams": 300},
    )


def test_wrong_parameters():
    with pytest.raises(ValueError, match="TwoLines: timeout_bits must be between 2 and 32, not 1"):
        TwoLines(1)
