"""Streams images through a device and says what they show.

    python -m host.run [--device DEVICE] [--top-k K] [--json] PROGRAM IMAGE...
    python -m host.run [--device DEVICE] [--top-k K] [--json] PROGRAM --watch FOLDER | --camera [N]
    python -m host.run ... --classes CLASSES [--unusual] | --texts FILE
    python -m host.run [--device DEVICE] PROGRAM IMAGE... --embeddings OUT.npz [--normalise]

IMAGE is a file or a folder. On a terminal the answers come as a table, in a pipe as one line an image:
file, then `class name probability` for each of the top k, separated by tabs. With `--json` they are one JSON object.
An image that cannot be read is a sentence on standard error; the others are labelled, and the exit status is 2.
With `--watch` images are labelled as they appear in a folder, with `--camera` a camera's, until Ctrl-C: one line each,
or with `--json` one JSON object a line. `--classes` names pictures by what host.teach learnt, `--texts` by the
embeddings of texts; `--embeddings` writes their vectors (docs/embeddings.md).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from rich.table import Table

from host.command.errors import HostError, run_command
from host.command.terminal import output, percent, tracked
from host.devices.base import LoadedModel
from host.devices.prediction import Prediction
from host.devices.registry import DEFAULT_DEVICE, DEVICES, open_device
from host.embeddings.encoder import add_output_option, open_encoder
from host.embeddings.judged import Judge, Judged
from host.embeddings.taught import load_classes
from host.embeddings.texts import load_texts
from host.embeddings.vectors_file import save_vectors
from host.images.files import Pictures, find_images
from host.images.live import camera, watch
from sim.reference.errors import USER_ERROR_STATUS

Answerer = Callable[[Iterable[Image.Image]], Iterator[Prediction | Judged]]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m host.run", description="Streams images through a device.")
    made.add_argument("--device", default=DEFAULT_DEVICE, help=f"{', '.join(sorted(DEVICES))} (default: %(default)s)")
    made.add_argument("--top-k", type=int, default=5, metavar="K", help="classes to show (default: %(default)s)")
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    made.add_argument("--classes", type=Path, metavar="CLASSES", help="name pictures by what host.teach learnt")
    made.add_argument("--unusual", action="store_true", help="with --classes: how far from all that was taught")
    made.add_argument("--texts", type=Path, metavar="FILE", help="name pictures by these texts' embeddings")
    made.add_argument("--embeddings", type=Path, metavar="OUT.npz", help="write the pictures' vectors there")
    made.add_argument("--normalise", action="store_true", help="with --embeddings: vectors of length 1")
    add_output_option(made)
    made.add_argument("program", type=Path, metavar="PROGRAM", help="the file that the device runs")
    made.add_argument("images", type=Path, nargs="*", metavar="IMAGE", help="image files and folders")
    made.add_argument("--watch", type=Path, metavar="FOLDER", help="label images as they appear there")
    made.add_argument("--camera", type=int, nargs="?", const=0, metavar="N", help="label a camera's pictures")
    return made


def as_line(file: Path, answer: Prediction | Judged, count: int) -> str:
    """One answer as a line for a pipe."""
    words = [f"{entry.index} {entry.name} {entry.probability:.4f}" for entry in answer.top(count)]
    if isinstance(answer, Judged) and answer.unusual is not None:
        words.append(f"unusual {answer.unusual:.2f}")
    return "\t".join((str(file), *words))


def as_object(file: Path, answer: Prediction | Judged, count: int) -> dict[str, object]:
    """One answer for `--json`."""
    top = [{"class": e.index, "name": e.name, "probability": round(e.probability, 6)} for e in answer.top(count)]
    found: dict[str, object] = {"file": str(file), "top": top}
    if isinstance(answer, Prediction):
        found["logits"] = [int(logit) for logit in answer.logits]
    elif answer.unusual is not None:
        found["unusual"] = round(answer.unusual, 4)
    return found | {"cycles": answer.cycles}


def as_table(answers: list[tuple[Path, Prediction | Judged]], count: int) -> Table:
    """All answers for a terminal: a row for each image and rank."""
    unusual = any(isinstance(answer, Judged) and answer.unusual is not None for _, answer in answers)
    table = Table("image", "rank", "class", "name", "confidence", *(["unusual"] if unusual else []))
    for file, prediction in answers:
        ranking = prediction.top(count)
        for rank, entry in enumerate(ranking, 1):
            first, last = str(file) if rank == 1 else "", rank == len(ranking)
            cells = [first, str(rank), str(entry.index), entry.name, percent(entry.probability)]
            if isinstance(prediction, Judged) and prediction.unusual is not None:
                cells.append(f"{prediction.unusual:.2f}" if rank == 1 else "")
            table.add_row(*cells, end_section=last and rank > 1)
    return table


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[tuple[Answerer, LoadedModel]]:
    """What answers decoded pictures, and the model that is loaded. Raises HostError."""
    if options.classes is None and options.texts is None:
        with open_device(options.device) as device:
            model = device.load(options.program)
            yield device.stream, model
        return
    taught = load_classes(options.classes) if options.classes else None
    judge: Judge = taught or load_texts(options.texts)
    with open_encoder(options.device, options.program, options.output) as encoder:
        if taught and taught.fingerprint != encoder.fingerprint:
            raise HostError(
                f"{options.classes} has classes of another model, or of another output of it, than {options.program}: "
                "teach them with this one, or name the program that they were taught with."
            )
        yield lambda pictures: judge.judgements(encoder.embed(pictures), options.unusual), encoder.model


def live(options: argparse.Namespace) -> int:
    """Labels what a folder or a camera brings, until it is interrupted; returns the exit status."""
    with opened(options) as (answers, _):
        try:
            for file, prediction in live_answers(options, answers):
                if options.json:
                    print(json.dumps(as_object(file, prediction, options.top_k)), flush=True)
                else:
                    print(as_line(file, prediction, options.top_k), flush=True)
        except KeyboardInterrupt:  # its ordinary end
            return 0
    return 0


def live_answers(options: argparse.Namespace, answers: Answerer) -> Iterator[tuple[Path, Prediction | Judged]]:
    """Names and answers. A folder's image is answered before the next one is looked for; a camera's overlap."""
    if options.watch is not None:
        for file, picture in watch(options.watch):
            yield file, next(answers([picture]))
        return
    for number, prediction in enumerate(answers(camera(options.camera))):
        yield Path(f"camera{options.camera}/{number}"), prediction


def check(options: argparse.Namespace) -> None:
    """Raises HostError for options that do not go together."""
    if (options.classes is not None) + (options.texts is not None) + (options.embeddings is not None) > 1:
        raise HostError("Give --classes, --texts or --embeddings, and only one of the three.")
    if options.normalise and options.embeddings is None:
        raise HostError("--normalise is for vectors: name a file for them with --embeddings, or leave it out.")
    if options.unusual and options.classes is None:
        raise HostError("--unusual is of classes that were taught: name them with --classes, or leave it out.")
    if options.output and options.classes is None and options.texts is None and options.embeddings is None:
        raise HostError("--output is of vectors: add --embeddings, --classes or --texts, or leave it out.")


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
    check(options)
    if options.embeddings is not None:
        return embed(options)
    if not options.images:
        return live(options)
    files = find_images(options.images)
    console = output()
    answers: list[tuple[Path, Prediction | Judged]] = []
    with opened(options) as (answer, model):
        pictures = Pictures(files)
        for number, prediction in enumerate(tracked(answer(pictures), len(files), "images")):
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
