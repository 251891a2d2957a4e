"""A pytest plugin, `-p tests.waves`: every simulation of a run writes its waveforms."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from amaranth.sim import Simulator

import sim.cocotb.runner
from sim.cocotb.runner import ROOT

__all__ = ["FOLDER"]

FOLDER = ROOT / "build" / "waves"
_count = itertools.count()


def _traced(run: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(run)
    def wrapper(self: Simulator, *arguments: Any) -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        with self.write_vcd(str(FOLDER / f"simulation_{next(_count)}.vcd")):
            run(self, *arguments)

    return wrapper


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Before any test module is imported."""
    for name in ("run", "run_until"):
        setattr(Simulator, name, _traced(getattr(Simulator, name)))
    sim.cocotb.runner.run_bench = functools.partial(sim.cocotb.runner.run_bench, waves=True)
