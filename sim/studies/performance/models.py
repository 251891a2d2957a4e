"""What each model of the paper takes on each board: predicted by the compiler's cost model, measured where it was run.

python -m sim.bench.models [NAME...] [--docs] [--accuracy FILE...]
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
from firmware.quantiser.random_model import random_weights
from gateware.config import BEAT_BYTES, config
from sim.reference.architecture import NAMES, parse_architecture, spelled_out
from sim.reference.arithmetic import LEAN
from sim.reference.errors import UserError, exit_status
from sim.reference.graph import Graph
from sim.reference.integer_vit import model_graph
from sim.reference.model_shape import ModelShape
from sim.reference.scales import activation_scale
from sim.studies.performance.measure import dsp
from sim.studies.performance.model_page import models_table, refusals, write_page
from sim.studies.performance.tables import console

BOARDS = ("arty_a7_35", "arty_a7_100", "ulx3s_85f", "asic")
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
    """Compiles each model for each board; 0."""
    accuracy = [read_accuracy(path) for path in arguments.accuracy]
    for name in arguments.names:
        parse_architecture(name)
    progress, rows = Console(stderr=True), []
    names = arguments.names or ([] if accuracy else list(NAMES))
    for name in names:
        with progress.status(name):
            rows.append(model_row(name))
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
    result.add_argument("--docs", action="store_true", help="bring docs/models.md, its JSON and pictures up to date")
    result.add_argument(
        "--accuracy", nargs="+", type=Path, default=[], metavar="FILE", help="outputs of firmware.compare --json"
    )
    result.add_argument("--json", action="store_true", help="print the rows as JSON")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))
