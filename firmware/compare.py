"""Float and integer model side by side on labelled images.

python -m firmware.compare MODEL --weights FILE --images DIR --labels CSV
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from firmware.checkpoints.checkpoint import load_weights
from firmware.quantiser.agreement import compare
from firmware.quantiser.labels import labels_of
from firmware.quantiser.paired_logits import cores, paired_logits
from sim.reference.architecture import spelled_out
from sim.reference.errors import UserError, exit_status
from sim.reference.model_file import load_model
from sim.reference.preprocess import image_files


def run(arguments: argparse.Namespace) -> int:
    """Runs both models over the images and prints the comparison; 0."""
    if arguments.skip < 0 or (arguments.limit is not None and arguments.limit < 1):
        raise UserError(f"--skip must be at least 0 and --limit at least 1, not {arguments.skip}, {arguments.limit}.")
    if arguments.processes is not None and arguments.processes < 1:
        raise UserError(f"--processes must be at least 1, not {arguments.processes}.")
    model = load_model(arguments.model)
    shape = model.shape
    weights = load_weights(arguments.weights, shape, resample=True)
    stop = None if arguments.limit is None else arguments.skip + arguments.limit
    files = image_files(arguments.images)[arguments.skip : stop]
    if not files:
        raise UserError(f"--skip {arguments.skip} leaves no image of {arguments.images}; take a smaller number.")
    labels = labels_of(arguments.labels, files, shape.classes)
    console = Console(stderr=True)
    processes = min(arguments.processes or cores(), len(files))
    pairs = track(
        paired_logits(model, weights, files, processes),
        "comparing",
        total=len(files),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    float_logits, integer_logits = zip(*pairs, strict=True)
    result = compare(np.stack(float_logits), np.stack(integer_logits), labels)
    if arguments.json:
        about = {"model": str(arguments.model), "architecture": spelled_out(shape), "arithmetic": model.arithmetic}
        print(json.dumps({**about, **dataclasses.asdict(result)}))
        return 0
    print(f"images         {result.images}")
    print(f"float top-1    {result.float_top1:.2%}")
    print(f"integer top-1  {result.integer_top1:.2%}   ({model.arithmetic})")
    print(f"same answer    {result.agreement:.2%}")
    print(f"mean KL        {result.divergence:.4f} nats")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m firmware.compare", description=(__doc__ or "").splitlines()[0])
    result.add_argument("model", type=Path, metavar="MODEL", help="integer model file")
    result.add_argument(
        "--weights", type=Path, required=True, metavar="PATH", help="the float weights it was made from"
    )
    result.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of images")
    result.add_argument("--labels", type=Path, required=True, metavar="CSV", help="columns file and label")
    result.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N images in name order")
    result.add_argument("--limit", type=int, metavar="N", help="only N images")
    result.add_argument("--processes", type=int, metavar="N", help="run N images at a time; one a core by default")
    result.add_argument("--json", action="store_true", help="print the figures as JSON")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
