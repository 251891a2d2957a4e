"""A violation as a sentence: the unit and its contract, or the memory and the words that are out of order."""

from sim.emulator.library import Violation
from sim.watched import ContractViolation, Watched

__all__ = ["violation"]

# `Disorder` of native/program_order.h.
DISORDERS = (
    "",
    "reads it after {other} has overwritten it",
    "writes it after {other} has read it",
    "writes it after {other} has written it",
    "means a place that the memory does not have",
)


def violation(found: Violation, watched: Watched, cycle: int) -> ContractViolation:
    """What the engine found."""
    return ContractViolation(f"In cycle {cycle} a contract is violated: {_described(found, watched)}.")


def _described(found: Violation, watched: Watched) -> str:
    if found.contract:
        return str(watched.sentences[found.contract - 1])
    access = watched.accesses[found.access]
    what = DISORDERS[found.disorder].format(other=f"the later word {found.other}")
    return (
        f"{access.memory.name}: operations keep the order of the program, but word {found.number} ({access.who}) "
        f"{what} (address {found.address}, lane {found.lane}; words are counted from 1 on)"
    )
