"""Keeps the vectors of a folder's pictures in a file, in which host.search then looks.

    python -m host.index [--device DEVICE] PROGRAM FOLDER -o INDEX

Folders inside FOLDER count too. What is in INDEX already and has not changed (size, time of change) is not computed
again; after an interruption the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from host.command.errors import run_command
from host.command.terminal import tracked
from host.embeddings.encoder import add_encoder_options, open_encoder
from host.embeddings.indexing import update_index
from sim.reference.errors import USER_ERROR_STATUS


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m host.index", description="Vectors of a folder's pictures.")
    add_encoder_options(made)
    made.add_argument("folder", type=Path, metavar="FOLDER", help="pictures, also in folders inside it")
    made.add_argument(
        "-o", dest="index", type=Path, required=True, metavar="INDEX", help="written, or brought up to date"
    )
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return made


def run(options: argparse.Namespace) -> int:
    """The command's body; returns the exit status."""
    with open_encoder(options.device, options.program, options.output) as encoder:
        update = update_index(
            encoder,
            options.folder,
            options.index,
            lambda vectors, total, done: tracked(vectors, total, "pictures", done=done),
        )
    if options.json:
        counts = {"computed": update.computed, "kept": update.kept, "dropped": update.dropped}
        refused = [{"file": str(file), "error": sentence} for file, sentence in update.refused.items()]
        print(json.dumps({"index": str(options.index), **counts, "refused": refused}, indent=1))
    else:
        print(
            f"{options.index}: {update.computed + update.kept} pictures, {update.computed} computed, {update.kept} as "
            f"they were; {update.dropped} older vectors dropped"
        )
    return USER_ERROR_STATUS if update.refused else 0


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    return run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
