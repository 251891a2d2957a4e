"""`host.evaluate --boards` and `--scheduler`: the same result as one device's, in order, and logs that go on."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from firmware.training import digits
from host import evaluate

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "models" / "digits.safetensors"
IMAGES = 8
SECONDS = 60


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
    log = tmp_path / "log"
    more = ("--boards", "2", "--reference", str(SHIPPED), "--resume", str(log))
    assert result(folder, capsys, *more, "--limit", "3")["images"] == 3
    assert result(folder, capsys, *more) == wanted
    files = [json.loads(line)["file"] for line in log.read_text().splitlines()[1:]]
    assert files == [f"{index}.png" for index in range(IMAGES)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The address of a Dask scheduler with two workers, each a process."""
    file, environment = tmp_path / "scheduler.json", {**os.environ, "PYTHONPATH": str(ROOT)}
    dask, common = [sys.executable, "-m"], ["--scheduler-file", str(file), "--no-dashboard"]
    with ExitStack() as stack:
        for command in (
            [*dask, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *common],
            [*dask, "distributed.cli.dask_worker", "--nworkers", "2", "--nthreads", "1", *common],
        ):
            process = stack.enter_context(
                subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
            )
            stack.callback(process.terminate)
            end = time.monotonic() + SECONDS
            while not (file.exists() and file.read_text().endswith("}")):
                assert time.monotonic() < end and process.poll() is None, "the scheduler does not start"
                time.sleep(0.1)
        yield json.loads(file.read_text())["address"]


@pytest.mark.filterwarnings("ignore")  # Dask's own
def test_a_cluster(folder: Path, cluster: str, capsys):
    assert result(folder, capsys, "--scheduler", cluster) == result(folder, capsys)


class Client:
    """Nobody is there."""

    def __init__(self, address: str, timeout: float) -> None:
        raise OSError("timed out")


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
