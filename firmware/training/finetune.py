"""Fine-tunes a model in the integer arithmetic that it will run in, and writes the integer model.

python -m firmware.finetune START --train DIR --held-out DIR --folder FOLDER -o MODEL
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from firmware.checkpoints.checkpoint import load_weights
from firmware.checkpoints.timm_config import named_preprocessing
from firmware.float_models.blocks import FloatArray
from firmware.float_models.registry import float_model
from firmware.quantiser.calibration import Calibration
from firmware.quantiser.post_training import quantise_model
from firmware.quantiser.preprocess_options import add_preprocessing_options, preprocessing_from
from firmware.training import training_checkpoint as checkpoint
from firmware.training.data import AUGMENTATIONS, Images, batch, open_images
from firmware.training.network import IntegerNetwork, starting_weights, weights_of
from firmware.training.training import PAPER_RATES, Recipe, Run, Score, Teacher, Workers, evaluate, train
from sim.reference.architecture import parse_architecture
from sim.reference.errors import UserError, exit_status, made_folder
from sim.reference.model_file import IntegerModel, load_model
from sim.reference.preprocess import Preprocessing

__all__ = ["main", "quantised", "tried"]

CALIBRATION_BATCH = 10
Weights = dict[str, FloatArray]


def quantised(
    arch: str, weights: Weights, preprocessing: Preprocessing, images: Images, arithmetic: str, count: int
) -> IntegerModel:
    """The post-training model of float weights, calibrated on the first `count` training images."""
    shape = parse_architecture(arch)
    model = float_model(shape, weights)
    calibration = Calibration(shape)
    chosen = np.arange(min(count, len(images)))
    for start in range(0, len(chosen), CALIBRATION_BATCH):
        pixels, _ = batch(images, chosen[start : start + CALIBRATION_BATCH], preprocessing, "none", (0,))
        model.forward(pixels, calibration.observe)
    return IntegerModel(shape, arithmetic, preprocessing, quantise_model(shape, weights, calibration).tensors)


def tried(
    start: Callable[[], IntegerNetwork],
    rates: Sequence[float],
    make: Callable[[IntegerNetwork, float], Run],
    resume: bool,
) -> tuple[IntegerModel, float, dict[float, list[Score]]]:
    """Trains at each rate from the same start; the best model by its last held-out top-1, then loss; its rate; and the
    scores of all after each epoch.
    """
    best: tuple[tuple[float, float], float, IntegerModel] | None = None
    scores: dict[float, list[Score]] = {}
    for rate in rates:
        network = start()
        run = make(network, rate)
        progress = None
        if resume and run.checkpoint is not None and run.checkpoint.exists():
            progress = checkpoint.load(run.checkpoint, network, run.optimiser, asdict(run.recipe))
        scores[rate] = train(run, progress) or [evaluate(network, run.held_out, run.workers)]
        last = scores[rate][-1]
        key = (last.top1, -last.loss)
        if best is None or key > best[0]:
            best = key, rate, network.integer_model()
    assert best is not None
    return best[2], best[1], scores


def _part(text: str | None) -> slice:
    if text is None:
        return slice(None)
    first, colon, last = text.partition(":")
    if not colon or not all(end == "" or (end.isascii() and end.isdigit()) for end in (first, last)):
        raise UserError(f"a part of the images is FIRST:LAST, with whole numbers or nothing, not {text!r}.")
    return slice(int(first) if first else None, int(last) if last else None)


def _started(arguments: argparse.Namespace) -> tuple[IntegerModel | None, Weights | None]:
    """The integer model and the float weights that the command line names."""
    path = Path(arguments.start)
    model = load_model(path) if path.is_file() else None
    shape = model.shape if model else parse_architecture(arguments.start)
    if arguments.weights is None:
        if model is None:
            raise UserError(f"{arguments.start} is no model file; an architecture needs --weights FILE beside it.")
        return model, None
    return model, load_weights(arguments.weights, shape, resample=model is not None)


def run(arguments: argparse.Namespace, workers: Workers) -> int:
    """Trains, writes the model, prints the scores; 0."""
    _check(arguments)
    model, weights = _started(arguments)
    shape = model.shape if model else parse_architecture(arguments.start)
    images, held_out = (
        open_images(folder, labels, shape.classes, split, _part(part))
        for folder, labels, split, part in (
            (arguments.train, arguments.train_labels, "train", arguments.train_part),
            (arguments.held_out, arguments.held_out_labels, "held-out", arguments.held_out_part),
        )
    )
    if model is None:
        assert weights is not None
        named = named_preprocessing(arguments.start, shape.image)
        preprocessing = preprocessing_from(arguments, shape.image, named)
        model = quantised(
            arguments.start, weights, preprocessing, images, arguments.arithmetic, arguments.calibration_images
        )
    origin = model
    teacher: Teacher | None = None if weights is None else float_model(shape, weights).forward

    def start() -> IntegerNetwork:
        start = weights_of(origin) if weights is None else starting_weights(origin, weights)
        return IntegerNetwork(origin, start, arguments.device)

    def make(network: IntegerNetwork, rate: float) -> Run:
        folder = _folder(arguments, rate, clean=not workers.rank and not arguments.resume)
        recipe, every = _recipe(arguments, rate), arguments.checkpoint_every
        return Run(network, images, held_out, recipe, workers, folder, every, teacher)

    before = evaluate(start(), held_out, workers)
    result, rate, scores = tried(start, arguments.rate, make, arguments.resume)
    if not workers.rank:
        result.save(arguments.output)
        _tell(arguments, result, rate, before, scores)
    return 0


def _recipe(arguments: argparse.Namespace, rate: float) -> Recipe:
    return Recipe(
        rate=rate,
        epochs=arguments.epochs,
        batch=arguments.batch,
        decay=arguments.decay,
        smoothing=arguments.smoothing,
        distil=arguments.distil,
        augment=arguments.augment,
        seed=arguments.seed,
    )


def _folder(arguments: argparse.Namespace, rate: float, clean: bool) -> Path:
    """The rate's; with `clean` nothing of an earlier run is in it."""
    folder: Path = arguments.folder / f"rate_{rate:g}"
    made_folder(folder)
    if clean:
        for name in ("log.csv", "checkpoint.safetensors"):
            (folder / name).unlink(missing_ok=True)
    return folder


def _tell(
    arguments: argparse.Namespace, result: IntegerModel, rate: float, before: Score, scores: dict[float, list[Score]]
) -> None:
    """Prints what came of it."""
    if arguments.json:
        summary = {
            "model": str(arguments.output),
            "arithmetic": result.arithmetic,
            "checksum": result.checksum(),
            "rate": rate,
            "before": asdict(before),
            "after": {f"{tried_rate:g}": [asdict(score) for score in found] for tried_rate, found in scores.items()},
        }
        print(json.dumps(summary))
        return
    console = Console()
    for line in _lines(before, scores, rate):
        console.print(line, soft_wrap=True)
    console.print(f"{arguments.output}: arithmetic {result.arithmetic}, {result.checksum():.16}", soft_wrap=True)


def _lines(before: Score, scores: dict[float, list[Score]], chosen: float) -> list[str]:
    lines = [f"held out: {before.images} images; top-1 {before.top1:.2%}, loss {before.loss:.4f} before"]
    for rate, found in scores.items():
        mark = ", chosen" if rate == chosen else ""
        lines.append(f"rate {rate:g}: top-1 {found[-1].top1:.2%}, loss {found[-1].loss:.4f}{mark}")
    return lines


def _check(arguments: argparse.Namespace) -> None:
    for name in ("epochs", "batch", "calibration_images"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, not {getattr(arguments, name)}.")
    if min(arguments.rate) <= 0:
        raise UserError(f"--rate must be above 0, not {min(arguments.rate):g}.")
    for name in ("smoothing", "distil"):
        if not 0 <= getattr(arguments, name) <= 1:
            raise UserError(f"--{name} must be 0 to 1, not {getattr(arguments, name):g}.")
    if arguments.distil and arguments.weights is None:
        raise UserError("--distil needs the float model: name its weights with --weights.")
    if arguments.output.is_dir() or not arguments.output.parent.is_dir():
        raise UserError(f"{arguments.output} cannot be written; name a file in a folder that exists.")
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"--device {arguments.device}: PyTorch finds no GPU here; use --device cpu.")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m firmware.finetune", description=(__doc__ or "").splitlines()[0])
    add = result.add_argument
    add("start", metavar="START", help="integer model file, or ARCH (a timm name, vit:image=...) with --weights")
    add("--weights", type=Path, metavar="FILE", help="float weights; without them a model's integers are the start")
    add("--train", type=Path, required=True, metavar="DIR", help="class folders, idx files, or images with a CSV file")
    add("--train-labels", type=Path, metavar="CSV", help="columns file and label, for a plain folder of images")
    add("--train-part", metavar="FIRST:LAST", help="only these of the training images, in the order of their names")
    add("--held-out", type=Path, required=True, metavar="DIR", help="as --train; what the rate is chosen by")
    add("--held-out-labels", type=Path, metavar="CSV")
    add("--held-out-part", metavar="FIRST:LAST")
    add("--folder", type=Path, required=True, metavar="FOLDER", help="logs (CSV) and checkpoints, a folder a rate")
    add("--resume", action="store_true", help="go on from the checkpoints in --folder")
    add("-o", "--output", type=Path, required=True, metavar="MODEL", help="the integer model to write")
    add("--rate", type=float, nargs="+", default=list(PAPER_RATES), metavar="R", help="one or more (the paper's grid)")
    add("--epochs", type=int, default=Recipe.epochs, help="default: %(default)s")
    add("--batch", type=int, default=Recipe.batch, help="over all processes (default: %(default)s)")
    add("--decay", type=float, default=Recipe.decay, help="weight decay (default: %(default)s)")
    add("--smoothing", type=float, default=Recipe.smoothing, help="of the labels (default: %(default)s)")
    add("--distil", type=float, default=Recipe.distil, help="weight of the float model's answers (%(default)s)")
    add("--augment", choices=sorted(AUGMENTATIONS), default=Recipe.augment, help="default: %(default)s")
    add("--seed", type=int, default=Recipe.seed, help="default: %(default)s")
    add("--checkpoint-every", type=int, metavar="STEPS", help="beside the checkpoint after each epoch")
    add("--arithmetic", default="lean", metavar="NAME", help="of a model from float weights (default: %(default)s)")
    add("--calibration-images", type=int, default=100, metavar="N", help="same (default: %(default)s)")
    add(
        "--device",
        default="cpu",
        help="cpu, cuda, cuda:1 (default: %(default)s); torchrun numbers cuda itself",
    )
    add("--json", action="store_true", help="print the scores as JSON")
    add_preprocessing_options(result)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    options = parser().parse_args(arguments)
    workers = Workers.join(options.device)
    try:
        if options.device == "cuda" and workers.count > 1:
            options.device = f"cuda:{workers.local}"
        return exit_status(lambda: run(options, workers))
    finally:
        workers.leave()
