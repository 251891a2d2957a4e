"""`--clock auto`: the fastest of a board's clocks that place and route meets."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hw.toolchains.outcome import Routed

__all__ = ["AUTO", "clock", "slower"]

AUTO = "auto"


def clock(text: str) -> float | str:
    """What `--clock` takes: MHz, or auto."""
    try:
        return text if text == AUTO else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number of MHz or {AUTO}, not {text!r}") from None


def slower(clocks: Sequence[float], tried: float, routed: Routed) -> float | None:
    """The clock to try after one that was missed; None where there is no slower one.

    The machine's other clocks are multiples of it, so the one that misses by most says what the machine can do. If
    that is below all of the board's clocks, the slowest may still be met: the placer works for what is asked of it.
    """
    below = sorted((mhz for mhz in clocks if mhz < tried), reverse=True)
    if routed.slow is None or not below:
        return None
    reached = tried * routed.slow.achieved_mhz / routed.slow.wanted_mhz
    return next((mhz for mhz in below if mhz <= reached), below[-1])
