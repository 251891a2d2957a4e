"""Looks for the pictures that are most like one.

    python -m host.search [--device DEVICE] [--top-k N] [--json] PROGRAM INDEX IMAGE...

In a pipe a line an image: the file, then `cosine file` for each of the N nearest pictures of INDEX (`host.index`),
separated by tabs. All vectors are looked at.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from host.command.errors import HostError, run_command
from host.command.terminal import output, tracked
from host.embeddings.encoder import add_encoder_options, open_encoder
from host.embeddings.index_file import Index, load_index
from host.embeddings.vectors import Vectors, nearest, unit_vectors
from host.images.files import Pictures, find_images
from sim.reference.errors import USER_ERROR_STATUS


@dataclass(frozen=True)
class Found:
    """The pictures that are like `file`: path and cosine of each; and how long the search took."""

    file: Path
    similar: list[tuple[Path, float]]
    milliseconds: float


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m host.search", description="Pictures that are like one.")
    add_encoder_options(made)
    made.add_argument("--top-k", type=int, default=5, metavar="N", help="pictures to show (default: %(default)s)")
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    made.add_argument("index", type=Path, metavar="INDEX", help="what host.index wrote")
    made.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="image files and folders")
    return made


def searched(index: Index, path: Path, file: Path, vector: Vectors, count: int) -> Found:
    """What the index has that is like a picture of this vector.

    Raises
    ------
    HostError : the vector has another number of channels than the index
    """
    if vector.shape != index.vectors.shape[1:]:
        raise HostError(
            f"{path} has vectors of {index.vectors.shape[1]} numbers, and the program gives {vector.size}: name the "
            "program that the index was made with."
        )
    begun = time.perf_counter()
    rows = nearest(index.vectors, vector, count)
    milliseconds = 1000 * (time.perf_counter() - begun)
    return Found(file, [(Path(index.folder, index.names[row]), cosine) for row, cosine in rows], milliseconds)


def show(results: list[Found], as_json: bool, refused: dict[Path, str]) -> None:
    """All of it, on a terminal as a table."""
    console = output()
    if as_json:
        images = [
            {
                "file": str(found.file),
                "similar": [{"file": str(file), "cosine": round(cosine, 6)} for file, cosine in found.similar],
                "milliseconds": round(found.milliseconds, 3),
            }
            for found in results
        ]
        errors = [{"file": str(file), "error": sentence} for file, sentence in refused.items()]
        print(json.dumps({"images": images, "refused": errors}, indent=1))
    elif console.is_terminal:
        table = Table("image", "rank", "cosine", "picture")
        for found in results:
            for rank, (file, cosine) in enumerate(found.similar, 1):
                table.add_row(str(found.file) if rank == 1 else "", str(rank), f"{cosine:.4f}", str(file))
        console.print(table)
    else:
        for found in results:
            print("\t".join((str(found.file), *(f"{cosine:.4f} {file}" for file, cosine in found.similar))))


def run(options: argparse.Namespace) -> int:
    """The command's body; returns the exit status."""
    if options.top_k < 1:
        raise HostError(f"--top-k must be at least 1, not {options.top_k}.")
    index, files = load_index(options.index), find_images(options.images)
    pictures, results = Pictures(files), []
    with open_encoder(options.device, options.program, options.output) as encoder:
        if index.fingerprint != encoder.fingerprint:
            raise HostError(
                f"{options.index} has vectors of another model, or of another output of it, than {options.program}: "
                "name the program that it was made with."
            )
        vectors = tracked(unit_vectors(encoder.embed(pictures)), len(files), "images")
        for number, vector in enumerate(vectors):
            results.append(searched(index, options.index, pictures.read[number], vector, options.top_k))
    show(results, options.json, pictures.refused)
    return USER_ERROR_STATUS if pictures.refused else 0


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    return run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
