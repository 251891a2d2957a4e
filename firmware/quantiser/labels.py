"""The labels of a folder of images: a CSV table with the columns `file` and `label` (0-based class), and others."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sim.reference.errors import UserError

__all__ = ["LabelledFile", "labels_of", "read_labels"]

MOST_DIGITS = 10  # of a label: Python refuses to read a number of some thousand


@dataclass(frozen=True)
class LabelledFile:
    """One row: an image's path relative to the folder, as the table gives it, and its 0-based class."""

    file: str
    label: int


def read_labels(path: Path, classes: int) -> list[LabelledFile]:
    """The rows of the table in its order; other columns are ignored.

    Raises
    ------
    UserError : the file cannot be read, lacks a column, has no rows, names a file twice, or has a label that is not a
        whole number from 0 to `classes` - 1; the sentence names the line
    """
    rows: dict[str, LabelledFile] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream, skipinitialspace=True)
            columns = table.fieldnames or []
            for column in ("file", "label"):
                if column not in columns:
                    raise UserError(f"{path} has no column {column!r}: its first line must name `file` and `label`.")
            for row in table:
                found = _row(row, classes, f"{path}, line {table.line_num}")
                if found.file in rows:
                    raise UserError(f"{path}, line {table.line_num}: {found.file} is there twice.")
                rows[found.file] = found
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise UserError(f"Cannot read the labels {path}: {reason}.") from error
    if not rows:
        raise UserError(f"{path} has no rows: give one line `file,label` for each image.")
    return list(rows.values())


def _row(row: dict[str, str | None], classes: int, where: str) -> LabelledFile:
    file, label = (row["file"] or "").strip(), (row["label"] or "").strip()
    if not file:
        raise UserError(f"{where}: the file name is empty.")
    if not (label.isascii() and label.isdigit() and len(label) < MOST_DIGITS and int(label) < classes):
        raise UserError(f"{where}: the label {label!r} is not a class of this model, 0 to {classes - 1}.")
    return LabelledFile(file, int(label))


def labels_of(path: Path, files: Sequence[Path], classes: int) -> npt.NDArray[np.int64]:
    """The class of each of `files`, by its name, from a table that may have more.

    Raises
    ------
    UserError : as `read_labels`, or a file is not in the table
    """
    labels = {row.file: row.label for row in read_labels(path, classes)}
    for file in files:
        if file.name not in labels:
            raise UserError(f"{path} has no label for {file.name}; each image needs a row.")
    return np.array([labels[file.name] for file in files], np.int64)
