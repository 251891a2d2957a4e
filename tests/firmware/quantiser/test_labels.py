"""A table of labels: what is read, and which sentence a bad one gets."""

from pathlib import Path

import pytest

from firmware.quantiser.labels import LabelledFile, labels_of, read_labels
from sim.reference.errors import UserError


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,label\na.png,2\n", "has no label for b.png"),
        ("file,label\na.png,2\nb.png,3\n", "line 3: the label '3' is not a class of this model, 0 to 2"),
        ("file,label\na.png,2\nb.png,-1\n", "the label '-1' is not a class"),
        ("file,label\na.png,2\nb.png\n", "the label '' is not a class"),
        (f"file,label\na.png,{'9' * 5000}\n", "is not a class of this model"),
        ("name,label\na.png,2\nb.png,1\n", "has no column 'file'"),
        ("file,label\na.png,2\nb.png,\N{SUPERSCRIPT TWO}\n", "is not a class"),
    ],
)
def test_bad_labels(tmp_path: Path, content: str, message: str):
    path = tmp_path / "labels.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        labels_of(path, [Path("a.png"), Path("b.png")], 3)


def test_good_labels(tmp_path: Path):
    path = tmp_path / "labels.csv"
    path.write_text("file,label\nb.png,1\na.png,2\n")
    assert labels_of(path, [Path("x/a.png"), Path("x/b.png")], 3).tolist() == [2, 1]
    assert read_labels(path, 3) == [LabelledFile("b.png", 1), LabelledFile("a.png", 2)]
