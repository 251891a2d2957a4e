"""The device `sim`: the emulated board behind its link, cycle for cycle what the gateware does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from firmware.program.log import Layer
from firmware.program.program import Program
from gateware.config import BEAT_BYTES, AcceleratorConfig, ConfigError, config
from gateware.machine import Machine
from host.command.errors import HostError, reason
from host.devices.base import Answer, Device, LoadedModel
from host.devices.compiled import program_of_file
from host.devices.emulated_link import EmulatedLink
from host.devices.linked import LinkedDevice
from host.devices.prediction import Prediction
from host.link.connection import Connection
from host.link.device_info import DeviceInfo
from sim.emulator.emulation import Emulation
from sim.emulator.profiles import PROFILES

__all__ = ["EmulatedDevice", "LinkedBoard", "emulated_machine"]

DEFAULT_BOARD = "arty_a7"
DEFAULT_MEMORY = "arty_a7"  # of configurations that are no board


def emulated_machine(machine: AcceleratorConfig) -> Emulation:
    """A machine with all of its memory, timed as its board's; a configuration that is no board gets the Arty's.

    Raises
    ------
    HostError : it cannot be built, or there is no room for it
    """
    memory = machine.name if machine.name in PROFILES else DEFAULT_MEMORY
    try:
        return Emulation(Machine(machine, observed=True), BEAT_BYTES << machine.address_bits, memory)
    except RuntimeError as error:  # what building, Verilator and the emulator raise
        raise HostError(f"The emulated board {machine.name} cannot be opened: {reason(error)}.") from error


@dataclass(frozen=True)
class _Choice:
    """`BOARD[,baud=N][,upload]`."""

    board: str
    baud: int | None
    upload: bool


def _choice(argument: str) -> _Choice:
    board, *options = argument.split(",")
    baud, upload = None, False
    for option in options:
        name, _, value = option.partition("=")
        if option == "upload":
            upload = True
        elif name == "baud" and value.isdecimal() and 1200 <= int(value) <= 10**9:
            baud = int(value)
        else:
            raise HostError(
                f"The emulated board has no option {option!r}: write sim:BOARD, and behind it ,baud=N (1200 and more) "
                "or ,upload where they are wanted."
            )
    return _Choice(board or DEFAULT_BOARD, baud, upload)


class EmulatedDevice(Device):
    """Runs programs, and models by compiling them first, on an emulated board.

    Everything but the program's upload goes over the emulated link; the program too, if asked. The argument is
    `BOARD[,baud=N][,upload]`: without a rate the link carries a byte a cycle.

    Raises
    ------
    HostError : the argument names no board or no option
    """

    def __init__(self, argument: str) -> None:
        super().__init__(f"sim:{argument}" if argument else "sim")
        self._choice = _choice(argument)
        try:
            self._name = config(self._choice.board).name
        except ConfigError as error:
            raise HostError(f"{error}.") from error
        self._given = bool(argument)
        self._linked: LinkedDevice | None = None

    def load_file(self, program: Path) -> LoadedModel:
        compiled = program_of_file(program, lambda arithmetic: config(self._name, arithmetic))
        if self._given and compiled.board != self._name:
            raise HostError(
                f"{program} was compiled for {compiled.board}, and the device is {self.spec}: use --device "
                f"sim:{compiled.board}, or compile it for {self._name}."
            )
        return self._start(compiled.config).load_program(compiled, str(program))

    def _start(self, machine: AcceleratorConfig) -> LinkedDevice:
        """A fresh board of that configuration behind its link."""
        self.close()
        emulation = emulated_machine(machine)
        link = EmulatedLink(emulation, machine.clock_mhz, self._choice.baud)
        self._linked = LinkedBoard(self.spec, emulation, Connection(link), self._choice.upload)
        self.clock_mhz = machine.clock_mhz
        return self._linked

    def info(self) -> DeviceInfo:
        return self._any().info()

    def link(self) -> Connection:
        return self._any().link()

    def _any(self) -> LinkedDevice:
        """The board; where no program has chosen an arithmetic yet, in the configuration's own."""
        return self._linked or self._start(config(self._name))

    def layers(self) -> list[Layer]:
        return self._open().layers()

    def run(self, images: npt.NDArray[np.int8]) -> Sequence[Answer]:
        return self._open().run(images)

    def stream(self, images: Iterable[Image.Image]) -> Iterator[Prediction]:
        return self._open().stream(images)

    def _open(self) -> LinkedDevice:
        if self._linked is None:
            raise HostError(f"The device {self.spec} has no program yet: load one first.")
        return self._linked

    def close(self) -> None:
        if self._linked is not None:
            self._linked.close()
            self._linked = None


class LinkedBoard(LinkedDevice):
    """An emulated board behind its link, whose memory has a back door; programs go over the link only if asked."""

    def __init__(self, spec: str, emulation: Emulation, connection: Connection, through_link: bool) -> None:
        super().__init__(spec, connection)
        self._emulation, self._through_link = emulation, through_link

    def upload(self, program: Program) -> None:
        if self._through_link:
            super().upload(program)
            return
        for base, content in program.pieces():
            self._emulation.write_memory(base, content)

    def close(self) -> None:
        super().close()
        self._emulation.close()
