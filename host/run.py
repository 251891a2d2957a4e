"""Streams images through a device and says what they show.

    python -m host.run [--device DEVICE] [--top-k K] [--json] PROGRAM IMAGE...
    python -m host.run [--device DEVICE] [--top-k K] [--json] PROGRAM --watch FOLDER | --camera [N]
    python -m host.run [--device DEVICE] PROGRAM IMAGE... --embeddings OUT.npz [--normalise]

IMAGE is a file or a folder. On a terminal the answers come as a table, in a pipe as one line an image:
file, then `class name probability` for each of the top k, separated by tabs. With `--json` they are one JSON object.
An image that cannot be read is a sentence on standard error; the others are labelled, and the exit status is 2.
With `--watch` images are labelled as they appear in a folder, with `--camera` a camera's, until Ctrl-C: one line each,
or with `--json` one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from host.command.errors import HostError, run_command
from host.command.terminal import output, percent, tracked
from host.devices.base import Device
from host.devices.prediction import Prediction
from host.devices.registry import DEFAULT_DEVICE, DEVICES, open_device
from host.embeddings.encoder import add_output_option, open_encoder
from host.embeddings.vectors_file import save_vectors
from host.images.files import Pictures, find_images
from host.images.live import camera, watch
from sim.reference.errors import USER_ERROR_STATUS


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m host.run", description="Streams images through a device.")
    made.add_argument("--device", default=DEFAULT_DEVICE, help=f"{', '.join(sorted(DEVICES))} (default: %(default)s)")
    made.add_argument("--top-k", type=int, default=5, metavar="K", help="classes to show (default: %(default)s)")
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    made.add_argument("--embeddings", type=Path, metavar="OUT.npz", help="write the pictures' vectors there")
    made.add_argument("--normalise", action="store_true", help="with --embeddings: vectors of length 1")
    add_output_option(made)
    made.add_argument("program", type=Path, metavar="PROGRAM", help="the file that the device runs")
    made.add_argument("images", type=Path, nargs="*", metavar="IMAGE", help="image files and folders")
    made.add_argument("--watch", type=Path, metavar="FOLDER", help="label images as they appear there")
    made.add_argument("--camera", type=int, nargs="?", const=0, metavar="N", help="label a camera's pictures")
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


def live(options: argparse.Namespace) -> int:
    """Labels what a folder or a camera brings, until it is interrupted; returns the exit status."""
    with open_device(options.device) as device:
        device.load(options.program)
        try:
            for file, prediction in live_answers(options, device):
                if options.json:
                    print(json.dumps(as_object(file, prediction, options.top_k)), flush=True)
                else:
                    print(as_line(file, prediction, options.top_k), flush=True)
        except KeyboardInterrupt:  # its ordinary end
            return 0
    return 0


def live_answers(options: argparse.Namespace, device: Device) -> Iterator[tuple[Path, Prediction]]:
    """Names and answers. A folder's image is answered before the next one is looked for; a camera's overlap."""
    if options.watch is not None:
        for file, picture in watch(options.watch):
            yield file, device.infer(picture)
        return
    for number, prediction in enumerate(device.stream(camera(options.camera))):
        yield Path(f"camera{options.camera}/{number}"), prediction


def embed(options: argparse.Namespace) -> int:
    """Writes the embeddings of images; returns the exit status."""
    if not options.images or options.json:
        raise HostError("--embeddings takes images, and neither --watch, --camera nor --json.")
    files = find_images(options.images)
    pictures = Pictures(files)
    with open_encoder(options.device, options.program, options.output) as encoder:
        found = list(tracked(encoder.embed(pictures), len(files), "images"))
    names = [str(file) for file in pictures.read]
    save_vectors(options.embeddings, names, found, encoder.model, encoder.kind, options.normalise)
    return USER_ERROR_STATUS if pictures.refused else 0


def run(options: argparse.Namespace) -> int:
    """The command's body; returns the exit status."""
    if options.top_k < 1:
        raise HostError(f"--top-k must be at least 1, not {options.top_k}.")
    if bool(options.images) + (options.watch is not None) + (options.camera is not None) != 1:
        raise HostError("Give images, or --watch FOLDER, or --camera, and only one of the three.")
    if options.normalise and options.embeddings is None:
        raise HostError("--normalise is for vectors: name a file for them with --embeddings, or leave it out.")
    if options.embeddings is not None:
        return embed(options)
    if not options.images:
        return live(options)
    files = find_images(options.images)
    console = output()
    answers: list[tuple[Path, Prediction]] = []
    with open_device(options.device) as device:
        model = device.load(options.program)
        pictures = Pictures(files)
        for number, prediction in enumerate(tracked(device.stream(pictures), len(files), "images")):
            file = pictures.read[number]
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
            "refused": [{"file": str(file), "error": sentence} for file, sentence in pictures.refused.items()],
        }
        print(json.dumps(result, indent=1))
    elif console.is_terminal:
        console.print(as_table(answers, options.top_k))
    return USER_ERROR_STATUS if pictures.refused else 0


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    return run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
