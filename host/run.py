"""Streams images through a device and says what they show.

    python -m host.run [--device DEVICE] [--top-k K] [--json] PROGRAM IMAGE...

IMAGE is a file or a folder. On a terminal the answers come as a table, in a pipe as one line an image:
file, then `class name probability` for each of the top k, separated by tabs. With `--json` they are one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.table import Table

from host.device import DEFAULT_DEVICE, DEVICES, Device
from host.errors import HostError, run_command
from host.images import find_images, read_image
from host.prediction import Prediction
from host.terminal import output, percent, tracked


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m host.run", description="Streams images through a device.")
    made.add_argument("--device", default=DEFAULT_DEVICE, help=f"{', '.join(sorted(DEVICES))} (default: %(default)s)")
    made.add_argument("--top-k", type=int, default=5, metavar="K", help="classes to show (default: %(default)s)")
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    made.add_argument("program", type=Path, metavar="PROGRAM", help="the file that the device runs")
    made.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="image files and folders")
    return made


def as_line(file: Path, prediction: Prediction, count: int) -> str:
    """One answer as a line for a pipe."""
    ranking = (f"{entry.index} {entry.name} {entry.probability:.4f}" for entry in prediction.top(count))
    return "\t".join((str(file), *ranking))


def as_object(file: Path, prediction: Prediction, count: int) -> dict[str, object]:
    """One answer for `--json`."""
    top = [{"class": e.index, "name": e.name, "probability": round(e.probability, 6)} for e in prediction.top(count)]
    return {
        "file": str(file),
        "top": top,
        "logits": [int(logit) for logit in prediction.logits],
        "cycles": prediction.cycles,
    }


def as_table(answers: list[tuple[Path, Prediction]], count: int) -> Table:
    """All answers for a terminal: a row for each image and rank."""
    table = Table("image", "rank", "class", "name", "confidence")
    for file, prediction in answers:
        ranking = prediction.top(count)
        for rank, entry in enumerate(ranking, 1):
            first, last = str(file) if rank == 1 else "", rank == len(ranking)
            table.add_row(
                first,
                str(rank),
                str(entry.index),
                entry.name,
                percent(entry.probability),
                end_section=last and rank > 1,
            )
    return table


def run(options: argparse.Namespace) -> int:
    """The command's body; returns the exit status."""
    if options.top_k < 1:
        raise HostError(f"--top-k must be at least 1, not {options.top_k}.")
    files = find_images(options.images)
    console = output()
    answers: list[tuple[Path, Prediction]] = []
    with Device.open(options.device) as device:
        model = device.load(options.program)
        predictions = device.stream(read_image(file) for file in files)
        for file, prediction in tracked(zip(files, predictions, strict=True), len(files), "images"):
            if options.json or console.is_terminal:
                answers.append((file, prediction))
            else:
                print(as_line(file, prediction, options.top_k), flush=True)
    if options.json:
        result = {
            "device": options.device,
            "program": str(options.program),
            "architecture": model.architecture,
            "arithmetic": model.arithmetic,
            "images": [as_object(file, prediction, options.top_k) for file, prediction in answers],
        }
        print(json.dumps(result, indent=1))
    elif console.is_terminal:
        console.print(as_table(answers, options.top_k))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    return run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
