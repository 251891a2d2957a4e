"""A neighbour that keeps no contract: whatever a unit is given is drawn anew, without any regard for what is asked."""

import random
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from amaranth.hdl import UnusedElaboratable, Value
from amaranth.lib.wiring import Component, Flow
from amaranth.sim import Simulator, SimulatorContext

from sim.watched import Watched

__all__ = ["broken_by_anything"]

PHASE = 24  # cycles in which each single bit keeps its probability
PROBABILITIES = (0.0, 0.05, 0.3, 0.7, 1.0)


def broken_by_anything(
    unit: Component, wanted: Iterable[str], others: Sequence[Value] = (), cycles: int = 2000, seed: int = 1
) -> set[str]:
    """The contracts, "UNIT: sentence", that are violated while inputs are random; it ends when all wanted ones are.

    Parameters
    ----------
    others : what the unit is told beside its ports
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)
        watched = Watched(unit)
    rng, found, missing = random.Random(seed), set[str](), set(wanted)
    inputs = [Value.cast(value) for _, member, value in watched.signature.flatten(watched) if member.flow == Flow.In]
    inputs += others

    async def drive(context: SimulatorContext) -> None:
        for cycle in range(cycles):
            if cycle % PHASE == 0:
                chances = [rng.choice(PROBABILITIES) for _ in inputs]
            for value, chance in zip(inputs, chances, strict=True):
                context.set(value, _drawn(rng, value, chance))
            await context.tick()
            for contract in watched.contracts:
                if context.get(contract.violated):
                    found.add(str(contract))
            if missing <= found:
                return

    simulator = Simulator(watched)
    simulator.add_clock(1e-8)
    simulator.add_testbench(drive)
    simulator.run()
    return found


def _drawn(rng: random.Random, value: Any, chance: float) -> int:
    """A bit is 1 with that chance; a number is anything, or near its lower end."""
    width = len(value)
    if width == 1:
        number = int(rng.random() < chance)
    else:
        number = rng.getrandbits(width) if rng.random() < 0.5 else rng.randrange(min(4, 1 << width))
    signed = value.shape().signed
    return number - (1 << width) if signed and number >> (width - 1) & 1 else number
