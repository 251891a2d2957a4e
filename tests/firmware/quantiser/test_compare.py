"""`firmware.compare` on the shipped model, and its sentences for bad input; the report's error through the network."""

import json
from pathlib import Path

import numpy as np
import pytest

from firmware import compare
from firmware.checkpoints.checkpoint import load_weights
from firmware.float_models.registry import float_model
from firmware.quantiser.network_error import network_errors
from firmware.training import digits
from sim.reference.model_file import load_model

ROOT = Path(__file__).resolve().parents[3]
MODEL, FLOAT = ROOT / "models" / "digits.safetensors", ROOT / "models" / "digits_float.safetensors"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    assert digits.main(["--split", "held-out", "--limit", "20", "-o", str(tmp_path / "digits")]) == 0
    return tmp_path / "digits"


def arguments(folder: Path, *more: str) -> list[str]:
    return [str(MODEL), "--weights", str(FLOAT), "--images", str(folder), "--labels", str(folder / "labels.csv"), *more]


def test_both_models_side_by_side(pictures: Path, capsys: pytest.CaptureFixture[str]):
    assert compare.main(arguments(pictures, "--json", "--skip", "4", "--limit", "12")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 12 and found["arithmetic"] == "lean"
    assert found["float_top1"] >= 0.9 and found["agreement"] >= 0.9
    assert 0 < found["divergence"] < 0.1
    assert compare.main(arguments(pictures, "--limit", "3")) == 0
    assert "integer top-1" in capsys.readouterr().out


def test_processes_change_no_figure(pictures: Path, capsys: pytest.CaptureFixture[str]):
    printed = []
    for processes in ("1", "2"):
        assert compare.main(arguments(pictures, "--json", "--limit", "6", "--processes", processes)) == 0
        printed.append(json.loads(capsys.readouterr().out))
    assert printed[0] == printed[1]


def test_no_process_is_refused(pictures: Path, capsys: pytest.CaptureFixture[str]):
    assert compare.main(arguments(pictures, "--processes", "0")) == 2
    assert capsys.readouterr().err == "error: --processes must be at least 1, not 0.\n"


@pytest.mark.parametrize("more", [("--skip", "20"), ("--limit", "0"), ("--skip", "-1")])
def test_a_bad_range_of_images(pictures: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, str]):
    assert compare.main(arguments(pictures, *more)) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: --skip") and message.count("\n") == 1


def test_the_network_error_grows_from_the_image_to_the_head_and_sees_a_wrong_scale():
    model = load_model(MODEL)
    shape = model.shape
    exact = float_model(shape, load_weights(FLOAT, shape))
    images = np.moveaxis(digits.load("train").images[:2].astype(np.float32) / 127.5 - 1, -1, 1)
    errors = network_errors(exact, model, images)
    assert errors["qact_input"] < errors["qact1"] < errors["qact2"] < 0.2
    scales = dict(model.tensors)
    scales["qact1.act_scaling_factor"] = np.asarray(scales["qact1.act_scaling_factor"], np.float32) / np.float32(4)
    wrong = type(model)(shape, model.arithmetic, model.preprocessing, scales, model.class_names)
    assert network_errors(exact, wrong, images)["qact1"] > 2 * errors["qact1"]
