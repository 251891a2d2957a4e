"""Runs whole networks on the emulated board and tells what they take.

python -m sim.bench [digits | MODEL | random:ARCH]... [--board BOARD] [--arithmetic NAME]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from firmware.quantiser.random_model import random_model
from gateware.config import ALIASES, PRESETS, ConfigError, changed, config
from sim.emulator.memories import MEMORY_HELP, memory_option
from sim.reference.architecture import parse_architecture
from sim.reference.errors import UserError, exit_status
from sim.reference.integer_vit import IntegerVit
from sim.studies.performance.measure import Measurement, measure
from sim.studies.performance.model_page import write_page
from sim.studies.performance.pictures import draw
from sim.studies.performance.tables import console, layers_table, rows_table, write
from sim.studies.performance.workloads import MEMORY, RANDOM, Workload, from_file, random_image, shipped

SEED = 1


def workload(name: str, arguments: argparse.Namespace) -> Workload:
    """What a name on the command line stands for."""
    image = arguments.image
    suffix = "" if arguments.name is None else f" --name {arguments.name}"
    suffix += "" if image is None else f" --image {image}"
    if name == "digits":
        found = shipped(arguments.arithmetic, image, SEED)
    elif name.startswith(RANDOM):
        shape = parse_architecture(name.removeprefix(RANDOM))
        model = random_model(shape, arguments.arithmetic or "lean", np.random.default_rng(SEED))
        found = Workload(arguments.name or name, IntegerVit(model), random_image(model, SEED), name + suffix)
    else:
        path = Path(name)
        found = from_file(path, arguments.name or path.stem, arguments.arithmetic, image, SEED, name + suffix)
    return found


def run(arguments: argparse.Namespace) -> int:
    """Measures each workload; 0, or 1 when a tensor differs."""
    if arguments.memory is not None:
        memory_option(arguments.memory)
    if arguments.docs and any(not text.startswith("pump=") for text in arguments.set):
        raise UserError("--docs takes the boards as they are, without --set but of pump; leave one of the two out.")
    if arguments.pictures is not None and not arguments.pictures.is_dir():
        raise UserError(f"--pictures: {arguments.pictures} is not a folder; make it first.")
    output, progress = console(), Console(stderr=True)
    results: list[Measurement] = []
    for name in arguments.workloads or ["digits"]:
        chosen = workload(name, arguments)
        try:
            model = chosen.model.model
            base = config(arguments.board, model.arithmetic).with_probabilities(model.shape.softmax_bits)
            machine = changed(base, arguments.set)
        except ConfigError as error:
            raise UserError(f"{error}.") from error
        with progress.status(f"{name} on {machine.name}, {machine.arithmetic.name}"):
            result = measure(chosen, machine, arguments.memory or MEMORY, thorough=arguments.memory is None)
        results.append(result)
        if not arguments.json:
            if arguments.layers:
                output.print(layers_table(result.frame))
            for sentence in result.different:
                output.print(sentence)
        if arguments.pictures is not None:
            draw(arguments.pictures, result)
    rows = [result.row for result in results]
    if arguments.docs:
        write(rows)
        write_page([], [])  # what was measured stands on the page of models too
    if arguments.json:
        print(json.dumps(rows))
    else:
        output.print(rows_table(rows))
        for row in rows:
            output.print(f"{row['model']}: compared with the memory {', '.join(row['memories_compared'])}")
    return 1 if any(result.different for result in results) else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m sim.bench", description=(__doc__ or "").splitlines()[0])
    result.add_argument(
        "workloads",
        nargs="*",
        metavar="MODEL",
        help="digits (the shipped model, the default), an integer model file, or random:ARCH",
    )
    known = ", ".join(sorted([*PRESETS, *ALIASES]))
    result.add_argument("--board", default="arty_a7_35", metavar="BOARD", help=f"one of {known}")
    result.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a number of the board's configuration"
    )
    result.add_argument("--arithmetic", choices=("lean", "official"), help="instead of the model's own")
    result.add_argument("--image", type=Path, metavar="FILE", help="an image, instead of a random one")
    result.add_argument("--name", metavar="NAME", help="what the table calls the model")
    result.add_argument(
        "--memory",
        metavar="PROFILE",
        help=f"{MEMORY_HELP}; by default {MEMORY}, and if a frame is short two random ones to compare with",
    )
    result.add_argument("--layers", action="store_true", help="print each layer's cycles and stalls")
    result.add_argument(
        "--docs", action="store_true", help="bring docs/performance.md, .json and docs/models.md up to date"
    )
    result.add_argument("--pictures", type=Path, metavar="DIR", help="draw timeline and roofline into this folder")
    result.add_argument("--json", action="store_true", help="print the rows as JSON")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))
