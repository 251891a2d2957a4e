"""The table of labels of an evaluation: CSV with a header, `file` and `label` (0-based class) among its columns."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from host.command.errors import HostError, reason


@dataclass(frozen=True)
class Labelled:
    """One image of an evaluation: its path relative to the folder as the table gives it, and its 0-based class."""

    file: str
    label: int


def read_labels(path: Path, classes: int) -> list[Labelled]:
    """The rows of the table in its order; other columns are ignored.

    Raises
    ------
    HostError : the file cannot be read, lacks a column, has no rows, names a file twice, or has a label that is not a
        whole number from 0 to `classes` - 1; the sentence names the line
    """
    rows: list[Labelled] = []
    seen: set[str] = set()
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream, skipinitialspace=True)
            columns = table.fieldnames or []
            for column in ("file", "label"):
                if column not in columns:
                    raise HostError(f"{path} has no column {column!r}: its first line must name `file` and `label`.")
            for row in table:
                where = f"{path}, line {table.line_num}"
                file, label = (row["file"] or "").strip(), (row["label"] or "").strip()
                if not file:
                    raise HostError(f"{where}: the file name is empty.")
                if file in seen:
                    raise HostError(f"{where}: {file} is there twice.")
                if not label.isdecimal() or int(label) >= classes:
                    raise HostError(f"{where}: the label {label!r} is not a class of this model, 0 to {classes - 1}.")
                seen.add(file)
                rows.append(Labelled(file, int(label)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HostError(f"Cannot read the labels {path}: {reason(error)}.") from error
    if not rows:
        raise HostError(f"{path} has no rows: give one line `file,label` for each image.")
    return rows


def check_files(folder: Path, rows: list[Labelled]) -> None:
    """Raises HostError where an image of the table is not in the folder; better now than an hour into a run."""
    missing = [row.file for row in rows if not (folder / row.file).is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise HostError(f"The folder {folder} lacks {missing[0]}{more}: check --images and --labels.")
