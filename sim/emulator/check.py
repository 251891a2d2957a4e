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
from rich.console import Console

from firmware.compiler.compiler import compile_graph
from firmware.program.file import load_program
from sim.emulator.board import Board
from sim.emulator.exactness import compare
from sim.emulator.memories import MEMORY_HELP, memory_option
from sim.reference.errors import UserError, exit_status
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import load_model

DIFFERENT = 1  # exit status


def run(arguments: argparse.Namespace) -> int:
    """One frame of a seeded random image; 0 when all is equal, 1 when not."""
    program, model = load_program(arguments.program), IntegerVit(load_model(arguments.model))
    if arguments.image is None:
        side = model.model.shape.image
        image = np.random.default_rng(arguments.seed).integers(-128, 128, (3, side, side)).astype(np.int8)
    else:
        image = program.quantised(program.preprocessing.load(arguments.image)[None])[0]
    memory_option(arguments.memory)
    console = Console(stderr=True)
    with console.status("building and running the emulated board"), Board(program, arguments.memory) as board:
        compiled = compile_graph(model.graph, program.config, model.model.shape.image)
        if not np.array_equal(compiled.words, program.words):
            raise UserError(f"{arguments.program} is not what {arguments.model} compiles to; compile the model again.")
        frame = board.run(image, watch=True)
        result = compare(model, compiled, image, board.tensors(), board.watched(compiled))
    found, compared = result.different, result.integers
    if arguments.json:
        print(
            json.dumps(
                {
                    "cycles": frame.cycles,
                    "tensors": result.tensors,
                    "compared": compared,
                    "differences": found,
                    **frame.counters,
                }
            )
        )
    else:
        print(f"{frame.cycles:,} cycles; {compared:,} integers of {result.tensors} tensors compared")
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
    result.add_argument("--memory", default="arty_a7", metavar="PROFILE", help=MEMORY_HELP)
    result.add_argument("--json", action="store_true", help="print the result as JSON")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
