"""Classes of a few pictures: what is learnt, how it is measured, what is unusual, and every mistake."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from host import run, teach
from host.command.errors import HostError
from host.embeddings.taught import FILE, class_means, load_classes, loneliness
from host.embeddings.teaching import left_out, taught
from host.embeddings.tensor_file import packed_names
from host.embeddings.vectors import normalised

COLOURS = {"red": (240, 20, 20), "green": (20, 240, 20), "blue": (20, 20, 240)}


def fill(folder: Path, counts: dict[str, int], start: int = 0) -> Path:
    """Pictures of the colours, each somewhat off."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(start, start + count):
            off = np.random.default_rng([number, len(name)]).integers(-15, 16, 3)
            Image.new("RGB", (4, 4), tuple(int(one) for one in COLOURS[name] + off)).save(
                folder / name / f"{number}.png"
            )
    return folder


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    return fill(tmp_path / "classes", {"red": 3, "green": 4, "blue": 3})


def learn(program: Path, folder: Path, path: Path, *arguments: str, spec: str = "brightness") -> int:
    return teach.main(["--device", spec, "--json", str(program), str(folder), "-o", str(path), *arguments])


@pytest.mark.parametrize("method", ["mean", "logistic"])
def test_pictures_are_named_by_their_classes(
    method: str, brightness, program: Path, classes: Path, tmp_path: Path, capsys
):
    path, others = tmp_path / "c", fill(tmp_path / "others", {"red": 2, "blue": 2}, start=50)
    assert learn(program, classes, path, "--method", method, "--held-out", str(others)) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["classes"], figures["pictures"], figures["left_out"], figures["left_out_pictures"]) == (
        3,
        10,
        1,
        10,
    )
    assert (figures["held_out"], figures["held_out_pictures"]) == (1, 4)
    strange = tmp_path / "strange.png"
    Image.new("RGB", (4, 4), (240, 240, 20)).save(strange)
    files = [str(others / "blue" / "50.png"), str(strange)]
    arguments = ["--device", "brightness", str(program), *files, "--classes", str(path), "--unusual"]
    assert run.main(["--json", *arguments]) == 0
    blue, odd = json.loads(capsys.readouterr().out)["images"]
    assert blue["top"][0]["name"] == "blue" and blue["top"][0]["probability"] > 0.9
    assert sum(entry["probability"] for entry in blue["top"]) == pytest.approx(1, abs=1e-5)
    assert blue["unusual"] < 2 and odd["unusual"] > 10
    assert run.main(["--top-k", "1", *arguments]) == 0
    line = capsys.readouterr().out.splitlines()[1].split("\t")
    assert line[0] == str(strange) and line[-1] == f"unusual {odd['unusual']:.2f}"


def test_leaving_one_out_is_done_by_hand(rng: np.random.Generator):
    """The mean's quick way equals teaching anew without each picture."""
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])
    vectors = normalised((np.eye(4, 6)[labels] + rng.normal(0, 0.6, (10, 6))).astype(np.float32))
    wanted, found = left_out(vectors, labels, 4, "mean")
    assert wanted.tolist() == labels[:9].tolist()  # the only one of its class is not left out
    by_hand = []
    for row in range(9):
        others = np.delete(np.arange(10), row)
        by_hand.append(int(np.argmax(vectors[row] @ class_means(vectors[others], labels[others], 4).T)))
    assert found.tolist() == by_hand and by_hand != labels[:9].tolist()


def test_the_temperature_is_the_most_likely_one(rng: np.random.Generator):
    """Classes that lie apart get a lower one than classes that are mixed."""
    labels = np.repeat(np.arange(3), 6)

    def temperature(noise: float) -> float:
        vectors = normalised((np.eye(3, 8)[labels] + rng.normal(0, noise, (18, 8))).astype(np.float32))
        return taught(vectors, labels, ("a", "b", "c"), "m", "mean", "here").temperature

    assert temperature(0.05) < temperature(0.8)


def test_two_classes_by_logistic_regression(rng: np.random.Generator):
    labels = np.repeat(np.arange(2), 5)
    vectors = normalised((np.eye(2, 4)[labels] + rng.normal(0, 0.1, (10, 4))).astype(np.float32))
    made = taught(vectors, labels, ("a", "b"), "m", "logistic", "here")
    assert np.argmax(made.scores(vectors), axis=1).tolist() == labels.tolist()
    wanted, found = left_out(vectors, labels, 2, "logistic")
    assert wanted.tolist() == found.tolist()
    with pytest.raises(HostError, match="tells classes apart, and there is one"):
        taught(vectors[:5], labels[:5], ("a",), "m", "logistic", "here")


def test_how_lonely_pictures_are():
    vectors = normalised(np.array([[1, 0], [1, 0.1], [0, 1]], np.float32))
    near, far = 1 - 1 / np.sqrt(1.01), 1 - 0.1 / np.sqrt(1.01)
    np.testing.assert_allclose(loneliness(vectors), [near, near, far], atol=1e-6)
    made = taught(vectors, np.array([0, 0, 1]), ("a", "b"), "m", "mean", "here")
    assert made.unusual(normalised(np.array([0.2, -1], np.float32))) == pytest.approx(
        (1 - 0.2 / np.sqrt(1.04) + 0) / far, abs=0.05
    )
    assert made.unusual(vectors[0]) == pytest.approx(0, abs=1e-5)


def emptied(folder: Path) -> str:
    (folder / "empty").mkdir()
    return "has no images"


def twice(folder: Path) -> str:
    shutil.copytree(folder / "red", folder / "Red ")
    return "two classes of one name, 'Red ' and 'red'"


def accents(folder: Path) -> str:
    for name in ("caf\u00e9", "cafe\u0301"):
        shutil.copytree(folder / "red", folder / name)
    return "two classes of one name"


def unreadable(folder: Path) -> str:
    for file in (folder / "blue").iterdir():
        file.write_text("no picture")
    return "No picture of the class 'blue' can be read"


def none_at_all(folder: Path) -> str:
    shutil.rmtree(folder)
    folder.mkdir()
    return "has no folders inside"


def absent(folder: Path) -> str:
    shutil.rmtree(folder)
    return "Cannot look into"


@pytest.mark.parametrize("spoil", [emptied, twice, accents, unreadable, none_at_all, absent])
def test_folders_that_are_no_classes(spoil, brightness, program: Path, classes: Path, tmp_path: Path, capsys):
    sentence, path = spoil(classes), tmp_path / "c"
    path.write_text("before")
    assert learn(program, classes, path) == 2
    err = capsys.readouterr().err.splitlines()
    assert sentence in err[-1] and path.read_text() == "before"
    assert sorted(os.listdir(tmp_path)) in (["c", "classes", "program"], ["c", "program"])


def test_what_does_not_fit(brightness, program: Path, classes: Path, tmp_path: Path, capsys):
    path, picture = tmp_path / "c", str(classes / "red" / "0.png")
    assert learn(program, classes, path) == 0
    capsys.readouterr()

    def named(*arguments: str, spec: str = "brightness") -> int:
        return run.main(["--device", spec, str(program), picture, *arguments])

    for command, sentence in (
        (lambda: named("--classes", str(path), spec="brightness:another"), "has classes of another model"),
        (lambda: named("--classes", str(path), "--output", "tokens"), "of another output of it"),
        (lambda: named("--classes", str(program)), "damaged or not a file of classes"),
        (lambda: named("--classes", str(tmp_path / "absent")), "a file of classes is expected"),
        (lambda: named("--classes", str(path), "--texts", str(path)), "only one of the three"),
        (lambda: named("--unusual"), "--unusual is of classes that were taught"),
        (lambda: named("--normalise"), "--normalise is for vectors"),
        (lambda: named("--output", "tokens"), "--output is of vectors"),
        (lambda: learn(program, classes, tmp_path / "no" / "c"), "does not exist"),
        (lambda: learn(program, classes, path, "--weights", "w"), "--weights compares the embedding of a model file"),
    ):
        status, err = command(), capsys.readouterr().err
        assert (status, err.count("\n")) == (2, 1) and sentence in err
    fill(tmp_path / "more", {"red": 1})
    (tmp_path / "more" / "red").rename(tmp_path / "more" / "brown")
    assert learn(program, classes, path, "--held-out", str(tmp_path / "more")) == 2
    assert "has the class 'brown', which was not taught" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"names": packed_names(["a", "A"])}, "two classes of one name"),
        ({"names": packed_names(["a", "b", "c"])}, "the class 'c' has no pictures"),
        ({"names": packed_names([])}, "has no classes"),
        ({"labels": np.array([0, 2])}, "labels are not those of 2 classes"),
        ({"labels": np.array([0, -1])}, "labels are not those of 2 classes"),
        ({"labels": np.array([0, 1, 1])}, "3 labels and 2 vectors"),
        ({"labels": np.zeros(0, np.int64), "vectors": np.zeros((0, 3), np.float32)}, "labels are not those"),
        ({"vectors": np.ones((2, 3), np.float32)}, "2 labels and 2 vectors"),
        ({"temperature": np.array(np.nan, np.float32)}, "labels are not those"),
        ({"weights": np.ones((2, 3), np.float32)}, "weights or biases are missing"),
        ({"weights": np.ones((2, 2), np.float32), "biases": np.ones(2, np.float32)}, "weights do not fit"),
    ],
)
def test_a_forged_file_is_one_sentence(changes: dict, says: str, tmp_path: Path):
    tensors = {"names": packed_names(["a", "b"]), "labels": np.array([0, 1]), "vectors": np.eye(2, 3, dtype=np.float32)}
    FILE.save(tmp_path / "c", {"model": "m"}, tensors | {"temperature": np.array(1, np.float32)} | changes)
    with pytest.raises(HostError, match=says) as caught:
        load_classes(tmp_path / "c")
    assert "\n" not in str(caught.value)


def test_without_scikit_learn(brightness, program: Path, classes: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    assert learn(program, classes, tmp_path / "c", "--method", "logistic") == 2
    assert "pip install 'ivit-machine[teach]'" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
