"""The one command from MNIST's files to three models and their scores, on digits in MNIST's format."""

import json
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from firmware.training import digits
from firmware.training.mnist import main
from sim.reference.model_file import load_model


def write_idx(path: Path, values: npt.NDArray[np.uint8]) -> None:
    path.write_bytes(struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes())


def mnist_like(folder: Path, count: int) -> Path:
    for prefix, split in (("train", "train"), ("t10k", "held-out")):
        found = digits.load(split)
        write_idx(folder / f"{prefix}-images-idx3-ubyte", np.ascontiguousarray(found.images[:count, 2:-2, 2:-2, 0]))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", found.labels[:count].astype(np.uint8))
    return folder


def test_from_the_files_to_three_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    data, out = mnist_like(tmp_path, 100), tmp_path / "out"
    small = ["--epochs", "2", "--fine-images", "64", "--train-images", "100"]
    assert main(["--data", str(data), "-o", str(out), *small, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert [score["images"] for score in scores.values()] == [100] * 3
    # Two updates of a float model say nothing; that quantisation and fine-tuning keep what it says does.
    assert abs(scores["post-training"]["loss"] - scores["float"]["loss"]) < 0.1
    assert abs(scores["fine-tuned"]["loss"] - scores["post-training"]["loss"]) < 0.1
    before, after = (load_model(out / f"{name}.safetensors") for name in ("post_training", "fine_tuned"))
    assert any(not np.array_equal(before.tensors[name], after.tensors[name]) for name in before.tensors)
    held_out = digits.load("held-out")
    with Image.open(out / f"digit_{held_out.labels[0]}.png") as digit:
        assert np.array_equal(np.asarray(digit), held_out.images[0, 2:-2, 2:-2])


def test_wrong_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--data", str(tmp_path), "-o", str(tmp_path / "out"), "--epochs", "0"]) == 2
    assert "must be at least 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
