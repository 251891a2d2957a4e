"""Runs a frame of a program on the emulated board and compares every tensor with the reference.

python -m sim.emulator.check PROGRAM --model MODEL
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console

from firmware.program_file import load_program
from sim.emulator.board import Board
from sim.emulator.profiles import PROFILES
from sim.reference.errors import UserError, exit_status
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import load_model

__all__ = ["differences"]

DIFFERENT = 1  # exit status


def differences(
    model: IntegerVit, image: npt.NDArray[np.int8], tensors: dict[str, npt.NDArray[np.int64]]
) -> tuple[int, list[str]]:
    """How many integers were compared, and a sentence for each tensor that differs, in the order of the graph."""
    expected = model.run(image[None].astype(np.int64), capture=[name for name in tensors if name != model.graph.source])
    order = [node.name for node in model.graph.nodes]
    compared, found = 0, []
    for name in sorted(expected, key=order.index):
        wanted = np.atleast_2d(expected[name][0])
        got = tensors[name][: len(wanted), : wanted.shape[1]]
        compared += wanted.size
        places = np.argwhere(got != wanted)
        if len(places):
            row, column = places[0]
            found.append(
                f"{name}: {len(places)} of {wanted.size} integers differ, the first at row {row}, column {column}: "
                f"{got[row, column]} instead of {wanted[row, column]}"
            )
    return compared, found


def run(arguments: argparse.Namespace) -> int:
    """One frame of a seeded random image; 0 when all is equal, 1 when not."""
    program, model = load_program(arguments.program), IntegerVit(load_model(arguments.model))
    if arguments.image is None:
        side = model.model.shape.image
        image = np.random.default_rng(arguments.seed).integers(-128, 128, (3, side, side)).astype(np.int8)
    else:
        image = program.quantised(program.preprocessing.load(arguments.image)[None])[0]
    if arguments.memory not in PROFILES:
        raise UserError(f"--memory must be one of {', '.join(PROFILES)}, not {arguments.memory!r}.")
    console = Console(stderr=True)
    with console.status("building and running the emulated board"), Board(program, arguments.memory) as board:
        frame = board.run(image)
        compared, found = differences(model, image, board.tensors())
    if arguments.json:
        print(json.dumps({"cycles": frame.cycles, "compared": compared, "differences": found, **frame.counters}))
    else:
        print(f"{frame.cycles:,} cycles; {compared:,} integers of {len(program.homes) - 1} tensors compared")
        for sentence in found:
            print(sentence)
        print("different" if found else "all equal")
    return DIFFERENT if found else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m sim.emulator.check", description=(__doc__ or "").splitlines()[0])
    result.add_argument("program", type=Path, metavar="PROGRAM", help="program file")
    result.add_argument("--model", type=Path, required=True, metavar="MODEL", help="the model it was compiled from")
    result.add_argument("--image", type=Path, metavar="FILE", help="an image, instead of a random one")
    result.add_argument("--seed", type=int, default=1, metavar="N", help="of the random image")
    result.add_argument("--memory", default="arty_a7", metavar="PROFILE", help=f"one of {', '.join(PROFILES)}")
    result.add_argument("--json", action="store_true", help="print the result as JSON")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
