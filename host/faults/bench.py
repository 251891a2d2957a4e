"""The bench for faults: an emulated board behind a line that can be disturbed, and the right answers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from gateware.config import AcceleratorConfig
from host.command.errors import HostError
from host.devices.compiled import program_of_file
from host.devices.emulated import BoardOnALine, opened_machine
from host.devices.emulated_link import EmulatedLink
from host.devices.reference import ReferenceDevice
from host.faults.channel import FaultyTransport
from host.faults.ethernet import FaultyEthernet
from host.link.connection import Connection
from sim.reference.architecture import parse_architecture

__all__ = ["ATTEMPTS", "PICTURES", "TIMEOUT", "Bench", "Case", "Row"]

TIMEOUT = 0.0003
"""Seconds of the board's time until a request goes out again: short, so that lost packets cost few emulated cycles."""
ATTEMPTS = 16
SLACK = 0.01
"""Seconds of the board's time on top of the time-outs: a frame, and what the line takes."""
PICTURES = 4


@dataclass
class Row:
    """The outcome of one fault.

    Members
    -------
    fault : what was done
    faults : how often, or how many bytes
    exact, errors, wrong : attempts that gave the right logits, ended in a sentence, gave others
    longest, limit : seconds that an attempt took at most, and could have by the link's time-outs
    recovered, not_recovered : frames afterwards, on a sound line, that were exact or not
    problems : why the requirements are not met; empty: they are
    sentences : what the user read
    """

    fault: str
    faults: int = 0
    exact: int = 0
    errors: int = 0
    wrong: int = 0
    longest: float = 0.0
    limit: float = 0.0
    recovered: int = 0
    not_recovered: int = 0
    problems: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)

    def heard(self, sentence: str) -> None:
        """An attempt ended in this sentence."""
        self.errors += 1
        if not sentence or "\n" in sentence or "Traceback" in sentence:
            self.problems.append(f"not a sentence: {sentence!r}")
        if sentence not in self.sentences:
            self.sentences.append(sentence)

    def took(self, seconds: float, limit: float) -> None:
        """An attempt took so long, and could have."""
        if seconds > limit:
            self.problems.append(f"{seconds:.3f} s, more than the time-out of {limit:.3f} s")
        if seconds >= self.longest:
            self.longest, self.limit = seconds, limit

    def require(self, condition: bool, problem: str) -> None:
        """Notes a problem unless the condition holds."""
        if not condition:
            self.problems.append(problem)

    @property
    def passed(self) -> bool:
        """Never a wrong label, never too long, always a sentence, the next frame exact."""
        return not (self.problems or self.wrong or self.not_recovered) and self.recovered > 0


class Bench:
    """A model on an emulated board, pictures, and the reference's logits of them, which differ from each other.

    Parameters
    ----------
    machine : the board's configuration, in the model's arithmetic
    model : model file
    rng : makes the pictures

    Raises HostError if the board or the model cannot be had.
    """

    def __init__(self, machine: Callable[[str], AcceleratorConfig], model: Path, rng: random.Random) -> None:
        with_reference = ReferenceDevice("")
        with_reference.load(model)
        self.program = program_of_file(model, machine)
        self.machine = self.program.config
        side, generator = (
            parse_architecture(self.program.architecture).image,
            np.random.default_rng(rng.getrandbits(32)),
        )
        self.images = generator.integers(-128, 128, (PICTURES, 3, side, side)).astype(np.int8)
        self.wanted = np.stack([answer.logits for answer in with_reference.run(self.images)])
        if len(np.unique(self.wanted, axis=0)) != PICTURES:
            raise HostError(f"{model} gives several pictures the same logits: a late answer could not be told.")
        self.rng, self.turn = rng, 0
        self.emulation = opened_machine(self.machine)

    def close(self) -> None:
        """Frees the board."""
        self.emulation.close()

    def line(self, kind: str = "flip", rate: float = 0.0) -> FaultyTransport:
        """A line to the board."""
        return FaultyTransport(EmulatedLink(self.emulation, self.machine.clock_mhz), self.rng, kind, rate)

    def device(
        self, line: FaultyTransport | FaultyEthernet, *, upload: bool = False, timeout: float = TIMEOUT
    ) -> BoardOnALine:
        """The board behind the line, which is sound until the session is open; a program's upload takes it only if
        asked. The emulation outlives the device.
        """
        rate, line.rate = line.rate, 0.0
        device = BoardOnALine(self.emulation, Connection(line, timeout, ATTEMPTS), upload)
        line.rate = rate
        return device

    def fresh(self) -> None:
        """The board as after power-on; memory stays."""
        self.emulation.reset()

    def exact(self, device: BoardOnALine) -> bool:
        """Whether the next picture gets the reference's logits; each time another picture. Raises HostError."""
        self.turn = (self.turn + 1) % PICTURES
        answer = device.run(self.images[self.turn : self.turn + 1])[0]
        return bool(np.array_equal(answer.logits, self.wanted[self.turn]))

    def loaded(self, device: BoardOnALine) -> bool:
        """Loads the program; whether the next picture is then exact."""
        device.load_program(self.program, "the program")
        return self.exact(device)

    def attempt(self, row: Row, device: BoardOnALine, action: Callable[[], bool]) -> bool:
        """Does something on a bad line and enters what came of it; whether it was no error.

        Its limit is the time-outs of every request that was made, in the board's time.
        """
        link = device.connection
        begun, before = link.now(), link.statistics.sent - link.statistics.resent
        try:
            right = action()
            row.exact, row.wrong = row.exact + right, row.wrong + (not right)
            return True
        except HostError as error:
            row.heard(str(error))
            return False
        finally:
            requests = link.statistics.sent - link.statistics.resent - before
            row.took(link.now() - begun, SLACK + max(1, requests) * link.patience)

    def frames_at_fault(
        self,
        row: Row,
        line: FaultyTransport | FaultyEthernet,
        rate: float,
        frames: int,
        *,
        load: bool = True,
        timeout: float = TIMEOUT,
    ) -> None:
        """Frames on a bad line, the program's upload too if asked, and after each error a frame on a sound one."""
        device = self.device(line, upload=True, timeout=timeout)
        if not load:
            device.load_program(self.program, "the program")
        for number in range(frames):
            line.rate = rate
            action = self.loaded if load and number == 0 else self.exact
            done = self.attempt(row, device, partial(action, device))
            line.rate = 0.0
            if not done:
                self.recover(row, device)
        self.recover(row, device, load=False)
        row.faults = line.faults
        row.require(row.faults > 0, "there was no fault")
        row.require(row.exact > row.errors, "most frames should have been labelled")

    def recover(self, row: Row, device: BoardOnALine, *, load: bool = True) -> None:
        """The next frame on a line that is sound again must be exact."""
        try:
            if load:
                device.load_program(self.program, "the program")
            right = self.exact(device)
        except HostError as error:
            row.problems.append(f"the next frame: {error}")
            right = False
        row.recovered, row.not_recovered = row.recovered + right, row.not_recovered + (not right)


Case = Callable[[Bench, bool], Row]
"""A fault, tried; the flag asks for few frames."""
