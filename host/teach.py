"""Learns classes from a few pictures each: no training, the mean of their vectors.

    python -m host.teach [--device DEVICE] [--method mean|logistic] PROGRAM FOLDER -o CLASSES

FOLDER has a folder for each class, which is called as the class. `host.run --classes CLASSES` then names pictures by
them. Printed is the accuracy of leaving each picture out once, and with `--held-out FOLDER` that on other pictures of
the same classes. `--weights CHECKPOINT` does the same with the float model that PROGRAM, a model file, was made of.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from host.command.errors import HostError, run_command
from host.command.terminal import percent, tracked
from host.devices.model_file import MODEL_FORMAT, kind_of
from host.embeddings.class_folders import ClassPictures, Examples, find_classes
from host.embeddings.encoder import Encoder, add_encoder_options, open_encoder
from host.embeddings.float_encoder import float_vectors
from host.embeddings.taught import METHODS, save_classes
from host.embeddings.teaching import accuracy, left_out, taught
from host.embeddings.vectors import unit_vectors
from host.images.files import Pictures
from sim.reference.errors import USER_ERROR_STATUS
from sim.reference.outputs import EMBEDDING


@dataclass(frozen=True)
class Learnt:
    """What was taught, the pictures and the class of each; and others to try it on."""

    examples: Examples
    others: Examples | None


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m host.teach", description="Classes of a few pictures each.")
    add_encoder_options(made)
    made.add_argument("folder", type=Path, metavar="FOLDER", help="a folder with pictures for each class")
    made.add_argument("-o", dest="classes", type=Path, required=True, metavar="CLASSES", help="the file to write")
    made.add_argument(
        "--method", choices=METHODS, default="mean", help="nearest mean, or logistic regression (default: %(default)s)"
    )
    made.add_argument("--held-out", type=Path, metavar="FOLDER", help="other pictures of the classes, to try it on")
    made.add_argument("--weights", type=Path, metavar="CHECKPOINT", help="compare with this float model")
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return made


def learnt(options: argparse.Namespace, encoder: Encoder | None, refused: dict[Path, str]) -> Learnt:
    """The vectors of all pictures, by the device or, without one, by the float model."""

    def examples(found: ClassPictures) -> Examples:
        pictures = Pictures(found.files)

        def vectors(read: Pictures):  # type: ignore[no-untyped-def]
            if encoder is None:
                made = float_vectors(options.program, options.weights, read)
            else:
                made = unit_vectors(encoder.embed(read))
            return tracked(made, len(found.files), "pictures" if encoder else "float pictures")

        made = Examples.of(found, pictures, vectors)
        refused.update(pictures.refused)
        return made

    found = find_classes(options.folder)
    others = find_classes(options.held_out, found.names) if options.held_out else None
    return Learnt(examples(found), examples(others) if others else None)


def measured(options: argparse.Namespace, names: tuple[str, ...], found: Learnt, fingerprint: str) -> dict[str, object]:
    """Accuracies; writes the classes where there is a fingerprint."""
    examples, others = found.examples, found.others
    made = taught(examples.vectors, examples.labels, names, fingerprint, options.method, str(options.classes))
    wanted, said = left_out(
        examples.vectors,
        examples.labels,
        len(names),
        options.method,
        lambda steps, total: tracked(steps, total, "leaving one out"),
    )
    figures: dict[str, object] = {
        "left_out": accuracy(wanted, said),
        "left_out_pictures": len(wanted),
        "temperature": made.temperature,
    }
    if others is not None:
        answers = np.argmax(made.scores(others.vectors), axis=1)
        figures |= {"held_out": accuracy(others.labels, answers), "held_out_pictures": len(answers)}
    if fingerprint:
        save_classes(made, options.classes)
    return figures


def shown(figures: dict[str, object], prefix: str = "") -> None:
    """Accuracies for people."""
    for key, title in (("left_out", "leaving each picture out once"), ("held_out", "other pictures")):
        share, count = figures.get(key), figures.get(f"{key}_pictures")
        if isinstance(share, float):
            print(f"{prefix}accuracy, {title}: {percent(share)} of {count}")


def run(options: argparse.Namespace) -> int:
    """The command's body; returns the exit status."""
    if options.weights is not None and (
        kind_of(options.program) != MODEL_FORMAT or options.output not in (None, EMBEDDING)
    ):
        raise HostError("--weights compares the embedding of a model file: name one, and no other --output.")
    names, refused = find_classes(options.folder).names, dict[Path, str]()
    with open_encoder(options.device, options.program, options.output) as encoder:
        found, fingerprint = learnt(options, encoder, refused), encoder.fingerprint
    figures = measured(options, names, found, fingerprint)
    if options.weights is not None:
        figures["float"] = measured(options, names, learnt(options, None, {}), "")
    if options.json:
        counts = {"classes": len(names), "pictures": len(found.examples.labels), "method": options.method}
        errors = [{"file": str(file), "error": sentence} for file, sentence in refused.items()]
        print(json.dumps({"file": str(options.classes), **counts, **figures, "refused": errors}, indent=1))
    else:
        print(f"{options.classes}: {len(names)} classes of {len(found.examples.labels)} pictures, {options.method}")
        shown(figures)
        if isinstance(figures.get("float"), dict):
            shown(figures["float"], "float model: ")  # type: ignore[arg-type]
    return USER_ERROR_STATUS if refused else 0


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    return run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
