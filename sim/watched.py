"""A component with its contracts watched: what benches and the emulated board simulate."""

from __future__ import annotations

import functools
import operator

from amaranth.hdl import DomainRenamer, Elaboratable, Fragment, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow, Out

from gateware.contracts import Access, Contract, Monitors

__all__ = ["ContractViolation", "Watched", "watched"]

VIOLATION_BITS = 16


class ContractViolation(AssertionError):
    """A contract between units of the machine does not hold; one sentence names the unit and the contract."""


class Watched(wiring.Component):
    """The component's ports and, beside them, what its contracts show.

    Parameters
    ----------
    component : a component with a signature; it is elaborated here, once

    Attributes
    ----------
    contracts : list of Contract
        Those of all its units.
    accesses : list of Access
    pump : int
        The component's; 1 where it has none.

    Members
    -------
    violation : Out(16)
        1 more than the place in ``contracts`` of the first that was violated since reset; 0: none.
    program_begins : Out(1)
    access_N : Out, for each of ``accesses``
        What `gateware.contracts.Access` shows.
    """

    def __init__(self, component: Elaboratable) -> None:
        monitors, self.pump = Monitors(), getattr(component, "pump", 1)
        self.name = type(component).__name__
        self._component, self._fragment = component, Fragment.get(component, monitors)
        self.contracts: list[Contract] = monitors.contracts
        self.accesses: list[Access] = monitors.accesses
        self._begins = monitors.begins
        sizes = {access.memory.name: access.memory for access in self.accesses}
        for access in self.accesses:
            if access.memory != sizes[access.memory.name]:
                raise ValueError(f"{access.memory} and {sizes[access.memory.name]} are one memory; state one size.")
        super().__init__(
            {
                **dict(component.signature.members.items()),
                "violation": Out(VIOLATION_BITS),
                "program_begins": Out(1),
                **{
                    f"access_{index}": Out(wiring.Signature({name: Out(bits) for name, bits in access.widths.items()}))
                    for index, access in enumerate(self.accesses)
                },
            }
        )

    @property
    def sentences(self) -> list[str]:
        """The contracts, in the order of their numbers."""
        return [str(contract) for contract in self.contracts]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # A copy: what Amaranth makes of a fragment changes it, and this is elaborated once for each use.
        m.submodules.component = DomainRenamer("sync")(self._fragment)
        inside = {path: Value.cast(value) for path, _, value in self._component.signature.flatten(self._component)}
        for path, member, value in self.signature.flatten(self):
            if path in inside:
                m.d.comb += inside[path].eq(value) if member.flow == Flow.In else Value.cast(value).eq(inside[path])
        for index, access in enumerate(self.accesses):
            for name, value in access.shown.items():
                m.d.comb += getattr(getattr(self, f"access_{index}"), name).eq(value)
        if self._begins is not None:
            m.d.comb += self.program_begins.eq(self._begins)
        if self.contracts:
            # Nested, so that a simulator looks for the first one only where there is one.
            violated = functools.reduce(operator.or_, (contract.violated for contract in self.contracts))
            with m.If(violated & (self.violation == 0)):
                for index, contract in reversed(list(enumerate(self.contracts))):
                    with m.If(contract.violated):
                        m.d.sync += self.violation.eq(index + 1)
        return m


@functools.lru_cache(maxsize=8)
def watched(component: Elaboratable) -> Watched:
    """The component watched; for the same component the same object."""
    return Watched(component)
