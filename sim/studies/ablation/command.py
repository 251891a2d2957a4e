"""The paper's Table 2 again, in accuracy and in hardware, with sweeps of the arithmetic's parameters.

python -m sim.ablation MODEL [VARIANT...] --weights FILE --images DIR --labels CSV --docs
python -m sim.ablation digits --board tiny --emulate --docs
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console

from firmware.checkpoints.checkpoint import load_weights
from firmware.float_models.blocks import FloatArray
from firmware.quantiser.labels import labels_of
from firmware.training import digits
from gateware.config import ALIASES, PRESETS, ConfigError, config
from hw.units.errors import UnitsError
from sim.reference.errors import UserError, exit_status
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import IntegerModel, load_model
from sim.reference.preprocess import image_files
from sim.studies.ablation.accuracy import FLOAT, Images, comparisons, logits
from sim.studies.ablation.cycles import emulated_cycles, predicted_cycles
from sim.studies.ablation.hardware import unit_cost, unit_parts
from sim.studies.ablation.page import UNITS_OF_BASE, page
from sim.studies.ablation.results import DOCS, Row, merged, read, write
from sim.studies.ablation.variants import OFFICIAL, TABLE, Variant, named, variant_arithmetic
from sim.studies.performance.workloads import SHIPPED, random_image

__all__ = ["main"]

STORE = Path(__file__).resolve().parents[3] / "build" / "ablation"
DIGITS = "digits"
PRIVATE = {"--weights": "FILE", "--images": "DIR", "--labels": "CSV"}


def data(arguments: argparse.Namespace) -> None:
    """Names the files of the shipped model, where that is asked for."""
    if str(arguments.model) != DIGITS:
        arguments.name = arguments.name or arguments.model.stem
        return
    if arguments.weights or arguments.images or arguments.labels:
        raise UserError(f"{DIGITS} has weights, images and labels of its own; leave them away, or name a model file.")
    arguments.name = arguments.name or DIGITS
    arguments.model, arguments.weights = SHIPPED, SHIPPED.with_name("digits_float.safetensors")
    arguments.images = arguments.store / DIGITS
    arguments.labels = arguments.images / "labels.csv"
    try:
        digits.write_images(digits.load("held-out"), arguments.images)
    except ImportError as error:
        raise UserError(
            "the digits come with scikit-learn, which is not installed: pip install scikit-learn."
        ) from error


def chosen_images(arguments: argparse.Namespace) -> list[Path]:
    """The images that the command line names; none where it names none."""
    if arguments.images is None:
        return []
    if arguments.weights is None or arguments.labels is None:
        raise UserError("--images needs --labels CSV and --weights FILE, the float model's, beside it.")
    stop = None if arguments.limit is None else arguments.skip + arguments.limit
    files = image_files(arguments.images)[arguments.skip : stop]
    if not files:
        raise UserError(f"--skip {arguments.skip} leaves no image of {arguments.images}; take a smaller number.")
    return files


def accuracy(
    arguments: argparse.Namespace, model: IntegerModel, rows: dict[str, Row], variants: Sequence[Variant],
    files: Sequence[Path],
) -> None:  # fmt: skip
    """Fills the rows' accuracy from labelled images."""
    weights: dict[str, FloatArray] = load_weights(arguments.weights, model.shape, resample=True)
    images = Images(tuple(files), labels_of(arguments.labels, files, model.shape.classes))
    names = {variant.name: variant_arithmetic(arguments.arithmetic, variant).name for variant in variants}
    found = logits(
        arguments.model, weights, images, list(dict.fromkeys([FLOAT, *names.values()])), arguments.store,
        arguments.processes,
    )  # fmt: skip
    results = comparisons(found, images.labels)
    for variant, name in names.items():
        row, result = rows[variant], results[name]
        row.images, row.top1, row.float_top1 = result.images, result.integer_top1, result.float_top1
        row.agreement, row.divergence = result.agreement, result.divergence
        row.commands["accuracy"] = arguments.command


def cost(arguments: argparse.Namespace, model: IntegerModel, row: Row, variant: Variant, files: Sequence[Path]) -> None:
    """Fills a row's cycles and units."""
    arithmetic = variant_arithmetic(arguments.arithmetic, variant)
    if not arithmetic.integer_only:
        return  # no machine has it: only its accuracy is known
    with contextlib.suppress(ConfigError):  # what no machine has may still be a unit
        config(arguments.board).with_arithmetic(arithmetic)
        if arguments.cycles:
            row.board, row.predicted = arguments.board, predicted_cycles(model, arithmetic, arguments.board)
            row.commands["predicted"] = arguments.command
        if arguments.emulate and variant in TABLE:
            image = _image(model, files)
            row.board, row.emulated = arguments.board, emulated_cycles(model, arithmetic, arguments.board, image)
            row.commands["emulated"] = arguments.command
    if not arguments.units:
        return
    parts = [part for part in arguments.parts if variant in TABLE or part == "xc7"]  # a sweep's question is LUTs
    for unit in variant.units or UNITS_OF_BASE:
        for part in parts:
            if part in unit_parts(unit):
                row.units.append(unit_cost(unit, part, arithmetic, arguments.fmax))
    row.commands["units"] = arguments.command


def _image(model: IntegerModel, files: Sequence[Path]) -> npt.NDArray[np.int8]:
    """The first of the images, or a seeded random one where there are none."""
    if not files:
        return random_image(model, 1)
    pixels = model.preprocessing.load(files[0])[None]
    result: npt.NDArray[np.int8] = IntegerVit(model).quantised(pixels)[0].astype(np.int8)
    return result


def command_of(argv: Sequence[str]) -> str:
    """The command line for others: the user's files by what they are, and without what changes no figure."""
    words, rest = [], iter(argv)
    for word in rest:
        option, equals, _ = word.partition("=")
        if option in ("--store", "--processes", *PRIVATE):
            if not equals:
                next(rest, None)
            words += [option, PRIVATE[option]] if option in PRIVATE else []
        else:
            words.append(word)
    return "python -m sim.ablation " + shlex.join(words)


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
    if arguments.arithmetic == OFFICIAL.name:
        variants = tuple(variant for variant in variants if variant is not OFFICIAL)  # that is what is varied
    if arguments.docs:
        arguments.cycles = arguments.units = arguments.fmax = True
    data(arguments)
    files = chosen_images(arguments)
    model = load_model(arguments.model)
    rows = {variant.name: Row(arguments.name, arguments.arithmetic, variant.name) for variant in variants}
    if files:
        accuracy(arguments, model, rows, variants, files)
    path, errors = DOCS / "ablation.json", Console(stderr=True)
    for variant in variants:
        row = rows[variant.name]
        if errors.is_terminal and (arguments.cycles or arguments.emulate or arguments.units):
            errors.print(f"{variant.name}", style="dim", highlight=False)
        try:
            cost(arguments, model, row, variant, files)
        except UnitsError as error:
            raise UserError(f"{variant.name}: {error}.") from error
        if arguments.docs:
            write(path, merged(read(path), [row]))
        if not arguments.json:
            print(_line(row), flush=True)
    if arguments.docs:
        page(read(path), DOCS)
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows.values()]))
    return 0


def _line(row: Row) -> str:
    cells = [f"{row.model}, {row.base}, {row.variant}"]
    if row.images:
        cells.append(f"top-1 {row.top1:.2%} (float {row.float_top1:.2%}), same {row.agreement:.2%}")
        cells.append(f"KL {row.divergence:.4f}, {row.images} images")
    for count, how in ((row.predicted, "predicted"), (row.emulated, "emulated")):
        if count is not None:
            cells.append(f"{count:,} cycles {how} on {row.board}")
    for unit in row.units:
        clock = "" if unit.fmax is None else f", {unit.fmax:.0f} MHz"
        cells.append(f"{unit.unit} on {unit.part}: {unit.lut} LUT, {unit.ff} FF, {unit.dsp} DSP, "
                     f"{unit.block_ram:g} BRAM{clock}")  # fmt: skip
    return "; ".join(cells)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m sim.ablation", description=(__doc__ or "").splitlines()[0])
    add = result.add_argument
    add("model", type=Path, metavar="MODEL", help=f"integer model file, or {DIGITS}: the shipped model")
    add("variants", nargs="*", metavar="VARIANT", help="base, poly-softmax, multiplier-bits=12, ...; all by default")
    add("--name", metavar="NAME", help="what the table calls the model")
    add("--arithmetic", default="lean", metavar="NAME", help="what is varied (default: %(default)s)")
    add("--weights", type=Path, metavar="FILE", help="the float weights that the model was made from")
    add("--images", type=Path, metavar="DIR", help="measure the accuracy on these")
    add("--labels", type=Path, metavar="CSV", help="columns file and label")
    add("--skip", type=int, default=0, metavar="N", help="leave out the first N images in name order")
    add("--limit", type=int, metavar="N", help="only N images")
    add("--processes", type=int, default=1, metavar="N", help="default: %(default)s")
    add("--store", type=Path, default=STORE, metavar="DIR", help="finished images are kept here; a run can be resumed")
    add("--cycles", action="store_true", help="predict the cycles of a frame")
    add("--emulate", action="store_true", help="count those of Table 2's rows in the emulated board")
    add("--board", default="arty_a7_35", metavar="BOARD", help="default: %(default)s")
    add("--units", action="store_true", help="synthesise the unit that a variant changes")
    add(
        "--parts",
        nargs="+",
        choices=("xc7", "ecp5"),
        default=["xc7", "ecp5"],
        help="for --units; both by default, of sweeps xc7 alone",
    )
    add("--fmax", action="store_true", help="with --units: place and route on ecp5")
    output = result.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print the rows as JSON")
    output.add_argument("--docs", action="store_true", help="--cycles --units --fmax, into docs/ablation.md")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    options = parser().parse_args(arguments)
    options.command = command_of(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: run(options))
