"""The totals of a run of the fuzz, and their report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sim.fuzz.case import Case
from sim.fuzz.plan import Plan
from sim.fuzz.runner import Outcome

__all__ = ["Failure", "Totals"]


@dataclass(frozen=True)
class Failure:
    """A case that is not exact, and the smaller one that was made of it."""

    found: Case
    smallest: Case
    sentence: str


@dataclass
class Totals:
    """Counts of all cases so far."""

    frames: int = 0
    cuts: int = 0
    integers: int = 0
    cycles: int = 0
    shapes: set[str] = field(default_factory=set)
    memories: set[str] = field(default_factory=set)
    machines: set[tuple[str, str, tuple[str, ...]]] = field(default_factory=set)
    failure: Failure | None = None

    def add(self, case: Case, outcome: Outcome) -> None:
        """Counts one case."""
        self.frames += outcome.frames
        self.cuts += outcome.cuts
        self.integers += outcome.integers
        self.cycles += outcome.cycles
        self.shapes.add(case.network)
        self.memories.add(case.memory)
        self.machines.add((case.board, case.arithmetic, case.settings))

    def values(self, plan: Plan | None) -> dict[str, Any]:
        """Plain values, for JSON."""
        counts: dict[str, Any] = {
            "frames": self.frames,
            "frames_cut_short": self.cuts,
            "shapes": len(self.shapes),
            "machines": len(self.machines),
            "memories": len(self.memories),
            "integers": self.integers,
            "cycles": self.cycles,
        }
        if plan is not None:
            counts |= {
                "seed": plan.seed,
                "residues": len(plan.residues),
                "residues_reachable": len(plan.reachable),
                "networks_refused": plan.refused,
            }
        if self.failure is not None:
            counts["failure"] = {
                "sentence": self.failure.sentence,
                "command": self.failure.smallest.command(),
                "found": self.failure.found.command(),
            }
        return counts

    def sentences(self, plan: Plan | None) -> Iterator[str]:
        """Lines of text."""
        yield (
            f"{self.frames:,} frames of {len(self.shapes):,} shapes on {len(self.machines):,} machines with "
            f"{len(self.memories):,} memories, and {self.cuts:,} frames cut short: "
            f"{self.integers:,} integers compared, {self.cycles:,} cycles"
        )
        if plan is not None:
            yield (
                f"{len(plan.residues)} of {len(plan.reachable)} residues of tokens modulo rows; {plan.refused:,} "
                "networks drawn that a machine cannot run or that take too long"
            )
        if self.failure is None:
            yield "all equal"
        else:
            yield f"different: {self.failure.sentence}"
            yield f"repeat it: {self.failure.smallest.command()}"
