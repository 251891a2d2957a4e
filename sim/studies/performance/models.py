"""What each model of the paper takes on each board: predicted by the compiler's cost model, measured where it was run.

python -m sim.bench.models [NAME...] [--measure] [--docs] [--accuracy FILE...]
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from firmware.compiler.compiler import compile_graph
from firmware.compiler.errors import CompileError
from firmware.compiler.schedule.cost import predict
from firmware.quantiser.post_training import integer_tensors
from firmware.quantiser.random_model import random_model, random_weights
from gateware.config import BEAT_BYTES, config
from sim.emulator.profiles import PROFILES
from sim.reference.architecture import NAMES, parse_architecture, spelled_out
from sim.reference.arithmetic import LEAN
from sim.reference.errors import UserError, exit_status
from sim.reference.graph import Graph
from sim.reference.integer_vit import IntegerVit, model_graph
from sim.reference.model_shape import ModelShape
from sim.reference.scales import activation_scale
from sim.studies.performance.brought import BROUGHT
from sim.studies.performance.measure import dsp, measure
from sim.studies.performance.model_page import models_table, refusals, write_page
from sim.studies.performance.tables import console
from sim.studies.performance.workloads import MEMORY, RANDOM, Workload, random_image

BOARDS = ("arty_a7_35", "arty_a7_100", "ulx3s_85f", "asic")
SEED = 1
REACH = 4.0
"""Of every activation: cycles and memory do not depend on scales, so nothing is calibrated."""


def random_graph(shape: ModelShape) -> Graph:
    """A graph of random weights with scales that nothing was calibrated for: to be compiled, not to be run."""
    scales = {activation.name: activation_scale(REACH, activation.bits) for activation in shape.activations()}
    return model_graph(shape, integer_tensors(shape, random_weights(shape, np.random.default_rng(0)), scales), LEAN)


def on_board(graph: Graph, shape: ModelShape, board: str) -> dict[str, Any]:
    """Predicted cycles, frames a second and memory, or the sentence with which the compiler refuses."""
    machine = config(board, LEAN.name)
    try:
        compiled = compile_graph(graph, machine, shape.image)
    except CompileError as error:
        return {"refused": str(error)}
    cycles = predict(machine, compiled.operations).cycles
    return {
        "cycles": round(cycles),
        "frames_per_second": round(machine.clock_mhz * 1e6 / cycles, 2),
        "macs_per_dsp_cycle": round(shape.macs() / dsp(machine) / cycles, 4),
        "dram_bytes": compiled.beats * BEAT_BYTES,
    }


@functools.cache
def on_boards(shape: ModelShape) -> dict[str, dict[str, Any]]:
    """The same for each board; once for models of the same dimensions."""
    graph = random_graph(shape)
    return {board: on_board(graph, shape, board) for board in BOARDS}


def model_row(name: str) -> dict[str, Any]:
    """Everything that is told of a model, by its timm name."""
    shape = parse_architecture(name)
    sizes = {"parameters": shape.parameters(), "macs": shape.macs()}
    return {"model": name, "architecture": spelled_out(shape), **sizes, "boards": on_boards(shape)}


def measured(row: dict[str, Any], progress: Console) -> list[str]:
    """Runs a frame of random weights on each board that holds the model and enters its cycles; a sentence for each
    tensor that differs from the reference.
    """
    shape = parse_architecture(row["model"])
    model = IntegerVit(random_model(shape, LEAN.name, np.random.default_rng(SEED)))
    workload = Workload(row["model"], model, random_image(model.model, SEED), f"{RANDOM}{row['model']}")
    different: list[str] = []
    for board, one in row["boards"].items():
        if "refused" not in one:
            machine = config(board, LEAN.name).with_probabilities(shape.softmax_bits)
            with progress.status(f"{row['model']} on {board}"):
                found = measure(workload, machine, board if board in PROFILES else MEMORY)
            one["measured"] = found.row["cycles"]
            different += [f"{row['model']} on {board}: {sentence}" for sentence in found.different]
    return different


def read_accuracy(path: Path) -> dict[str, Any]:
    """What `firmware.compare --json` printed."""
    try:
        row = json.loads(path.read_text())
        return {key: row[key] for key in ("architecture", "arithmetic", "images", "float_top1", "integer_top1")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not what firmware.compare --json prints ({type(error).__name__}: {error})."
        ) from error


def run(arguments: argparse.Namespace) -> int:
    """Compiles each model for each board, and runs it if asked; 0, or 1 where a tensor differs."""
    accuracy = [read_accuracy(path) for path in arguments.accuracy]
    for name in arguments.names:
        parse_architecture(name)
    progress, rows = Console(stderr=True), []
    named = [one.small for one in BROUGHT] if arguments.measure else [*NAMES, *(one.published for one in BROUGHT)]
    names = arguments.names or ([] if accuracy else list(dict.fromkeys(named)))
    different: list[str] = []
    for name in names:
        with progress.status(name):
            rows.append(model_row(name))
        if arguments.measure:
            different += measured(rows[-1], progress)
    for sentence in different:
        progress.print(sentence, markup=False, highlight=False)
    if different:
        return 1
    if arguments.docs:
        write_page(rows, accuracy)
    if arguments.json:
        print(json.dumps(rows))
    elif rows:
        output = console()
        output.print(models_table(rows, BOARDS))
        for sentence in refusals(rows):
            output.print(sentence, markup=False, highlight=False)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m sim.bench.models", description=(__doc__ or "").splitlines()[0])
    result.add_argument("names", nargs="*", metavar="NAME", help="timm names or dimensions; all known ones by default")
    result.add_argument(
        "--measure",
        action="store_true",
        help="run a frame on each emulated board; without NAME, small models of each kind",
    )
    result.add_argument("--docs", action="store_true", help="bring docs/models.md, its JSON and pictures up to date")
    result.add_argument(
        "--accuracy", nargs="+", type=Path, default=[], metavar="FILE", help="outputs of firmware.compare --json"
    )
    result.add_argument("--json", action="store_true", help="print the rows as JSON")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))
