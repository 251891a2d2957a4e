"""The UART at its pins: rates that are off by 2 %, jitter, disturbances, and no gaps between bytes."""

import pytest

from gateware.link.uart import Uart, UartReceiver, UartTransmitter, phase_step
from sim.cocotb.runner import run_bench
from tests.gateware.link.link_board import UartBoard

CLOCK = 100_000_000


@pytest.mark.parametrize(
    ("baud", "jitter", "count"),
    [(12_000_000, 0.0, 60), (3_000_000, 0.1, 15), (20_000_000, 0.0, 60)],
    ids=["8.33 cycles a bit", "33.3", "5"],
)
def test_at_the_pins(baud: int, jitter: float, count: int):
    # At five cycles a bit one sample must do, and a cycle of uncertainty is a fifth of a bit.
    errors = [0.0, 0.02, -0.02] if baud < 15_000_000 else [0.0, 0.01, -0.01]
    parameters = {"baud": baud, "errors": errors, "jitter": jitter, "count": count, "gapless": 4 * count}
    run_bench(Uart(CLOCK, baud), f"uart_{baud}", "tests.gateware.link.bench_uart", parameters=parameters)


def test_the_link_through_the_pins():
    board = UartBoard(CLOCK, 12_000_000)
    parameters = {"baud": 12_000_000, "errors": [0.0, 0.02, -0.02]}
    run_bench(board, "uart_board", "tests.gateware.link.bench_link_pins", parameters=parameters)


def test_the_step_is_the_fraction():
    assert phase_step("x", CLOCK, 12_000_000) == round(0.12 * 2**20)
    assert phase_step("x", 60_000_000, 3_000_000) == round(2**20 / 20)


@pytest.mark.parametrize("unit", [UartReceiver, UartTransmitter])
@pytest.mark.parametrize(
    ("clock_hz", "baud", "sentence"),
    [
        (40_000_000, 12_000_000, "clock_hz must be at least 4 times baud, not 3.33 times; lower baud to 10000000"),
        (CLOCK, 9600, "baud must be at least a 1,024th of clock_hz, not a 10,416th; raise baud"),
        (0, 9600, "clock_hz must be at least 1, not 0"),
        (CLOCK, 1.5e6, "baud must be an integer, not 1500000.0"),
    ],
)
def test_wrong_rates(unit, clock_hz: int, baud: int, sentence: str):
    with pytest.raises(ValueError, match=f"{unit.__name__}: {sentence}"):
        unit(clock_hz, baud)
