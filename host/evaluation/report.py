"""The report of an evaluation: lines and a table for people, an object for `--json`."""

from __future__ import annotations

from rich.table import Table

from host.command.terminal import output, percent
from host.evaluation.job import Job
from host.evaluation.metrics import Metrics

__all__ = ["as_object", "print_metrics"]

WIDEST_MATRIX = 20
"""Classes above which a confusion matrix no longer fits a terminal and the most frequent confusions are shown."""


def as_object(metrics: Metrics, job: Job, names: tuple[str, ...]) -> dict[str, object]:
    """For `--json`."""
    return {
        "device": job.device,
        "program": str(job.program),
        "images": metrics.images,
        "correct": metrics.correct,
        "accuracy": metrics.accuracy,
        "reference": str(job.reference) if job.reference else None,
        "compared": metrics.compared,
        "same_labels": metrics.same_labels,
        "same_integers": metrics.same_integers,
        "cycles": {"fewest": min(metrics.cycles), "most": max(metrics.cycles)} if metrics.cycles else None,
        "classes": list(names),
        "confusions": [{"class": a, "called": b, "images": count} for a, b, count in metrics.mistakes()],
    }


def confusion_table(metrics: Metrics, names: tuple[str, ...]) -> Table:
    """The confusion matrix or, if there are too many classes, the ten most frequent confusions."""
    if len(names) > WIDEST_MATRIX:
        table = Table("class", "called", "images", title="most frequent confusions")
        for actual, called, count in metrics.mistakes()[:10]:
            table.add_row(f"{actual} {names[actual]}", f"{called} {names[called]}", str(count))
        return table
    table = Table("class", *(str(i) for i in range(len(names))), title="images of a class (row) called (column)")
    for actual, name in enumerate(names):
        counts = (str(count) if count else "" for count in metrics.confusion[actual])
        table.add_row(f"{actual} {name}", *counts)
    return table


def print_metrics(metrics: Metrics, names: tuple[str, ...]) -> None:
    """For people."""
    print(f"accuracy: {percent(metrics.accuracy)} ({metrics.correct} of {metrics.images} images)")
    if metrics.compared:
        print(f"labels as the reference: {metrics.same_labels} of {metrics.compared}")
        print(f"logits as the reference, bit for bit: {metrics.same_integers} of {metrics.compared}")
    if metrics.cycles:
        print(f"cycles a frame: {min(metrics.cycles)} to {max(metrics.cycles)}")
    output().print(confusion_table(metrics, names))
