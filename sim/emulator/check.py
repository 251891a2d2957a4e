"""Runs a frame of a program on the emulated board and compares every tensor with the reference.

python -m sim.emulator.check PROGRAM --model MODEL
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from firmware.compiler.compiler import compile_graph
from firmware.compiler.schedule.cost import predict
from firmware.program.file import load_program
from sim.emulator.memories import MEMORY_HELP, memory_option
from sim.emulator.timings import Checked, check_under, memory_of, random_memories
from sim.reference.errors import UserError, exit_status
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import load_model

DIFFERENT = 1  # exit status


def run(arguments: argparse.Namespace) -> int:
    """A frame of a seeded random image for each memory; 0 when all is equal, 1 when not."""
    program = load_program(arguments.program)
    model = IntegerVit(load_model(arguments.model), list(program.outputs))
    if arguments.image is None:
        side = model.model.shape.image
        image = np.random.default_rng(arguments.seed).integers(-128, 128, (3, side, side)).astype(np.int8)
    else:
        image = program.quantised(program.preprocessing.load(arguments.image)[None])[0]
    chosen = [memory_option(memory) for memory in arguments.memory]
    compiled = compile_graph(model.graph, program.config, model.model.shape.image)
    if not np.array_equal(compiled.words, program.words):
        raise UserError(f"{arguments.program} is not what {arguments.model} compiles to; compile the model again.")
    cycles = predict(program.config, compiled.operations).cycles
    memories = chosen or [memory_of(program.board), *random_memories(cycles)]
    results: list[Checked] = []
    console = Console(stderr=True)
    for memory in memories:
        with console.status(f"building and running the emulated board with the memory {memory}"):
            results.append(check_under(memory, program, model, compiled, image))
    if arguments.json:
        print(json.dumps(_values(results)))
    else:
        for sentence in _sentences(results):
            print(sentence)
    return DIFFERENT if any(result.different for result in results) else 0


def _values(results: Sequence[Checked]) -> dict[str, Any]:
    """Plain values: cycles and counters of the first memory's frame, differences of all."""
    first = results[0]
    return {
        **(first.frame.counters if first.frame else {}),
        "cycles": first.frame.cycles if first.frame else None,
        "tensors": first.comparison.tensors,
        "compared": sum(result.comparison.integers for result in results),
        "memories": {result.memory: result.frame.cycles if result.frame else None for result in results},
        "differences": [sentence for result in results for sentence in result.different],
    }


def _sentences(results: Sequence[Checked]) -> Iterator[str]:
    """Lines of text."""
    for result in results:
        if result.frame is not None:
            yield (
                f"{result.memory}: {result.frame.cycles:,} cycles; {result.comparison.integers:,} integers of "
                f"{result.comparison.tensors} tensors compared"
            )
        yield from result.different
    names = ", ".join(result.memory for result in results)
    wrong = ", ".join(result.memory for result in results if result.different)
    yield f"different with the memory {wrong}" if wrong else f"all equal with the memory {names}"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m sim.emulator.check", description=(__doc__ or "").splitlines()[0])
    result.add_argument("program", type=Path, metavar="PROGRAM", help="program file")
    result.add_argument("--model", type=Path, required=True, metavar="MODEL", help="the model it was compiled from")
    result.add_argument("--image", type=Path, metavar="FILE", help="an image, instead of a random one")
    result.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the random image")
    result.add_argument(
        "--memory",
        action="append",
        default=[],
        metavar="PROFILE",
        help=f"{MEMORY_HELP}; may be given again; by default the board's own, and two random ones if a frame is short",
    )
    result.add_argument("--json", action="store_true", help="print the result as JSON")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
