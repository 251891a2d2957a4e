"""Indexes: what is computed again and what is not, interruptions, damage, other models; and the search in them."""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from host import index as index_command
from host import search as search_command
from host.command.errors import HostError
from host.embeddings.index_file import FILE, Index, load_index, save_index
from host.embeddings.tensor_file import packed_names
from host.embeddings.vectors import nearest, normalised
from tests.host.conftest import BrightnessDevice

COLOURS = {
    "red": (250, 10, 10),
    "rose": (240, 90, 90),
    "green": (10, 250, 10),
    "blue": (10, 10, 250),
    "night": (8, 8, 90),
}


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """Pictures of one colour each, two of them in a folder inside."""
    folder = tmp_path / "gallery"
    (folder / "cold").mkdir(parents=True)
    for name, colour in COLOURS.items():
        inside = folder / "cold" if name in ("blue", "night") else folder
        Image.new("RGB", (4, 4), colour).save(inside / f"{name}.png")
    (folder / "notes.txt").write_text("not a picture")
    return folder


def indexed(program: Path, folder: Path, path: Path, spec: str = "brightness") -> int:
    return index_command.main(["--device", spec, "--json", str(program), str(folder), "-o", str(path)])


def counts(capsys: pytest.CaptureFixture[str]) -> tuple[int, int, int]:
    found = json.loads(capsys.readouterr().out)
    return found["computed"], found["kept"], found["dropped"]


def test_only_what_is_new_is_computed(brightness, program: Path, gallery: Path, tmp_path: Path, capsys):
    path = tmp_path / "index"
    assert indexed(program, gallery, path) == 0
    assert counts(capsys) == (5, 0, 0)
    first = path.read_bytes()
    assert indexed(program, gallery, path) == 0
    assert counts(capsys) == (0, 5, 0) and path.read_bytes() == first and brightness[1].calls == []
    Image.new("RGB", (4, 4), (0, 200, 0)).save(gallery / "green.png")
    os.utime(gallery / "green.png", ns=(1, 1))
    (gallery / "red.png").unlink()
    Image.new("RGB", (4, 4), (9, 9, 9)).save(gallery / "black.png")
    assert indexed(program, gallery, path) == 0
    assert counts(capsys) == (2, 3, 2)
    index = load_index(path)
    assert index.names == ("black.png", "cold/blue.png", "cold/night.png", "green.png", "rose.png")
    wanted = normalised(np.array([[0 - 128, 200 - 128, 0 - 128]], np.float32))
    np.testing.assert_allclose(index.vectors[3], wanted[0], atol=1e-6)


def test_an_interruption_loses_nothing(brightness, program: Path, gallery: Path, tmp_path: Path, capsys, monkeypatch):
    path, works = tmp_path / "index", BrightnessDevice.run

    def run(self, images):
        if len(self.calls) == 1:
            raise KeyboardInterrupt
        return works(self, images)

    monkeypatch.setattr(BrightnessDevice, "run", run)
    assert indexed(program, gallery, path) == 130
    assert capsys.readouterr().err == "Interrupted.\n"
    assert len(load_index(path).names) == 3 == BrightnessDevice.batch
    monkeypatch.setattr(BrightnessDevice, "run", works)
    assert indexed(program, gallery, path) == 0
    assert counts(capsys) == (2, 3, 0)
    assert sorted(os.listdir(tmp_path)) == ["gallery", "index", "program"]


def test_a_device_that_fails_loses_nothing(
    brightness, program: Path, gallery: Path, tmp_path: Path, capsys, monkeypatch
):
    path = tmp_path / "index"
    assert indexed(program, gallery, path) == 0
    before = path.read_bytes()

    def fails(self, images):
        raise HostError("The device does not answer: check the cable.")

    monkeypatch.setattr(BrightnessDevice, "run", fails)
    Image.new("RGB", (4, 4), (9, 9, 9)).save(gallery / "black.png")
    assert indexed(program, gallery, path) == 2
    assert "check the cable" in capsys.readouterr().err and path.read_bytes() == before


def test_a_picture_that_cannot_be_read_is_left_out(brightness, program: Path, gallery: Path, tmp_path: Path, capsys):
    (gallery / "cut.png").write_bytes((gallery / "red.png").read_bytes()[:45])
    assert indexed(program, gallery, tmp_path / "index") == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["computed"] == 5 and "cut.png" in err and err.count("\n") == 1
    assert len(load_index(tmp_path / "index").names) == 5


def search(program: Path, path: Path, *arguments: str, spec: str = "brightness") -> int:
    return search_command.main(["--device", spec, str(program), str(path), *arguments])


def test_the_most_like_come_first(brightness, program: Path, gallery: Path, tmp_path: Path, capsys):
    path, wanted = tmp_path / "index", tmp_path / "wanted.png"
    assert indexed(program, gallery, path) == 0
    Image.new("RGB", (4, 4), (255, 40, 40)).save(wanted)
    capsys.readouterr()
    assert search(program, path, "--top-k", "2", str(wanted)) == 0
    file, *similar = capsys.readouterr().out.strip().split("\t")
    assert file == str(wanted)
    assert [Path(one.split(" ", 1)[1]).name for one in similar] == ["red.png", "rose.png"]
    assert search(program, path, "--json", str(gallery / "green.png")) == 0
    found = json.loads(capsys.readouterr().out)["images"][0]
    assert len(found["similar"]) == 5 and found["milliseconds"] >= 0
    assert found["similar"][0] == {"file": str(gallery / "green.png"), "cosine": 1.0}


def test_what_does_not_fit_the_index(brightness, program: Path, gallery: Path, tmp_path: Path, capsys):
    path, other = tmp_path / "index", tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (4, 4)).save(other / "a.png")
    assert indexed(program, gallery, path) == 0
    before = path.read_bytes()
    for command, sentence in (
        (lambda: indexed(program, other, path), "is the index of"),
        (lambda: indexed(program, gallery, path, "brightness:another"), "has vectors of another model"),
        (lambda: search(program, path, str(other), spec="brightness:another"), "has vectors of another model"),
        (lambda: search(program, path, "--output", "tokens", str(other)), "of another output of it"),
        (lambda: search(program, path, "--top-k", "0", str(other)), "--top-k must be at least 1"),
        (lambda: search(program, tmp_path / "absent", str(other)), "is not a file, but an index is expected"),
        (lambda: indexed(program, tmp_path / "absent", path), "is not a folder"),
        (lambda: indexed(program, tmp_path / "absent" / "deep", tmp_path / "x" / "y"), "is not a folder"),
    ):
        status, err = command(), capsys.readouterr().err
        assert (status, err.count("\n")) == (2, 1) and sentence in err
    assert path.read_bytes() == before


def test_vectors_of_another_length(brightness, program: Path, gallery: Path, tmp_path: Path, capsys):
    """A forged index that says it is of this model."""
    path = tmp_path / "index"
    vectors, versions = np.eye(2, 4, dtype=np.float32), np.zeros((2, 2), np.int64)
    save_index(Index(str(gallery), "brightness:embedding", ("a", "b"), versions, vectors), path)
    assert search(program, path, str(gallery / "red.png")) == 2
    assert "has vectors of 4 numbers, and the program gives 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"vectors": np.ones((2, 3), np.float32)}, "length is not 1"),
        ({"vectors": np.full((2, 3), np.nan, np.float32)}, "length is not 1"),
        ({"vectors": np.eye(3, dtype=np.float32)}, "2 names and 3 vectors"),
        ({"vectors": np.eye(2, 3)}, "'vectors' are not as expected"),
        ({"vectors": np.zeros((2, 0), np.float32)}, "length is not 1"),
        ({"names": packed_names(["a", "a"])}, "2 names and 2 vectors"),
        ({"names": packed_names(["a", "b"])[:-1]}, "1 names and 2 vectors"),
        ({"versions": np.zeros((2, 3), np.int64)}, "2 names and 2 vectors"),
        ({"more": np.zeros(1, np.float32)}, "'more' are not as expected"),
    ],
)
def test_a_forged_index_is_one_sentence(changes: dict, says: str, tmp_path: Path):
    tensors: dict[str, Any] = {"names": packed_names(["a", "b"]), "vectors": np.eye(2, 3, dtype=np.float32)}
    tensors |= {"versions": np.zeros((2, 2), np.int64)} | changes
    FILE.save(tmp_path / "index", {"folder": "/", "model": "m"}, tensors)
    with pytest.raises(HostError, match=says) as caught:
        load_index(tmp_path / "index")
    assert "\n" not in str(caught.value)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_damage_anywhere_is_one_sentence(tmp_path: Path, data: st.DataObject):
    """Cut short, or some bytes changed, a large number of the header among them: never another error, nothing large."""
    path = tmp_path / "index"
    vectors = normalised(np.arange(1, 13, dtype=np.float32).reshape(4, 3))
    save_index(Index("/pictures", "m:embedding", ("a", "b/ü", "c", "d"), np.zeros((4, 2), np.int64), vectors), path)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans(), label="cut short"):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    if bytes(content) == path.read_bytes():
        return
    path.write_bytes(bytes(content))
    with pytest.raises(HostError) as caught:
        load_index(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_names_that_are_no_text(tmp_path: Path):
    name = os.fsdecode(b"caf\xe9.png")
    versions, vectors = np.zeros((1, 2), np.int64), np.ones((1, 1), np.float32)
    save_index(Index("/", "m", (name,), versions, vectors), tmp_path / "index")
    assert load_index(tmp_path / "index").names == (name,)


def test_the_search_is_exact(rng: np.random.Generator):
    """Against all cosines sorted, equal ones too, which come in their order."""
    vectors = normalised(rng.normal(size=(3000, 16)).astype(np.float32))
    vectors[[7, 900, 2000]] = vectors[5]
    for count in (1, 4, 50, 3000, 4000):
        query = vectors[5]
        found = nearest(vectors, query, count)
        wanted = np.argsort(-(vectors @ query), kind="stable")[:count]
        assert [row for row, _ in found] == wanted.tolist()
    assert [row for row, _ in nearest(vectors, vectors[5], 4)] == [5, 7, 900, 2000]


def test_ten_thousand_vectors_are_searched_in_no_time(rng: np.random.Generator):
    """Of this process's own time, whatever else runs; `-s` prints it."""
    for channels in (192, 768):
        vectors = normalised(rng.normal(size=(10_000, channels)).astype(np.float32))
        seconds = []
        for row in range(7):
            begun = time.process_time()
            found = nearest(vectors, vectors[row], 5)
            seconds.append(time.process_time() - begun)
            assert found[0][0] == row
        print(f"10,000 vectors of {channels} numbers: {1000 * sorted(seconds)[3]:.2f} ms")
        assert sorted(seconds)[3] < 0.020
