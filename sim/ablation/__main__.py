"""The paper's Table 2 again, in accuracy and in hardware, with sweeps of the arithmetic's parameters.

python -m sim.ablation [VARIANT...] MODEL --weights FILE --images DIR --labels CSV [--cycles] [--units]
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from firmware.comparison import read_labels
from firmware.float_model import FloatArray
from firmware.weights import checked_weights, load_arrays
from gateware.config import ALIASES, PRESETS, ConfigError, config
from hw.units.errors import UnitsError
from sim.ablation.accuracy import FLOAT, Images, comparisons, logits
from sim.ablation.cycles import frame_cycles
from sim.ablation.hardware import unit_cost
from sim.ablation.page import UNITS_OF_BASE, page
from sim.ablation.results import DOCS, Row, merged, read, write
from sim.ablation.variants import Variant, named, variant_arithmetic
from sim.reference.errors import UserError, exit_status
from sim.reference.model_file import IntegerModel, load_model
from sim.reference.preprocess import image_files

__all__ = ["main"]

STORE = Path(__file__).resolve().parents[2] / "build" / "ablation"


def accuracy(
    arguments: argparse.Namespace, model: IntegerModel, rows: dict[str, Row], variants: Sequence[Variant]
) -> None:
    """Fills the rows' accuracy from labelled images."""
    if arguments.weights is None or arguments.labels is None:
        raise UserError("--images needs --labels CSV and --weights FILE, the float model's, beside it.")
    shape = model.shape
    weights: dict[str, FloatArray] = checked_weights(
        load_arrays(arguments.weights), shape.weight_shapes(), arguments.weights
    )
    stop = None if arguments.limit is None else arguments.skip + arguments.limit
    files = image_files(arguments.images)[arguments.skip : stop]
    if not files:
        raise UserError(f"--skip {arguments.skip} leaves no image of {arguments.images}; take a smaller number.")
    images = Images(tuple(files), read_labels(arguments.labels, files, shape.classes))
    names = {variant.name: variant_arithmetic(arguments.arithmetic, variant).name for variant in variants}
    found = logits(arguments.model, weights, images, [FLOAT, *names.values()], arguments.store, arguments.processes)
    for name, result in comparisons(found, images.labels).items():
        for variant in (key for key, value in names.items() if value == name):
            row = rows[variant]
            row.images, row.top1, row.float_top1 = result.images, result.integer_top1, result.float_top1
            row.agreement, row.divergence = result.agreement, result.divergence


def cost(arguments: argparse.Namespace, model: IntegerModel, row: Row, variant: Variant) -> None:
    """Fills a row's cycles and units."""
    arithmetic = variant_arithmetic(arguments.arithmetic, variant)
    try:
        config(arguments.board).with_arithmetic(arithmetic)
    except ConfigError:
        return  # no machine has it: only its accuracy is known
    if arguments.cycles or arguments.emulate:
        row.cycles = frame_cycles(model, arithmetic, arguments.board, arguments.emulate)
        row.cycles_from, row.board = ("emulated" if arguments.emulate else "predicted"), arguments.board
    units = [variant.unit] if variant.unit else list(UNITS_OF_BASE) if variant.name == "base" else []
    for part in arguments.parts if arguments.units else []:
        for unit in units:
            if part == "xc7" or not unit.startswith("array"):
                row.units.append(unit_cost(unit, part, arithmetic, arguments.fmax))


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints, and with --docs rewrites the page; 0."""
    if arguments.skip < 0 or (arguments.limit is not None and arguments.limit < 1) or arguments.processes < 1:
        raise UserError("--skip must be at least 0, --limit and --processes at least 1.")
    if arguments.board not in (*PRESETS, *ALIASES):
        raise UserError(f"--board must be one of {', '.join(sorted([*PRESETS, *ALIASES]))}, not {arguments.board!r}.")
    try:
        variants = named(arguments.variants)
    except ValueError as error:
        raise UserError(f"{error}.") from error
    model = load_model(arguments.model)
    command = "python -m sim.ablation " + shlex.join(sys.argv[1:] if arguments.argv is None else arguments.argv)
    name = arguments.name or arguments.model.stem
    rows = {
        variant.name: Row(name, arguments.arithmetic, variant.name, command=command.replace(" --docs", ""))
        for variant in variants
    }
    errors = Console(stderr=True)
    if arguments.images is not None:
        accuracy(arguments, model, rows, variants)
    for variant in variants:
        if errors.is_terminal and (arguments.cycles or arguments.emulate or arguments.units):
            errors.print(f"{variant.name}", style="dim", highlight=False)
        try:
            cost(arguments, model, rows[variant.name], variant)
        except UnitsError as error:
            raise UserError(f"{variant.name}: {error}.") from error
    if arguments.docs:
        path = DOCS / "ablation.json"
        known = merged(read(path), list(rows.values()))
        write(path, known)
        page(known, DOCS)
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows.values()]))
        return 0
    for row in rows.values():
        print(_line(row))
    return 0


def _line(row: Row) -> str:
    cells = [f"{row.model}, {row.base}, {row.variant}"]
    if row.images:
        cells.append(f"top-1 {row.top1:.2%} (float {row.float_top1:.2%}), same {row.agreement:.2%}")
        cells.append(f"KL {row.divergence:.4f}, {row.images} images")
    if row.cycles is not None:
        cells.append(f"{row.cycles:,} cycles {row.cycles_from} on {row.board}")
    for unit in row.units:
        clock = "" if unit.fmax is None else f", {unit.fmax:.0f} MHz"
        cells.append(f"{unit.unit} on {unit.part}: {unit.lut} LUT, {unit.ff} FF, {unit.dsp} DSP, "
                     f"{unit.block_ram:g} BRAM{clock}")  # fmt: skip
    return "; ".join(cells)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m sim.ablation", description=(__doc__ or "").splitlines()[0])
    add = result.add_argument
    add("model", type=Path, metavar="MODEL", help="integer model file")
    add("variants", nargs="*", metavar="VARIANT", help="base, poly-softmax, multiplier-bits=12, ...; all by default")
    add("--name", metavar="NAME", help="what the table calls the model")
    add("--arithmetic", choices=("lean", "official"), default="lean", help="what is varied (default: %(default)s)")
    add("--weights", type=Path, metavar="FILE", help="the float weights that the model was made from")
    add("--images", type=Path, metavar="DIR", help="measure the accuracy on these")
    add("--labels", type=Path, metavar="CSV", help="columns file and label")
    add("--skip", type=int, default=0, metavar="N", help="leave out the first N images in name order")
    add("--limit", type=int, metavar="N", help="only N images")
    add("--processes", type=int, default=1, metavar="N", help="default: %(default)s")
    add("--store", type=Path, default=STORE, metavar="DIR", help="finished images are kept here; a run can be resumed")
    add("--cycles", action="store_true", help="predict the cycles of a frame")
    add("--emulate", action="store_true", help="count them in the emulated board, which is built first")
    add("--board", default="arty_a7_35", metavar="BOARD", help="default: %(default)s")
    add("--units", action="store_true", help="synthesise the unit that a variant changes")
    add("--parts", nargs="+", choices=("xc7", "ecp5"), default=["xc7", "ecp5"], help="for --units; both by default")
    add("--fmax", action="store_true", help="with --units: place and route on ecp5")
    output = result.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print the rows as JSON")
    output.add_argument("--docs", action="store_true", help="bring docs/ablation.md and .json up to date")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    options = parser().parse_args(arguments)
    options.argv = None if arguments is None else list(arguments)
    return exit_status(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
