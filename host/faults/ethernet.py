"""Ethernets that are worse than real ones: datagrams lost, doubled, late, cut short."""

from __future__ import annotations

import random

from host.devices.ethernet_link import EthernetLink
from sim.emulator.emulation import Emulation

__all__ = ["DATAGRAM_FAULTS", "FaultyEthernet"]

DATAGRAM_FAULTS = ("lose", "double", "reorder", "cut")
"""What can happen to a datagram on its way."""


class FaultyEthernet(EthernetLink):
    """An Ethernet with faults, each datagram on its own, both ways.

    Parameters
    ----------
    emulation, clock_mhz : as for `EthernetLink`
    rng : where the faults are
    kind : one of `DATAGRAM_FAULTS`
    rate : probability for a datagram, 0 to 1, which at the latest hits when as many were sound; may be changed

    Members
    -------
    faults : so many so far
    """

    def __init__(self, emulation: Emulation, clock_mhz: float, rng: random.Random, kind: str) -> None:
        super().__init__(emulation, clock_mhz)
        self._rng, self.kind, self.rate, self.faults = rng, kind, 0.0, 0
        self._held: dict[bool, list[bytes]] = {}  # there and back
        self._sound = 0  # since the last fault

    def passed(self, datagram: bytes, back: bool) -> list[bytes]:
        late = self._held.pop(back, [])
        self._sound += 1
        if self._rng.random() >= self.rate and self._sound * self.rate < 1:
            return [datagram, *late]
        self.faults, self._sound = self.faults + 1, 0
        match self.kind:
            case "double":
                return [datagram, datagram, *late]
            case "reorder":  # it comes after the next one, or not at all
                self._held[back] = [datagram]
                return late
            case "cut":
                return [datagram[: self._rng.randrange(len(datagram))], *late]
        return late
