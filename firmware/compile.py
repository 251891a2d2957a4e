"""Compiles an integer model for a board.

python -m firmware.compile MODEL --board BOARD -o PROGRAM
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from firmware.compiler.compiled import program_of
from firmware.compiler.compiler import compile_graph
from firmware.compiler.report import layer_report, print_report
from firmware.program.file import save_program
from gateware.config import ALIASES, PRESETS, ConfigError, changed, config
from sim.reference.errors import UserError, exit_status
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import load_model
from sim.reference.outputs import OUTPUTS

# Commands of their own: neither simulation nor parts belong to this room.
CHECK = "sim.emulator.check"
EXPLORE = "hw.explore"


def run(arguments: argparse.Namespace) -> int:
    """Compiles, writes the program, prints the table of layers; 0, or what the check answers."""
    if arguments.explore is not None:
        command = [sys.executable, "-m", EXPLORE, str(arguments.model), "--part", arguments.explore]
        return _other([*command, *(["--json"] if arguments.json else [])])
    if arguments.board is None or arguments.file is None:
        raise UserError("--board and -o are needed, or --explore PART to see what sizes of the machine would do.")
    if arguments.memory and not arguments.check:
        raise UserError("--memory names what --check runs with; add --check, or leave --memory out.")
    model = IntegerVit(load_model(arguments.model), arguments.outputs)
    try:
        base = config(arguments.board, model.model.arithmetic)
        machine = changed(base.with_probabilities(model.model.shape.softmax_bits), arguments.set)
    except (ConfigError, ValueError) as error:
        raise UserError(f"{error}.") from error
    compiled = compile_graph(model.graph, machine, model.model.shape.image)
    save_program(program_of(model, compiled, machine), arguments.file)
    if machine.official_softmax_bits != base.official_softmax_bits:
        setting = f"official_softmax_bits={machine.official_softmax_bits}"
        print(
            f"The program has {setting}, which the model needs and {machine.name} has not by itself; a board for it is "
            f"built with `--arithmetic {machine.arithmetic.name} --set {setting}`.",
            file=sys.stderr,
        )
    report = layer_report(compiled, machine)
    if arguments.json:
        print(json.dumps(dataclasses.asdict(report)))
    else:
        print_report(Console(), report)
    if arguments.check:
        command = [sys.executable, "-m", CHECK, str(arguments.file), "--model", str(arguments.model)]
        command += [word for memory in arguments.memory for word in ("--memory", memory)]
        return _other(command)
    return 0


def _other(command: Sequence[str]) -> int:
    """Another command's exit status. Ctrl-C reaches both, and the other one answers it: one sentence is enough."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with subprocess.Popen(command, preexec_fn=_interruptible) as process:
            return process.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def _interruptible() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m firmware.compile", description=(__doc__ or "").splitlines()[0])
    result.add_argument("model", type=Path, metavar="MODEL", help="integer model file")
    known = ", ".join(sorted([*PRESETS, *ALIASES]))
    result.add_argument("--board", metavar="BOARD", help=f"one of {known}")
    result.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="another value of the board's configuration"
    )
    result.add_argument("-o", dest="file", type=Path, metavar="PROGRAM", help="program file to write")
    result.add_argument(
        "--output",
        dest="outputs",
        type=lambda text: text.split(","),
        default=[],
        metavar="KIND[,KIND...]",
        help=f"what the program gives: {'; '.join(f'{kind}: {what}' for kind, what in OUTPUTS.items())}",
    )
    result.add_argument("--json", action="store_true", help="print the table of layers as JSON")
    result.add_argument(
        "--check", action="store_true", help="run frames on the emulated board and compare every tensor"
    )
    result.add_argument(
        "--memory",
        action="append",
        default=[],
        metavar="PROFILE",
        help="with --check: only with this memory of the board, as `python -m sim.emulator.check --help` tells",
    )
    result.add_argument(
        "--explore", metavar="PART", help="compile for no board, but sweep grids and buffers that fit the part"
    )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
