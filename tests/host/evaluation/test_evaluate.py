"""`python -m host.evaluate`: counts, parts of a table, logs, and bad tables."""

import json
from pathlib import Path

import pytest

from host import evaluate
from host.devices.registry import DEVICES


def arguments(program: Path, folder: Path, *more: str, device: str = "brightness") -> list[str]:
    table = ["--images", str(folder), "--labels", str(folder / "labels.csv")]
    return ["--device", device, str(program), *table, *more]


def result(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_accuracy_and_confusions(brightness, program: Path, folder: Path, capsys):
    assert evaluate.main(arguments(program, folder, "--json", device="brightness:counting")) == 0
    found = result(capsys)
    assert (found["images"], found["correct"], found["accuracy"]) == (8, 7, 7 / 8)
    assert found["confusions"] == [{"class": 0, "called": 3, "images": 1}]
    assert found["cycles"] == {"fewest": 1000, "most": 1000}
    assert brightness[0].calls == [3, 3, 2]


def test_text_in_a_pipe(brightness, program: Path, folder: Path, capsys):
    assert evaluate.main(arguments(program, folder)) == 0
    out, err = capsys.readouterr()
    assert "accuracy: 87.5 % (7 of 8 images)" in out
    assert "0 black" in out
    assert err == ""


@pytest.mark.parametrize(
    ("more", "images", "correct"), [(("--skip", "6"), 2, 1), (("--skip", "1", "--limit", "5"), 5, 5)]
)
def test_a_part_of_the_table(more, images, correct, brightness, program: Path, folder: Path, capsys):
    assert evaluate.main(arguments(program, folder, "--json", *more)) == 0
    found = result(capsys)
    assert (found["images"], found["correct"]) == (images, correct)


@pytest.mark.parametrize(("device", "same"), [("brightness", 8), ("brightness:wrong", 0)])
def test_agreement_is_of_labels_and_of_integers(
    device, same, brightness, program: Path, folder: Path, capsys, monkeypatch
):
    monkeypatch.setitem(DEVICES, "reference", DEVICES["brightness"])
    assert evaluate.main(arguments(program, folder, "--json", "--reference", str(program), device=device)) == 0
    found = result(capsys)
    assert (found["compared"], found["same_labels"], found["same_integers"]) == (8, 8, same)
    assert found["accuracy"] == 7 / 8
    assert all(opened.closed for opened in brightness)


def test_an_interrupted_evaluation_goes_on(brightness, program: Path, folder: Path, tmp_path: Path, capsys):
    log = tmp_path / "log"
    resume = ("--resume", str(log), "--json")
    assert evaluate.main(arguments(program, folder, *resume, "--limit", "5")) == 0
    capsys.readouterr()
    log.write_text(log.read_text()[:-4])  # as if the power had gone while the fifth line was written
    assert evaluate.main(arguments(program, folder, *resume, "--limit", "4")) == 0
    assert log.read_text().endswith("}\n") and log.read_text().count("\n") == 5
    capsys.readouterr()
    assert evaluate.main(arguments(program, folder, *resume)) == 0
    found = result(capsys)
    assert (found["images"], found["correct"]) == (8, 7)
    assert brightness[2].calls == [3, 1]
    assert evaluate.main(arguments(program, folder, *resume)) == 0
    assert brightness[3].calls == []
    assert result(capsys) == found


def test_the_log_of_another_program_is_refused(brightness, program: Path, folder: Path, tmp_path: Path, capsys):
    log = tmp_path / "log"
    assert evaluate.main(arguments(program, folder, "--resume", str(log))) == 0
    before = log.read_text()
    program.write_bytes(b"another")
    capsys.readouterr()
    assert evaluate.main(arguments(program, folder, "--resume", str(log))) == 2
    assert "log of another evaluation (other program)" in capsys.readouterr().err
    assert log.read_text() == before


@pytest.mark.parametrize("content", ["labels\n", "[1]\n", '{"device": 1}\n{"file": 1}\n', "no newline"])
def test_another_file_is_not_overwritten(content, brightness, program: Path, folder: Path, tmp_path: Path, capsys):
    log = tmp_path / "log"
    log.write_text(content)
    assert evaluate.main(arguments(program, folder, "--resume", str(log))) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert log.read_text() == content


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("", "has no column 'file'"),
        ("file,class\na.png,1\n", "has no column 'label'"),
        ("file,label\n", "has no rows"),
        ("file,label\ngrey_016.png,4\n", "line 2: the label '4' is not a class of this model, 0 to 3"),
        ("file,label\ngrey_016.png,-1\n", "the label '-1' is not a class"),
        ("file,label\ngrey_016.png,1.0\n", "the label '1.0' is not a class"),
        ("file,label\ngrey_016.png\n", "the label '' is not a class"),
        ("file,label\n,1\n", "line 2: the file name is empty"),
        ("file,label\ngrey_016.png,0\ngrey_016.png,0\n", "line 3: grey_016.png is there twice"),
        ("file,label\ngrey_016.png,0\nx.png,0\ny.png,0\n", "lacks x.png and 1 more"),
        (b"file,label\n\xff\xfe,0\n", "Cannot read the labels"),
    ],
)
def test_a_bad_table_is_one_sentence(table, sentence, brightness, program: Path, folder: Path, capsys):
    (folder / "labels.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    assert evaluate.main(arguments(program, folder)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_a_missing_table_is_one_sentence(brightness, program: Path, folder: Path, capsys):
    (folder / "labels.csv").unlink()
    assert evaluate.main(arguments(program, folder)) == 2
    assert "Cannot read the labels" in capsys.readouterr().err


@pytest.mark.parametrize("more", [("--skip", "8"), ("--skip", "-1"), ("--limit", "0")])
def test_an_empty_part_is_refused(more, brightness, program: Path, folder: Path, capsys):
    assert evaluate.main(arguments(program, folder, *more)) == 2
    assert "--skip" in capsys.readouterr().err
