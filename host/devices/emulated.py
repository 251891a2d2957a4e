"""The device `sim`: the emulated board behind its link, cycle for cycle what the gateware does."""

from __future__ import annotations

from dataclasses import dataclass

from firmware.program.program import Program
from gateware.config import AcceleratorConfig, ConfigError, config
from host.command.errors import HostError, reason
from host.devices.base import LoadedModel
from host.devices.emulated_link import EmulatedLink
from host.devices.ethernet_link import EthernetLink
from host.devices.linked import ConnectedDevice, LinkedDevice
from host.link.connection import Connection
from host.link.transport import Transport
from sim.emulator.emulation import Emulation
from sim.emulator.machine import emulated_machine
from sim.emulator.profiles import PROFILES

__all__ = ["BoardOnALine", "EmulatedDevice", "opened_machine", "through_the_back_door"]

DEFAULT_BOARD = "arty_a7"
DEFAULT_MEMORY = "arty_a7"  # of configurations that are no board
ROUND_TRIP = 0.0002
"""Seconds there and back over a switch, the host's system included."""
MOST_MICROSECONDS = 1_000_000


def opened_machine(configuration: AcceleratorConfig) -> Emulation:
    """A machine with all of its memory, timed as its board's; a configuration that is no board gets the Arty's.

    Raises
    ------
    HostError : it cannot be built, or there is no room for it
    """
    memory = configuration.name if configuration.name in PROFILES else DEFAULT_MEMORY
    try:
        return emulated_machine(configuration, memory)
    except RuntimeError as error:  # what building, Verilator and the emulator raise
        raise HostError(f"The emulated board {configuration.name} cannot be opened: {reason(error)}.") from error


@dataclass(frozen=True)
class _Choice:
    """`BOARD[,baud=N][,ethernet][,upload]`; ``round_trip`` in seconds, of an Ethernet."""

    board: str
    baud: int | None
    round_trip: float | None
    upload: bool


def _choice(argument: str) -> _Choice:
    board, *options = argument.split(",")
    baud, round_trip, upload = None, None, False
    for option in options:
        name, _, value = option.partition("=")
        if option == "upload":
            upload = True
        elif option == "ethernet":
            round_trip = ROUND_TRIP
        elif name == "ethernet" and value.isdecimal() and int(value) <= MOST_MICROSECONDS:
            round_trip = int(value) / 1e6
        elif name == "baud" and value.isdecimal() and 1200 <= int(value) <= 10**9:
            baud = int(value)
        else:
            raise HostError(
                f"The emulated board has no option {option!r}: write sim:BOARD, followed by ,baud=N (at least 1200) or "
                ",ethernet or ,ethernet=MICROSECONDS (the round trip), and by ,upload to send the program too."
            )
    return _Choice(board or DEFAULT_BOARD, baud, round_trip, upload)


class EmulatedDevice(LinkedDevice):
    """An emulated board, made when the first program is loaded, for that program's configuration.

    Everything but the program's upload goes over the emulated link; the program too, if asked. The argument is
    `BOARD[,baud=N][,ethernet[=MICROSECONDS]][,upload]`: without any the link carries a byte a cycle.

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
        self._emulation: Emulation | None = None
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """To the board; where no program has chosen an arithmetic yet, to one in the configuration's own."""
        if self._connection is None:
            return self._open(config(self._name))
        return self._connection

    def machine(self, arithmetic: str) -> AcceleratorConfig:
        return config(self._name, arithmetic)

    def load_program(self, program: Program, name: str) -> LoadedModel:
        if self._given and program.board != self._name:
            raise HostError(
                f"{name} was compiled for {program.board}, and the device is {self.spec}: use --device "
                f"sim:{program.board}, or compile it for {self._name}."
            )
        self._open(program.config)
        return super().load_program(program, name)

    def upload(self, program: Program) -> None:
        if self._choice.upload or self._emulation is None:
            super().upload(program)
        else:
            through_the_back_door(self._emulation, program)

    def _open(self, configuration: AcceleratorConfig) -> Connection:
        """A fresh board of that configuration."""
        self.close()
        self._program = None
        self._emulation = opened_machine(configuration)
        self._connection = Connection(self._line(self._emulation, configuration.clock_mhz))
        self.clock_mhz = configuration.clock_mhz
        return self._connection

    def _line(self, emulation: Emulation, clock_mhz: float) -> Transport:
        if self._choice.round_trip is not None:
            return EthernetLink(emulation, clock_mhz, self._choice.round_trip)
        return EmulatedLink(emulation, clock_mhz, self._choice.baud)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        emulation, self._emulation = self._emulation, None
        if connection is not None:
            connection.close()
        if emulation is not None:
            emulation.close()


def through_the_back_door(emulation: Emulation, program: Program) -> None:
    """Writes what memory must hold before a frame straight into the emulated memory, in none of the board's time."""
    for base, content in program.pieces():
        emulation.write_memory(base, content)


class BoardOnALine(ConnectedDevice):
    """An emulated board behind a line, without the emulation, which outlives it.

    Parameters
    ----------
    emulation, connection : of the board
    through_link : whether programs go over the line, or by the back door
    """

    def __init__(self, emulation: Emulation, connection: Connection, through_link: bool) -> None:
        super().__init__("the board", connection)
        self._emulation, self._through_link = emulation, through_link

    def upload(self, program: Program) -> None:
        if self._through_link:
            super().upload(program)
        else:
            through_the_back_door(self._emulation, program)
