"""`host.evaluate --boards` and `--scheduler`: the same result as one device's, in order, and journals that go on."""

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from firmware import digits
from host import evaluate

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "digits.safetensors"
IMAGES = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, held_out = tmp_path_factory.mktemp("digits"), digits.load("held-out")
    lines = ["file,label"]
    for index in range(IMAGES):
        Image.fromarray(held_out.images[index]).save(path / f"{index}.png")
        lines.append(f"{index}.png,{(held_out.labels[index] + (index == 3)) % 10}")
    (path / "labels.csv").write_text("\n".join(lines) + "\n")
    return path


def result(folder: Path, capsys, *more: str) -> dict:
    table = ["--images", str(folder), "--labels", str(folder / "labels.csv"), "--json", str(SHIPPED)]
    assert evaluate.main(["--device", "reference", *table, *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_two_processes_give_what_one_device_gives(folder: Path, tmp_path: Path, capsys):
    wanted = result(folder, capsys, "--reference", str(SHIPPED))
    assert (wanted["images"], wanted["same_integers"]) == (IMAGES, IMAGES)
    journal = tmp_path / "journal"
    more = ("--boards", "2", "--reference", str(SHIPPED), "--resume", str(journal))
    assert result(folder, capsys, *more, "--limit", "3")["images"] == 3
    assert result(folder, capsys, *more) == wanted
    files = [json.loads(line)["file"] for line in journal.read_text().splitlines()[1:]]
    assert files == [f"{index}.png" for index in range(IMAGES)]


class Client:
    """What is used of `distributed.Client`, on threads."""

    def __init__(self, address: str, timeout: float) -> None:
        if address != "tcp://here:8786":
            raise OSError("timed out")
        self.pool = ThreadPoolExecutor(2)

    def map(self, function, *arguments: Sequence, pure: bool):
        return [self.pool.submit(function, *each) for each in zip(*arguments, strict=True)]

    def close(self) -> None:
        self.pool.shutdown(cancel_futures=True)


def test_a_cluster(folder: Path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=Client))
    assert result(folder, capsys, "--scheduler", "tcp://here:8786") == result(folder, capsys)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--boards", "0"), "--boards must be at least 1"),
        (("--boards", "2", "--device", "serial:/dev/ttyUSB1"), "is one device"),
        (("--boards", "2", "--device", "sim:pluto"), "unknown board"),
        (("--scheduler", "tcp://nowhere:1"), "No Dask scheduler answers at tcp://nowhere:1 (timed out)"),
    ],
)
def test_mistakes(more: tuple[str, ...], sentence: str, folder: Path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=Client))
    table = ["--images", str(folder), "--labels", str(folder / "labels.csv"), str(SHIPPED)]
    assert evaluate.main([*table, *more]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1


def test_no_dask(folder: Path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    table = ["--images", str(folder), "--labels", str(folder / "labels.csv"), str(SHIPPED)]
    assert evaluate.main([*table, "--scheduler", "tcp://here:8786"]) == 2
    assert "is not installed: pip install 'ivit-machine[cluster]'" in capsys.readouterr().err
