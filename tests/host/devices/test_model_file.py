"""What the host takes from a model file."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firmware.training import digits
from host.command.errors import HostError
from host.devices.model_file import read_model
from sim.reference.model_file import load_model

MODEL = Path(__file__).resolve().parents[3] / "models" / "digits.safetensors"


def test_the_shipped_model_has_names_and_a_scale_for_each_class():
    _, loaded = read_model(MODEL)
    assert loaded.class_names == digits.CLASS_NAMES
    assert loaded.arithmetic == "lean"
    assert loaded.architecture == "vit:image=32,patch=8,dim=64,depth=4,heads=2,classes=10"
    scales = loaded.scales["classes"]
    assert scales.shape == (10,) and len(set(scales)) > 1
    assert (scales.astype(np.float32) == scales).all()


def test_a_picture_becomes_the_integers_of_its_pixels():
    _, loaded = read_model(MODEL)
    grey = np.linspace(0, 255, 32).astype(np.uint8)
    pixels = np.stack([np.tile(grey, (32, 1)), np.tile(grey[:, None], (1, 32)), np.zeros((32, 32), np.uint8)], axis=2)
    integers = loaded.prepare(Image.fromarray(pixels))
    # (p/255 - 0.5) / 0.5 on a scale of 1/127
    expected = np.rint((pixels.transpose(2, 0, 1) / 255 * 2 - 1) * 127)
    assert integers.dtype == np.int8
    np.testing.assert_array_equal(integers, expected)


def test_a_larger_picture_is_brought_to_the_models_size():
    _, loaded = read_model(MODEL)
    assert loaded.prepare(Image.new("RGB", (100, 60), (255, 255, 255))).shape == (3, 32, 32)
    assert (loaded.prepare(Image.new("RGB", (100, 60), (255, 255, 255))) == 127).all()


def test_classes_without_names_are_called_by_number(tmp_path: Path):
    path = tmp_path / "nameless.safetensors"
    dataclasses.replace(load_model(MODEL), class_names=()).save(path)
    assert read_model(path)[1].class_names == tuple("0123456789")


@pytest.mark.parametrize("content", [None, b"", b"not a model", MODEL.read_bytes()[:-100]])
def test_a_file_that_is_no_model_is_one_sentence(content, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HostError) as caught:
        read_model(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("version", "name", "expected"),
    [
        ("1", "lean", "lean:softmax_bits=8"),
        ("1", "lean:gelu=polynomial", "lean:softmax_bits=8,gelu=polynomial"),
        ("1", "lean:softmax_bits=12", "lean:softmax_bits=12"),
        ("1", "official", "official"),
        ("2", "lean", "lean"),
        ("2", "lean:softmax_bits=8", "lean:softmax_bits=8"),
    ],
)
def test_a_file_is_in_the_arithmetic_that_it_was_written_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, name: str, expected: str
):
    """In version 1 `lean` had probabilities of 8 bits."""
    model = dataclasses.replace(load_model(MODEL), arithmetic=name)
    with monkeypatch.context() as patch:
        patch.setattr("sim.reference.model_file.VERSION", version)
        model.save(tmp_path / "m.safetensors")
    assert load_model(tmp_path / "m.safetensors").arithmetic == expected
