"""The shipped model on the digits that it was not trained on, and that it can be made again from its float weights."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firmware import quantize
from firmware.checkpoints.checkpoint import load_weights
from firmware.float_models.registry import float_model
from firmware.training import digits
from host.devices.registry import open_device
from sim.reference.architecture import parse_architecture
from sim.reference.model_file import load_model

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "models" / "digits.safetensors"
FLOAT = ROOT / "models" / "digits_float.safetensors"
ARCHITECTURE = "vit:image=32,patch=8,dim=64,depth=4,heads=2,classes=10"


@pytest.fixture(scope="module")
def held_out() -> digits.DigitSet:
    return digits.load("held-out")


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `python -m firmware.digits --split train --limit 256` writes."""
    folder: Path = tmp_path_factory.mktemp("calibration")
    assert digits.main(["--split", "train", "--limit", "256", "-o", str(folder)]) == 0
    return folder


def quantised(calibration: Path, arithmetic: str, output: Path) -> Path:
    """The model that the documented command writes."""
    options = ["--weights", str(FLOAT), "--calibrate", str(calibration), "--mean", "0.5", "--std", "0.5"]
    options += ["--class-names", str(calibration / "class_names.txt"), "--arithmetic", arithmetic]
    assert quantize.main([ARCHITECTURE, *options, "-o", str(output)]) == 0
    return output


def float_accuracy(held_out: digits.DigitSet) -> float:
    shape = parse_architecture(ARCHITECTURE)
    model = float_model(shape, load_weights(FLOAT, shape))
    images = (held_out.images.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255) - np.float32(0.5)) * 2
    return float((model.forward(images).argmax(axis=1) == held_out.labels).mean())


def test_the_float_weights_are_those_of_the_documentation(held_out: digits.DigitSet):
    assert float_accuracy(held_out) == 355 / 360


def integer_accuracy(model: Path, held_out: digits.DigitSet) -> float:
    with open_device("reference") as device:
        assert device.load(model).class_names == digits.CLASS_NAMES
        predictions = device.stream(Image.fromarray(image) for image in held_out.images)
        found = [prediction.label for prediction in predictions]
    return float((np.array(found) == held_out.labels).mean())


def test_lean_is_as_accurate_as_float(held_out: digits.DigitSet):
    expected, found = float_accuracy(held_out), integer_accuracy(MODEL, held_out)
    assert found >= 0.97
    assert abs(found - expected) <= 0.005


def test_official_is_as_accurate_as_float(held_out: digits.DigitSet, calibration: Path, tmp_path: Path):
    model = quantised(calibration, "official", tmp_path / "official.safetensors")
    assert load_model(model).arithmetic == "official"
    assert abs(integer_accuracy(model, held_out) - float_accuracy(held_out)) <= 0.005


def test_quantising_again_gives_the_shipped_model(calibration: Path, tmp_path: Path):
    again, shipped = load_model(quantised(calibration, "lean", tmp_path / "again.safetensors")), load_model(MODEL)
    assert again.class_names == shipped.class_names
    assert again.preprocessing == shipped.preprocessing
    assert again.arithmetic == shipped.arithmetic == "lean"
    for name, tensor in shipped.tensors.items():
        if tensor.dtype == np.float32:  # calibration sums floats, whose last bits depend on the processor
            found, expected = again.tensors[name].astype(np.float64), tensor.astype(np.float64)
            np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=name)
        else:
            difference = np.abs(again.tensors[name].astype(np.int64) - tensor.astype(np.int64))
            assert difference.max() <= 1 + 1e-5 * np.abs(tensor.astype(np.int64)).max(), name


def test_the_splits_share_nothing(held_out: digits.DigitSet):
    training = digits.load("train")
    assert sorted([*training.indices, *held_out.indices]) == list(range(1797))
    assert np.bincount(held_out.labels).tolist() == [digits.HELD_OUT_PER_CLASS] * 10


def test_an_enlarged_digit_keeps_its_grey_values(held_out: digits.DigitSet):
    flat = digits.enlarge(np.full((8, 8), 16.0))
    assert flat.shape == (32, 32, 3) and flat.dtype == np.uint8 and (flat == 255).all()
    assert (held_out.images[..., 0] == held_out.images[..., 2]).all()
    assert held_out.images.min() == 0 and held_out.images.max() == 255


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="splits train and held-out, not 'test'"):
        digits.load("test")
