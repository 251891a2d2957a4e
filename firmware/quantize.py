"""Turns a float checkpoint of a ViT, DeiT, DINOv2, CLIP or Swin into an integer model.

python -m firmware.quantize [ARCH] --weights PATH --calibrate DIR -o MODEL
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, track

from firmware.checkpoints.checkpoint import open_checkpoint
from firmware.float_models.blocks import FloatModel
from firmware.float_models.registry import float_model
from firmware.quantiser.bias_correction import corrected_biases
from firmware.quantiser.calibration import METHODS, Calibration
from firmware.quantiser.network_error import network_errors
from firmware.quantiser.post_training import Quantised, attention_warnings, quantise_model
from firmware.quantiser.preprocess_options import add_preprocessing_options, preprocessing_from
from sim.reference.architecture import spelled_out
from sim.reference.arithmetic import preset
from sim.reference.errors import UserError, exit_status, replaced_when_complete
from sim.reference.model_file import IntegerModel
from sim.reference.model_shape import ModelShape
from sim.reference.preprocess import Preprocessing, image_files

BATCH = 10
"""Images at a time: about 40 MB of activations for DeiT-T."""
NETWORK_IMAGES = 4
"""Images on which the integer model is run beside the float one for the report."""


def calibrated(
    shape: ModelShape, model: FloatModel, preprocessing: Preprocessing, images: Sequence[Path]
) -> Calibration:
    """Runs the float model over the images, with a progress bar when stderr is a terminal."""
    calibration = Calibration(shape)
    console = Console(stderr=True)
    starts = range(0, len(images), BATCH)
    for start in track(starts, "calibrating", console=console, disable=not console.is_terminal):
        model.forward(preprocessing.load_batch(images[start : start + BATCH]), calibration.observe)
    return calibration


def with_corrected_biases(model: FloatModel, integer: IntegerModel, images: Sequence[Path]) -> IntegerModel:
    """The integer model with biases that take up its mean errors, with a progress bar when stderr is a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("correcting biases")
        biases = corrected_biases(
            model, integer, images, lambda done, of: progress.update(task, completed=done, total=of)
        )
    return dataclasses.replace(integer, tensors={**integer.tensors, **biases})


def read_class_names(path: Path, classes: int) -> tuple[str, ...]:
    """The classes' names, one a line in the order of the classes."""
    try:
        names = tuple(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a readable text file; one class name a line is expected.") from error
    if len(names) != classes:
        raise UserError(f"{path} has {len(names)} lines, but one name for each of {classes} classes is expected.")
    return names


def report_table(result: Quantised, network: Mapping[str, float]) -> str:
    """One line a quantised activation; `network` has the error that has gathered up to it."""
    lines = [
        f"{'tensor':<32} {'bits':>4} {'scale':>11} {'peak':>9} {'clipped':>8} {'error':>8} {'network':>8} {'GELU':>8} "
        f"{'|x0|':>5}"
    ]
    for row in result.report:
        table = f"{row.table_error:8.2%}" if row.table_error is not None else " " * 8
        step = f"{row.step:5d}" if row.step is not None else ""
        lines.append(
            f"{row.name:<32} {row.bits:4d} {row.scale:11.4e} {row.peak:9.3f} {row.clipped:8.3%} {row.error:8.3%} "
            f"{network[row.name]:8.2%} {table} {step}"
        )
    return "\n".join(line.rstrip() for line in lines)


def run(arguments: argparse.Namespace) -> int:
    """Calibrates, quantises, writes the model, prints the report; 0."""
    if arguments.limit is not None and arguments.limit < 1:
        raise UserError(f"--limit must be at least 1, not {arguments.limit}.")
    if arguments.image is not None and arguments.image < 1:
        raise UserError(f"--image must be at least 1, not {arguments.image}.")
    try:
        preset(arguments.arithmetic)
    except ValueError as error:
        raise UserError(f"--arithmetic: {error}.") from error
    checkpoint = open_checkpoint(arguments.weights, arguments.arch, arguments.image)
    shape, weights = checkpoint.shape, checkpoint.weights
    preprocessing = preprocessing_from(arguments, shape.image, checkpoint.preprocessing)
    notes = [*checkpoint.notes, f"Of each picture: {preprocessing.describe()}."]
    class_names = checkpoint.class_names
    if arguments.class_names:
        class_names = read_class_names(arguments.class_names, shape.classes)
    images = image_files(arguments.calibrate)[: arguments.limit]
    model = float_model(shape, weights)
    calibration = calibrated(shape, model, preprocessing, images)
    result = quantise_model(shape, weights, calibration, arguments.calibration, arguments.snap)
    result.warnings += attention_warnings(shape, preset(arguments.arithmetic))
    integer = IntegerModel(shape, arguments.arithmetic, preprocessing, result.tensors, class_names)
    started = time.perf_counter()
    corrected = arguments.bias_correction and len(images) > 1
    if corrected:
        integer = with_corrected_biases(model, integer, images)
    seconds = time.perf_counter() - started
    sample = preprocessing.load_batch(images[:NETWORK_IMAGES])
    network = network_errors(model, integer, sample)
    summary = {
        "model": str(arguments.output),
        "architecture": spelled_out(shape),
        "notes": notes,
        "arithmetic": arguments.arithmetic,
        "calibration": arguments.calibration,
        "snapped": arguments.snap,
        "bias_correction_seconds": round(seconds, 1) if corrected else None,
        "images": len(images),
        "checksum": integer.checksum(),
        "warnings": result.warnings,
        "tensors": [{**dataclasses.asdict(row), "network_error": network[row.name]} for row in result.report],
    }
    integer.save(arguments.output)
    if arguments.report is not None:
        with replaced_when_complete(arguments.report) as temporary:
            temporary.write_text(json.dumps(summary, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(summary))
        return 0
    print(report_table(result, network))
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    biases = f"biases corrected in {seconds:.1f} s" if corrected else "biases as they are"
    print(
        f"{arguments.output}: {len(images)} images, {biases}, arithmetic {arguments.arithmetic}, "
        f"{summary['checksum']:.16}"
    )
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m firmware.quantize", description=(__doc__ or "").splitlines()[0])
    result.add_argument(
        "arch",
        metavar="ARCH",
        nargs="?",
        help="timm name, or vit:image=... or swin:image=...; left out for a folder that says it itself",
    )
    result.add_argument(
        "--weights",
        type=Path,
        required=True,
        metavar="PATH",
        help="a folder as Hugging Face, timm or open_clip write it, or a .safetensors, .npz, .pth, .bin or .onnx file",
    )
    result.add_argument(
        "--image", type=int, metavar="PIXELS", help="fit the positions to images of another size than trained with"
    )
    result.add_argument("--calibrate", type=Path, required=True, metavar="DIR", help="folder of images")
    result.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL", help="the integer model to write")
    result.add_argument(
        "--arithmetic", metavar="NAME", default="lean", help="lean, official, or a variant: lean:gelu=polynomial"
    )
    result.add_argument(
        "--calibration",
        choices=METHODS,
        default="minmax",
        help="how activations get their scales (default: %(default)s)",
    )
    result.add_argument(
        "--no-snap", dest="snap", action="store_false", help="leave the scales where calibration put them"
    )
    result.add_argument(
        "--no-bias-correction",
        dest="bias_correction",
        action="store_false",
        help="leave the biases as the float model has them",
    )
    result.add_argument("--limit", "--max-images", type=int, metavar="N", help="only the first N images in name order")
    result.add_argument("--report", type=Path, metavar="FILE", help="also write the report as JSON")
    result.add_argument(
        "--class-names", type=Path, metavar="FILE", help="text file, one a line; kept in the model file"
    )
    result.add_argument("--json", action="store_true", help="print the report as JSON")
    add_preprocessing_options(result)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
