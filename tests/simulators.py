"""Which of the benches' simulators this machine has."""

from sim.cocotb.runner import simulator_missing
from tests.skips import Skip


def needs_simulator(simulator: str) -> None:
    """Leaves the running test out where it needs Icarus and there is none."""
    if simulator_missing(simulator):
        Skip.ICARUS.now()
