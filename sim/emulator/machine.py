"""The whole machine of a configuration on the emulated board, with all of its memory."""

from __future__ import annotations

import functools

from gateware.config import BEAT_BYTES, AcceleratorConfig
from gateware.link.datagrams import PEER_BITS
from gateware.machine import Machine
from sim.emulator.emulation import Emulation
from sim.emulator.profiles import MemoryProfile

__all__ = ["emulated_machine"]


@functools.lru_cache(maxsize=4)
def _machine(configuration: AcceleratorConfig) -> Machine:
    """Elaborated once for all boards of a process."""
    return Machine(configuration, observed=True, peer_bits=PEER_BITS)


def emulated_machine(
    configuration: AcceleratorConfig, memory: MemoryProfile | str = "arty_a7", *, waves: bool = False
) -> Emulation:
    """The machine of `configuration`, with its taps and its counters of every engine.

    Parameters
    ----------
    configuration : the machine, which also says how much memory it can address
    memory : timing of that memory, as `Emulation` takes it
    waves : as `Emulation` takes it

    Raises as `Emulation`.
    """
    return Emulation(_machine(configuration), BEAT_BYTES << configuration.address_bits, memory, waves=waves)
