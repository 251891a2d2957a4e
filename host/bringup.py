"""Brings a board's memory up over the link, shows the eyes that leveling found, and tests the memory.

    python -m host.bringup [--device DEVICE] [--build DIR] [--size BYTES] [--seed N] [--test-only | --no-test] [--json]

DIR is the folder that hw.build wrote; by default that of the board which the device says it is. Loading a program
brings the memory up by itself; this command is for a new board, and for one that misbehaves.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from firmware.dram.initialisation import Phy
from host.command.errors import run_command
from host.command.terminal import output, tracker
from host.devices.registry import DEVICES, open_device
from host.dram.constants import constants_of, initialise
from host.dram.leveling import Eye, Lane
from host.dram.memory_test import memory_test
from host.link.connection import Connection
from host.link.device_info import configuration_name

DEFAULT_BYTES = 1 << 20
COLUMNS = ("lane", "writes", "reads", "delays that return what was written", "in a row", "chosen")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m host.bringup", description="Brings a board's memory up and tests it."
    )
    made.add_argument("--device", default="serial", help=f"{', '.join(sorted(DEVICES))} (default: %(default)s)")
    made.add_argument("--build", type=Path, metavar="DIR", help="folder that hw.build wrote (default: the board's)")
    made.add_argument(
        "--size", type=int, default=DEFAULT_BYTES, metavar="BYTES", help="how much to test (default: %(default)s)"
    )
    made.add_argument("--seed", type=int, help="seed of the random bytes (default: another each time; it is printed)")
    part = made.add_mutually_exclusive_group()
    part.add_argument("--test-only", action="store_true", help="the memory is up: only test it")
    part.add_argument("--no-test", action="store_true", help="only bring it up")
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return made


class Eyes:
    """For each alignment of each lane at which anything was right: what the finest search returned."""

    def __init__(self) -> None:
        self.found: dict[tuple[int, int, int], Eye] = {}

    def seen(self, eye: Eye) -> None:
        """Notes the result of a search; a later search is finer."""
        if any(eye.right):
            self.found[eye.lane, eye.write_bitslip, eye.read_bitslip] = eye


def picture(eye: Eye, delays: int) -> str:
    """One character for each tap: `#` right, `.` wrong, a blank if it was not tried."""
    taps = [" "] * delays
    for index, right in enumerate(eye.right):
        taps[index * eye.step] = "#" if right else "."
    return "".join(taps)


def rows(eyes: Eyes, lanes: tuple[Lane, ...], phy: Phy) -> list[tuple[str, ...]]:
    """A row for each alignment, as `COLUMNS`."""
    found: list[tuple[str, ...]] = []
    for (lane, write, read), eye in sorted(eyes.found.items()):
        chosen = lanes[lane] if lane < len(lanes) else None
        here = chosen is not None and (chosen.write_bitslip, chosen.read_bitslip) == (write, read)
        window, delay = (str(chosen.window), f"delay {chosen.delay}") if chosen and here else ("", "")
        found.append((str(lane), str(write), str(read), picture(eye, phy.delays), window, delay))
    return found


def show(eyes: Eyes, lanes: tuple[Lane, ...], phy: Phy) -> None:
    """The eyes: a table on a terminal, lines in a pipe."""
    console = output()
    if not console.is_terminal:
        for row in (COLUMNS, *rows(eyes, lanes, phy)):
            print("\t".join(row))
        return
    table = Table(*COLUMNS, title="eyes: alignments of writes and reads, and the read delays that work")
    for row in rows(eyes, lanes, phy):
        table.add_row(*row, style="bold" if row[-1] else "")
    console.print(table)


def leveled(options: argparse.Namespace, link: Connection) -> dict[str, object]:
    """Brings up the memory and shows the eyes, also if one is missing. Returns the values for `--json`."""
    constants, eyes = constants_of(link.identity, options.build), Eyes()
    lanes: tuple[Lane, ...] = ()
    try:
        lanes = initialise(link, constants, eyes.seen)
    finally:
        if not options.json and constants.phy.leveling and (lanes or eyes.found):
            show(eyes, lanes, constants.phy)
    if not options.json:
        print("memory: up" + ("" if constants.phy.leveling else " (this memory needs no leveling)"))
    return {"lanes": [asdict(lane) for lane in lanes], "eyes": [asdict(eye) for _, eye in sorted(eyes.found.items())]}


def tested(options: argparse.Namespace, link: Connection) -> dict[str, object]:
    """Tests the memory. Returns the values for `--json`."""
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    if not options.json:
        print(f"memory test: {options.size:,} bytes, seed {seed}", flush=True)
    with tracker("bytes") as moved:
        names = memory_test(link, link.identity.memory_bytes, options.size, seed, moved)
    if not options.json:
        print(f"memory test: passed ({'; '.join(names)})")
    return {"bytes": options.size, "seed": seed, "tests": names, "passed": True}


def bringup(options: argparse.Namespace) -> int:
    """The command's body; returns the exit status."""
    with ExitStack() as stack:
        device = stack.enter_context(open_device(options.device))
        link = device.link()
        name = configuration_name(link.identity.fingerprint)
        if not options.json:
            print(f"device: {options.device}, {name or f'fingerprint {link.identity.fingerprint:08x}'}", flush=True)
        found: dict[str, object] = {"device": options.device, "configuration": name}
        if not options.test_only:
            found["leveling"] = leveled(options, link)
        if not options.no_test:
            found["memory_test"] = tested(options, link)
    if options.json:
        print(json.dumps(found, indent=1))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    return run_command(lambda: bringup(options))


if __name__ == "__main__":
    sys.exit(main())
