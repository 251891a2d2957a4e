"""The cases that are run. A seed decides all of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sim.emulator.memories import MOST_SEED, RANDOM
from sim.emulator.profiles import PROFILES
from sim.fuzz.case import WAYS, Case, Cut, Step
from sim.fuzz.machines import Choice
from sim.fuzz.networks import Frame, by_residue, network
from sim.fuzz.runner import prepared
from sim.reference.architecture import parse_architecture
from sim.reference.errors import UserError

__all__ = ["Plan"]

TRIES = 8  # networks of one residue, until a machine can run one
MEMORIES = 2  # for each network
FRAMES = (3, 5)  # in a row on one board
IMAGES = 2  # that take turns
KNOWN_MEMORY = 0.3  # of all memories: a board's, instead of a random one
COMPILER_FAULT = "fault of the compiler"


@dataclass
class Plan:
    """A run of the fuzz.

    Parameters
    ----------
    frames : whole frames, at least
    seed : of everything
    machines : each gets as many of the frames
    memories : of these only; none: random ones and every board's
    largest : predicted cycles of the longest frame

    Members
    -------
    residues : (rows of an array, what a number of tokens leaves modulo that) of all networks so far
    reachable : those that a network can have on these machines
    refused : networks that were drawn and that a machine cannot run, or that take too long
    """

    frames: int
    seed: int
    machines: Sequence[Choice]
    memories: Sequence[str] = ()
    largest: int = 60_000
    residues: set[tuple[int, int]] = field(default_factory=set)
    reachable: set[tuple[int, int]] = field(default_factory=set)
    refused: int = 0

    def cases(self) -> Iterator[Case]:
        """The cases, machine by machine, so that only one machine is needed at a time."""
        for number, machine in enumerate(self.machines):
            draw = random.Random(f"fuzz {self.seed} {machine}")
            left = self.frames * (number + 1) // len(self.machines) - self.frames * number // len(self.machines)
            for case in self._cases_of(machine, draw):
                if left <= 0:
                    break
                left -= sum(isinstance(step, int) for step in case.steps)
                yield case

    def _cases_of(self, choice: Choice, draw: random.Random) -> Iterator[Case]:
        """Cases without end for one machine; each residue has its turn."""
        rows, frames = choice.machine().rows, by_residue(choice.machine())
        self.reachable |= {(rows, residue) for residue in frames}
        missed = 0
        while missed < TRIES * len(frames):
            for residue in draw.sample(sorted(frames), len(frames)):
                drawn = self._network(choice, frames[residue], draw)
                if drawn is None:
                    missed += 1
                    continue
                missed = 0
                self.residues.add((rows, residue))
                for _ in range(MEMORIES):
                    yield self._case(choice, *drawn, draw)

    def _network(self, choice: Choice, frames: list[Frame], draw: random.Random) -> tuple[str, int] | None:
        """An architecture and a seed of weights that the machine can run; None where several tries find none."""
        for _ in range(TRIES):
            weights = draw.randint(0, 999)
            try:
                drawn = network(draw.choice(frames), draw)
                # The array alone would need so long: no need to compile it.
                least = parse_architecture(drawn).macs() // choice.machine().macs_per_cycle
                if least <= self.largest and prepared(drawn, weights, choice.machine()).cycles <= self.largest:
                    return drawn, weights
            except UserError as error:
                if COMPILER_FAULT in str(error):
                    raise
            self.refused += 1
        return None

    def _case(self, choice: Choice, drawn: str, weights: int, draw: random.Random) -> Case:
        cycles = prepared(drawn, weights, choice.machine()).cycles
        steps: list[Step] = [number % IMAGES for number in range(draw.randint(*FRAMES))]
        for _ in range(draw.choice((0, 1, 1, 2))):
            # Long before the end more often than not: what is half done is not the same in every layer.
            when = int(cycles ** draw.uniform(0, 1.05))
            steps.insert(draw.randrange(len(steps)), Cut(draw.choice(WAYS), when))
        memory = draw.choice(self.memories) if self.memories else _memory(draw)
        return Case(
            drawn, weights, choice.board, choice.settings, choice.arithmetic, memory, draw.randint(0, 999), tuple(steps)
        )


def _memory(draw: random.Random) -> str:
    if draw.random() < KNOWN_MEMORY:
        return draw.choice(sorted(PROFILES))
    return f"{RANDOM}{draw.randint(0, MOST_SEED)}"
