"""The constants that bring up a device's memory: the `dram.json` that hw.build wrote beside the bitstream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from firmware.dram.initialisation import FILE_NAME, Initialisation
from gateware.config import ALIASES
from gateware.link.packets import Identity, Status
from host.command.errors import HostError, reason
from host.dram.leveling import Eye, Lane, LevelingError, bring_up
from host.link.connection import Connection
from host.link.device_info import configuration
from host.link.errors import RequestRefused
from sim.reference.errors import UserError

__all__ = ["BUILDS", "awake", "constants_of", "initialise", "memory_answers"]

BUILDS = Path(__file__).resolve().parents[2] / "build" / "boards"
"""Where hw.build puts a folder for each board."""
LARGEST = 1 << 20  # bytes; such a file has some ten thousand


def constants_of(identity: Identity, folder: Path | None = None) -> Initialisation:
    """What hw.build wrote into `folder`, or by default into that of the board with the identity's fingerprint.

    Raises
    ------
    HostError : there is no such folder or file, or the file is not what hw.build writes
    """
    folders = [folder] if folder else _folders(identity)
    path = next((candidate / FILE_NAME for candidate in folders if (candidate / FILE_NAME).is_file()), None)
    if path is None:
        raise HostError(_absence(identity, folder, folders))
    try:
        if path.stat().st_size > LARGEST:
            raise HostError(f"{path} has more than {LARGEST} bytes and is no file of DRAM constants: build again.")
        return Initialisation.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, UserError) as error:
        raise HostError(f"Cannot use {path}: {reason(error)}.") from error


def _absence(identity: Identity, folder: Path | None, folders: list[Path]) -> str:
    if folder:
        return f"There is no {FILE_NAME} in {folder}: name the folder that hw.build wrote with --build."
    if folders:
        where = " or ".join(str(candidate) for candidate in folders)
        return f"The memory is to be brought up, and its constants are not in {where}: build that board with hw.build."
    return (
        f"The memory is to be brought up, and no board of this release has the fingerprint {identity.fingerprint:08x}: "
        "run host.bringup with --build and the folder that hw.build wrote."
    )


def _folders(identity: Identity) -> list[Path]:
    """Where the builds of the board with that fingerprint lie: under its name, or an alias of it."""
    found = configuration(identity.fingerprint)
    if found is None:
        return []
    return [BUILDS / name for name in (found.name, *(alias for alias, name in ALIASES.items() if name == found.name))]


def initialise(
    connection: Connection, constants: Initialisation, seen: Callable[[Eye], None] = lambda eye: None
) -> tuple[Lane, ...]:
    """`bring_up` over the link.

    Raises
    ------
    HostError : a byte lane cannot be leveled; the device has no memory controller; the link fails
    """
    try:
        return bring_up(connection, constants, connection.pause, seen)
    except LevelingError as error:
        raise HostError(f"The memory cannot be brought up: {error}") from error
    except RequestRefused as error:
        if error.status in (Status.CONTROL_TIMEOUT, Status.CONTROL_ERROR):
            raise HostError(
                "The device has no memory controller on its control port, or not the one that the constants belong to: "
                "bring up a board that hw.build made, with the constants of that build."
            ) from error
        raise


def memory_answers(connection: Connection) -> bool:
    """Whether memory can be read. Before it is brought up, its port accepts nothing."""
    try:
        connection.read(0, 1)
    except RequestRefused as error:
        if error.status == Status.MEMORY_TIMEOUT:
            return False
        raise
    return True


def awake(connection: Connection) -> None:
    """Brings up the memory if that has not been done since power-on.

    Raises
    ------
    HostError : it cannot be; the sentence says why
    """
    if not memory_answers(connection):
        initialise(connection, constants_of(connection.identity))
