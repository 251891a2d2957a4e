"""One case of the fuzz: a network, a machine, a memory, and what is done with them. A case is one line of text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from gateware.config import AcceleratorConfig, ConfigError, changed, config
from sim.emulator.memories import memory_option
from sim.reference.architecture import parse_architecture
from sim.reference.errors import UserError

__all__ = ["WAYS", "Case", "Cut", "Step", "parse_case"]

WAYS = ("reset", "stop", "start")
MOST_CYCLES = 10**9
MOST_STEPS = 1000
MOST_SEED = (1 << 32) - 1
EXAMPLE = (
    "network=vit:image=16,patch=8,dim=16,depth=1,heads=1,classes=1 weights=1 board=tiny arithmetic=lean set=rows=5 "
    "memory=random:1 images=1 steps=0,reset@400,1"
)


@dataclass(frozen=True)
class Cut:
    """A frame that ends after so many cycles: by the machine's reset, by its stop, or by the next frame's start."""

    way: str
    cycles: int

    def __str__(self) -> str:
        return f"{self.way}@{self.cycles}"


Step = int | Cut  # a whole frame of the image of that number, or one that is cut short


@dataclass(frozen=True)
class Case:
    """What is run, one step after the other, on one board.

    Parameters
    ----------
    network : its architecture, as `parse_architecture` reads it
    weights : seed of its weights
    board, settings, arithmetic : the machine, as `gateware.config` takes them
    memory : as `sim.emulator.memories` takes it
    images : seed of the images
    steps : see `Step`
    """

    network: str
    weights: int
    board: str
    settings: tuple[str, ...]
    arithmetic: str
    memory: str
    images: int
    steps: tuple[Step, ...]

    def machine(self) -> AcceleratorConfig:
        """The machine's configuration. Raises ConfigError or ValueError for one that cannot be."""
        return changed(config(self.board, self.arithmetic), self.settings)

    def __str__(self) -> str:
        chosen = f" set={','.join(self.settings)}" if self.settings else ""
        return (
            f"network={self.network} weights={self.weights} board={self.board} arithmetic={self.arithmetic}{chosen} "
            f"memory={self.memory} images={self.images} steps={','.join(map(str, self.steps))}"
        )

    def command(self) -> str:
        """The command that runs it."""
        return f"python -m sim.fuzz --case '{self}'"


def parse_case(text: str) -> Case:
    """The case that this text was made from by `str`. Raises UserError, with an example, for another text."""
    names = {"settings": "set"}
    wanted = [names.get(field.name, field.name) for field in fields(Case)]
    found: dict[str, str] = {"set": ""}
    for item in text.split():
        name, _, value = item.partition("=")
        if name not in wanted or (name in found and name != "set"):
            raise UserError(f"--case: {item!r} is not understood; a case is for instance {EXAMPLE!r}.")
        found[name] = value
    if missing := [name for name in wanted if name not in found]:
        raise UserError(f"--case: {', '.join(missing)} must be there, too; a case is for instance {EXAMPLE!r}.")
    case = Case(
        network=found["network"],
        weights=_number("weights", found["weights"], MOST_SEED),
        board=found["board"],
        settings=tuple(found["set"].split(",")) if found["set"] else (),
        arithmetic=found["arithmetic"],
        memory=memory_option(found["memory"]),
        images=_number("images", found["images"], MOST_SEED),
        steps=_steps(found["steps"].split(",")),
    )
    parse_architecture(case.network)
    try:
        case.machine()
    except (ConfigError, ValueError) as error:
        raise UserError(f"--case: {error}.") from error
    return case


def _steps(texts: Sequence[str]) -> tuple[Step, ...]:
    if len(texts) > MOST_STEPS:
        raise UserError(f"--case: steps must be at most {MOST_STEPS}, not {len(texts)}.")
    steps: list[Step] = []
    for text in texts:
        way, at, cycles = text.partition("@")
        if at and way in WAYS:
            steps.append(Cut(way, _number("steps", cycles, MOST_CYCLES)))
        else:
            steps.append(_number("steps", text, MOST_STEPS))
    return tuple(steps)


def _number(name: str, text: str, most: int) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > most:
        raise UserError(f"--case: {name} must be a whole number of 0 to {most}, not {text!r}.")
    return int(text)
