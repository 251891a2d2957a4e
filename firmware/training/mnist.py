"""A small Vision Transformer on MNIST: trained in float, quantised, fine-tuned in integers, and the three compared.

python -m firmware.finetune.mnist --data DIR -o FOLDER
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from safetensors.numpy import save_file

from firmware.float_models.blocks import FloatArray
from firmware.float_models.registry import float_model
from firmware.training.data import Images, batch, open_images
from firmware.training.finetune import quantised, tried
from firmware.training.network import IntegerNetwork
from firmware.training.train_digits import SHAPE, Vit
from firmware.training.training import Recipe, Run, Score, Workers, evaluate
from sim.reference.architecture import spelled_out
from sim.reference.arithmetic import preset
from sim.reference.errors import UserError, exit_status, made_folder, replaced_when_complete
from sim.reference.preprocess import Preprocessing

__all__ = ["main", "train_float"]

PREPROCESSING = Preprocessing(SHAPE.image, SHAPE.image, (0.5,) * 3, (0.5,) * 3)
CALIBRATION_IMAGES = 256
WARM_UP = 0.1


def train_float(images: Images, epochs: int, size: int, rate: float, seed: int) -> dict[str, FloatArray]:
    """timm's weights of a model trained in float with AdamW, a warm-up and a cosine to zero."""
    torch.manual_seed(seed)
    model = Vit(SHAPE)
    model.train()
    order = np.concatenate([np.random.default_rng((seed, epoch)).permutation(len(images)) for epoch in range(epochs)])
    chunks = np.array_split(order, max(1, len(order) // size))
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=len(chunks) + 1, pct_start=WARM_UP, cycle_momentum=False
    )
    console = Console(stderr=True)
    for number, indices in enumerate(track(chunks, "float", console=console, disable=not console.is_terminal)):
        pixels, labels = batch(images, indices, PREPROCESSING, "move", (seed, number))
        loss = torch.nn.functional.cross_entropy(
            model(torch.from_numpy(pixels)), torch.from_numpy(labels), label_smoothing=0.05
        )
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def score_float(weights: dict[str, FloatArray], images: Images) -> Score:
    """The float model over all images."""
    model = float_model(SHAPE, weights)
    right = loss = 0.0
    for start in range(0, len(images), 64):
        pixels, labels = batch(images, np.arange(start, min(start + 64, len(images))), PREPROCESSING, "none", (0,))
        logits = model.forward(pixels).astype(np.float64)
        shifted = logits - logits.max(axis=1, keepdims=True)
        chosen = shifted[np.arange(len(labels)), labels] - np.log(np.exp(shifted).sum(axis=1))
        right += int((logits.argmax(axis=1) == labels).sum())
        loss -= float(chosen.sum())
    return Score(right / len(images), loss / len(images), len(images))


def run(arguments: argparse.Namespace) -> int:
    """Trains, quantises, fine-tunes, writes the three models and a held-out digit, prints the scores; 0."""
    if min(arguments.epochs, arguments.fine_epochs, arguments.train_images, arguments.fine_images) < 1:
        raise UserError("epochs and numbers of images must be at least 1.")
    try:
        preset(arguments.arithmetic)
    except ValueError as error:
        raise UserError(f"--arithmetic: {error}.") from error
    folder = made_folder(arguments.output)
    images = open_images(arguments.data, None, SHAPE.classes, "train", slice(0, arguments.train_images))
    held_out = open_images(arguments.data, None, SHAPE.classes, "held-out", slice(None))
    fine = open_images(arguments.data, None, SHAPE.classes, "train", slice(0, arguments.fine_images))
    weights = train_float(images, arguments.epochs, 128, arguments.float_rate, arguments.seed)
    save_file(weights, folder / "float.safetensors")
    scores = {"float": score_float(weights, held_out)}
    model = quantised(spelled_out(SHAPE), weights, PREPROCESSING, images, arguments.arithmetic, CALIBRATION_IMAGES)
    model.save(folder / "post_training.safetensors")
    scores["post-training"] = evaluate(IntegerNetwork(model, weights), held_out, Workers())

    def make(network: IntegerNetwork, rate: float) -> Run:
        recipe = Recipe(rate, arguments.fine_epochs, 64, augment="move", smoothing=0.0, seed=arguments.seed)
        for name in ("log.csv", "checkpoint.safetensors"):
            (folder / name).unlink(missing_ok=True)
        return Run(network, fine, held_out, recipe, folder=folder)

    tuned, _, found = tried(lambda: IntegerNetwork(model, weights), [arguments.rate], make, resume=False)
    tuned.save(folder / "fine_tuned.safetensors")
    scores["fine-tuned"] = found[arguments.rate][-1]
    digit = folder / f"digit_{held_out.labels[0]}.png"
    with replaced_when_complete(digit) as temporary:
        held_out.picture(0).save(temporary, format="png")
    if arguments.json:
        print(json.dumps({name: asdict(score) for name, score in scores.items()}))
        return 0
    for name, score in scores.items():
        print(f"{name:<14} top-1 {score.top1:.2%}, loss {score.loss:.4f}, {score.images} held-out images")
    print(f"every tensor of the fine-tuned model's forward equals the reference's; models in {folder}")
    print(f"the first held-out digit: {digit}, for sim.bench --image")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="python -m firmware.finetune.mnist", description=(__doc__ or "").splitlines()[0]
    )
    add = result.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="folder of MNIST's four idx files")
    add(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="for the three models, log, checkpoint, a digit",
    )
    add("--epochs", type=int, default=4, help="in float (default: %(default)s)")
    add("--train-images", type=int, default=60_000, metavar="N", help="of the float training (default: %(default)s)")
    add("--float-rate", type=float, default=2e-3, metavar="R", help="default: %(default)s")
    add("--fine-epochs", type=int, default=1, help="in integers (default: %(default)s)")
    add("--fine-images", type=int, default=20_000, metavar="N", help="of the fine-tuning (default: %(default)s)")
    add("--rate", type=float, default=2e-5, metavar="R", help="of the fine-tuning (default: %(default)s)")
    add("--arithmetic", default="lean", metavar="NAME", help="default: %(default)s")
    add("--seed", type=int, default=0, help="default: %(default)s")
    add("--json", action="store_true", help="print the scores as JSON")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))
