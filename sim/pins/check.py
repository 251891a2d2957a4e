"""A board's first day, simulated at its pins: identify, memory up, memory tested, a model loaded, a digit labelled."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from firmware.dram.initialisation import FILE_NAME, Initialisation
from gateware.config import AcceleratorConfig
from gateware.machine import identity
from host.bringup import Eyes, rows
from host.command.errors import HostError
from host.demo import REFERENCE, SHIPPED_MODEL, held_out
from host.devices.registry import open_device
from host.dram.constants import initialise
from host.dram.leveling import Lane
from host.dram.memory_test import memory_test
from host.link.connection import Connection
from hw.boards.design import Design
from sim.pins.board import PICOSECONDS, PinBoard
from sim.pins.boards import BoardModel, model_of
from sim.pins.device import PinDevice, connected
from sim.pins.eyes import misplaced
from sim.pins.faults import Fault

__all__ = ["Bench", "Say", "brought_up", "first_day"]

Say = Callable[[str], None]
LAMP_READY, LAMP_FAILED = 4, 8
SEED = 1
NO_FAULT = Fault("nothing")


@dataclass(frozen=True)
class Bench:
    """What a run needs.

    Parameters
    ----------
    machine : the configuration that the design was made for
    design, library : of the board
    baud : of its serial line
    """

    machine: AcceleratorConfig
    design: Design
    library: Path
    baud: int

    @property
    def model(self) -> BoardModel:
        """What is around the design."""
        return model_of(self.design.name)

    def constants(self) -> Initialisation:
        """The `dram.json` of the design."""
        return Initialisation.from_json(self.design.files[FILE_NAME])


def first_day(bench: Bench, say: Say, fault: Fault = NO_FAULT, size: int = 4096, digit: bool = True) -> None:
    """Runs it from power-on.

    Parameters
    ----------
    bench : the board
    say : is told what was seen
    fault : what is wrong with it
    size : bytes of the memory test
    digit : whether a model is loaded and run

    Raises
    ------
    HostError : the host found something wrong, or the models of chip and primitives did
    """
    with PinBoard(bench.library, bench.baud, fault.wiring(bench.model.delays)) as board:
        with connected(board, bench.baud) as link:
            if link.identity != identity(bench.machine, bench.model.memory_bytes):
                raise HostError(f"The board says that it is {link.identity}, and was built as {bench.machine.name}.")
            say(f"identified: {bench.machine.name}, {1e-6 * board.time:.0f} us after power-on")
            brought_up(bench, say, fault, board, link)
            names = memory_test(link, link.identity.memory_bytes, size, SEED)
            say(f"memory test: passed ({'; '.join(names)})")
            if digit:
                _digit(say, PinDevice(board, link))
        _clean(board)
        found = board.statistics
        say(
            f"the chip took {found.activates:,} ACTIVATE, {found.reads:,} READ, {found.writes:,} WRITE, "
            f"{found.refreshes:,} REFRESH in {1e3 * board.time / PICOSECONDS:.1f} ms, and no rule was broken"
        )


def brought_up(bench: Bench, say: Say, fault: Fault, board: PinBoard, link: Connection) -> tuple[Lane, ...]:
    """Brings the memory up and compares the eyes with the wires; raises as `first_day`."""
    constants, eyes = fault.constants(bench.constants()), Eyes()
    began = time.perf_counter()
    lanes = initialise(link, constants, eyes.seen)
    for row in rows(eyes, lanes, constants.phy):
        say("eye: " + "  ".join(row))
    leveling = constants.phy.leveling
    wrong = misplaced(lanes, constants.phy, constants.memory_mhz, bench.model.delays) if leveling else []
    if wrong:
        raise HostError(" ".join(wrong))
    if board.lamps & (LAMP_READY | LAMP_FAILED) != LAMP_READY:
        raise HostError(f"The lamps do not say that the memory is up: {board.lamps:04b}.")
    _clean(board)
    eyes_are = ", the eyes where the wires' delays put them" if leveling else ""
    say(f"memory: up{eyes_are} ({time.perf_counter() - began:.0f} s)")
    fault.after_leveling(link, constants)
    return lanes


def _digit(say: Say, device: PinDevice) -> None:
    """The shipped model on one image, every logit compared."""
    image = Image.fromarray(held_out(1).images[0])
    model = device.load(SHIPPED_MODEL)
    answer = device.infer(image)
    with open_device(REFERENCE) as reference:
        reference.load(SHIPPED_MODEL)
        wanted = reference.infer(image)
    if (answer.logits != wanted.logits).any():
        raise HostError(f"The logits are {answer.logits.tolist()}, and the reference's {wanted.logits.tolist()}.")
    say(f"digit: {answer.name} in {answer.cycles:,} cycles, all {len(model.class_names)} logits as the reference's")


def _clean(board: PinBoard) -> None:
    """Raises HostError with the first thing that a model found wrong."""
    if complaints := board.complaints:
        more = f" ({len(complaints)} such sentences)" if len(complaints) > 1 else ""
        raise HostError(f"{complaints[0]}{more}")
