"""Measures the accuracy of a model on a device, and how far it agrees with the reference.

    python -m host.evaluate [--device DEVICE] PROGRAM --images DIR --labels CSV [--reference MODEL]

The CSV names the columns `file` (relative to DIR) and `label` (0-based class). With `--reference MODEL` every image
also goes through the integer reference of that model file, and the logits are compared bit for bit. `--boards N` has
the images go to N emulated boards side by side, `--scheduler ADDRESS` to those of a Dask cluster's workers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import tee
from pathlib import Path

from rich.table import Table

from host.command.errors import HostError, run_command
from host.command.terminal import output, percent, tracked
from host.devices.base import Device
from host.devices.registry import DEFAULT_DEVICE, DEVICES, open_device
from host.evaluation.labels import Labelled, check_files, read_labels
from host.evaluation.log import Journal, checksum
from host.evaluation.metrics import Outcome, Tally
from host.evaluation.workers import Job, model_of, on_cluster, side_by_side
from host.images.files import read_image

WIDEST_MATRIX = 20
"""Classes above which a confusion matrix no longer fits a terminal and the most frequent confusions are shown."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m host.evaluate", description="Accuracy of a model on a device.")
    made.add_argument("--device", default=DEFAULT_DEVICE, help=f"{', '.join(sorted(DEVICES))} (default: %(default)s)")
    made.add_argument("--images", type=Path, required=True, metavar="DIR", help="the folder of the images")
    made.add_argument("--labels", type=Path, required=True, metavar="CSV", help="columns file and label")
    made.add_argument("--reference", type=Path, metavar="MODEL", help="compare with the reference of this model file")
    made.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N rows of the table")
    made.add_argument("--limit", type=int, metavar="N", help="evaluate at most N rows")
    made.add_argument("--resume", type=Path, metavar="FILE", help="journal: written as it goes, taken up if it exists")
    many = made.add_mutually_exclusive_group()
    many.add_argument("--boards", type=int, default=1, metavar="N", help="emulated boards side by side, in processes")
    many.add_argument("--scheduler", metavar="ADDRESS", help="a board on each worker of this Dask cluster")
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    made.add_argument("program", type=Path, metavar="PROGRAM", help="the file that the device runs")
    return made


def outcomes(device: Device, reference: Device | None, folder: Path, rows: list[Labelled]) -> Iterator[Outcome]:
    """Evaluates the rows in order, streaming the images in the devices' batches."""
    mine, others = tee(read_image(folder / row.file) for row in rows)
    predictions = device.stream(mine)
    if reference is None:
        for row, prediction in zip(rows, predictions, strict=True):
            yield Outcome(row.file, row.label, prediction.label, prediction.cycles)
        return
    for row, prediction, expected in zip(rows, predictions, reference.stream(others), strict=True):
        yield Outcome(
            row.file,
            row.label,
            prediction.label,
            prediction.cycles,
            same_label=prediction.label == expected.label,
            same_integers=prediction.same_integers(expected),
        )


def as_object(tally: Tally, options: argparse.Namespace, names: tuple[str, ...]) -> dict[str, object]:
    """The result for `--json`."""
    return {
        "device": options.device,
        "program": str(options.program),
        "images": tally.images,
        "correct": tally.correct,
        "accuracy": tally.accuracy,
        "reference": str(options.reference) if options.reference else None,
        "compared": tally.compared,
        "same_labels": tally.same_labels,
        "same_integers": tally.same_integers,
        "cycles": {"fewest": min(tally.cycles), "most": max(tally.cycles)} if tally.cycles else None,
        "classes": list(names),
        "confusions": [{"class": a, "called": b, "images": count} for a, b, count in tally.mistakes()],
    }


def confusion_table(tally: Tally, names: tuple[str, ...]) -> Table:
    """The confusion matrix, or where there are too many classes the ten most frequent confusions."""
    if len(names) > WIDEST_MATRIX:
        table = Table("class", "called", "images", title="most frequent confusions")
        for actual, called, count in tally.mistakes()[:10]:
            table.add_row(f"{actual} {names[actual]}", f"{called} {names[called]}", str(count))
        return table
    table = Table("class", *(str(i) for i in range(len(names))), title="images of a class (row) called (column)")
    for actual, name in enumerate(names):
        counts = (str(count) if count else "" for count in tally.confusion[actual])
        table.add_row(f"{actual} {name}", *counts)
    return table


def report(tally: Tally, options: argparse.Namespace, names: tuple[str, ...]) -> None:
    """Prints the result."""
    if options.json:
        print(json.dumps(as_object(tally, options, names), indent=1))
        return
    print(f"accuracy: {percent(tally.accuracy)} ({tally.correct} of {tally.images} images)")
    if tally.compared:
        print(f"labels as the reference: {tally.same_labels} of {tally.compared}")
        print(f"logits as the reference, bit for bit: {tally.same_integers} of {tally.compared}")
    if tally.cycles:
        print(f"cycles a frame: {min(tally.cycles)} to {max(tally.cycles)}")
    output().print(confusion_table(tally, names))


def evaluate(options: argparse.Namespace) -> int:
    """The command's body; returns the exit status."""
    if options.skip < 0 or (options.limit is not None and options.limit < 1):
        raise HostError("--skip must be at least 0 and --limit at least 1.")
    if options.boards < 1:
        raise HostError(f"--boards must be at least 1, not {options.boards}.")
    several = options.boards > 1 or options.scheduler is not None
    with ExitStack() as stack:
        if several:
            names = model_of(options.program).class_names
        else:
            device = stack.enter_context(open_device(options.device))
            names = device.load(options.program).class_names
        end = None if options.limit is None else options.skip + options.limit
        rows = read_labels(options.labels, len(names))[options.skip : end]
        if not rows:
            raise HostError(f"--skip {options.skip} leaves out every row of {options.labels}: choose a smaller one.")
        check_files(options.images, rows)
        reference = None
        if options.reference:
            if several:
                expected = model_of(options.reference)
            else:
                reference = stack.enter_context(open_device("reference"))
                expected = reference.load(options.reference)
            if len(expected.class_names) != len(names):
                raise HostError(f"{options.reference} has other classes than {options.program}: give the same model.")
        tally, journal = Tally(len(names)), None
        if options.resume:
            header = {
                "device": options.device,
                "program": checksum(options.program),
                "reference": checksum(options.reference) if options.reference else "",
                "labels": checksum(options.labels),
            }
            journal = stack.enter_context(Journal(options.resume, header))
            for row in rows:
                if row.file in journal.done:
                    tally.add(journal.done[row.file])
            rows = [row for row in rows if row.file not in journal.done]
        finished = tally.images
        results: Iterator[Outcome]
        if several:
            job = Job(options.device, options.program, options.images, options.reference)
            scheduler = options.scheduler
            shared = on_cluster(job, rows, scheduler) if scheduler else side_by_side(job, rows, options.boards)
            results = stack.enter_context(closing(shared))
        else:
            results = outcomes(device, reference, options.images, rows)
        for outcome in tracked(results, finished + len(rows), "images", done=finished):
            tally.add(outcome)
            if journal:
                journal.add(outcome)
        report(tally, options, names)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    return run_command(lambda: evaluate(options))


if __name__ == "__main__":
    sys.exit(main())
