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
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from pathlib import Path

from firmware.quantiser.labels import LabelledFile, read_labels
from host.command.errors import HostError, run_command
from host.command.terminal import tracked
from host.devices.registry import DEFAULT_DEVICE, DEVICES
from host.evaluation.job import Evaluator, Job, class_names
from host.evaluation.log import EvaluationLog, checksum
from host.evaluation.metrics import Metrics, Outcome
from host.evaluation.report import as_object, print_metrics
from host.evaluation.workers import in_processes, on_cluster


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m host.evaluate", description="Accuracy of a model on a device.")
    made.add_argument("--device", default=DEFAULT_DEVICE, help=f"{', '.join(sorted(DEVICES))} (default: %(default)s)")
    made.add_argument("--images", type=Path, required=True, metavar="DIR", help="the folder of the images")
    made.add_argument("--labels", type=Path, required=True, metavar="CSV", help="columns file and label")
    made.add_argument("--reference", type=Path, metavar="MODEL", help="compare with the reference of this model file")
    made.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N rows of the table")
    made.add_argument("--limit", type=int, metavar="N", help="evaluate at most N rows")
    made.add_argument("--resume", type=Path, metavar="FILE", help="log: written as it goes, taken up if it exists")
    many = made.add_mutually_exclusive_group()
    many.add_argument("--boards", type=int, default=1, metavar="N", help="emulated boards side by side, in processes")
    many.add_argument("--scheduler", metavar="ADDRESS", help="a board on each worker of this Dask cluster")
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    made.add_argument("program", type=Path, metavar="PROGRAM", help="the file that the device runs")
    return made


def chosen_rows(options: argparse.Namespace, classes: int) -> list[LabelledFile]:
    """The rows of the table that are asked for.

    Raises
    ------
    UserError : there are none, the table is bad, or an image is not there
    """
    end = None if options.limit is None else options.skip + options.limit
    rows = read_labels(options.labels, classes)[options.skip : end]
    if not rows:
        raise HostError(f"--skip {options.skip} leaves out every row of {options.labels}: choose a smaller one.")
    # Better now than an hour into a run.
    missing = [row.file for row in rows if not (options.images / row.file).is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise HostError(f"The folder {options.images} lacks {missing[0]}{more}: check --images and --labels.")
    return rows


def opened_log(options: argparse.Namespace) -> EvaluationLog:
    """The log of this evaluation, of these files. Raises HostError."""
    header = {
        "device": options.device,
        "program": checksum(options.program),
        "reference": checksum(options.reference) if options.reference else "",
        "labels": checksum(options.labels),
    }
    return EvaluationLog(options.resume, header)


def check(options: argparse.Namespace) -> None:
    """Raises HostError for numbers that mean nothing."""
    if options.skip < 0 or (options.limit is not None and options.limit < 1):
        raise HostError("--skip must be at least 0 and --limit at least 1.")
    if options.boards < 1:
        raise HostError(f"--boards must be at least 1, not {options.boards}.")


def evaluate(options: argparse.Namespace) -> int:
    """The command's body; returns the exit status."""
    check(options)
    job = Job(options.device, options.program, options.images, options.reference)
    run: Callable[[list[LabelledFile]], Generator[Outcome, None, None]]
    with ExitStack() as stack:
        if options.scheduler is not None:
            names, run = class_names(job), lambda rows: on_cluster(job, rows, options.scheduler)
        elif options.boards > 1:
            names, run = class_names(job), lambda rows: in_processes(job, rows, options.boards)
        else:
            evaluator = stack.enter_context(Evaluator(job))
            names, run = evaluator.class_names, evaluator.outcomes
        rows, metrics = chosen_rows(options, len(names)), Metrics(len(names))
        log = stack.enter_context(opened_log(options)) if options.resume else None
        done = [log.done[row.file] for row in rows if row.file in log.done] if log else []
        for outcome in done:
            metrics.add(outcome)
        left = [row for row in rows if log is None or row.file not in log.done]
        outcomes = stack.enter_context(closing(run(left)))
        for outcome in tracked(outcomes, len(rows), "images", done=len(done)):
            metrics.add(outcome)
            if log:
                log.add(outcome)
    if options.json:
        print(json.dumps(as_object(metrics, job, names), indent=1))
    else:
        print_metrics(metrics, names)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    return run_command(lambda: evaluate(options))


if __name__ == "__main__":
    sys.exit(main())
