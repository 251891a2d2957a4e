"""The command that quantises: what it writes, what it reports, how it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware import compile as compile_command
from firmware import quantize
from firmware.program.file import load_program
from firmware.quantiser.random_model import random_weights
from sim.reference.architecture import parse_architecture
from sim.reference.errors import UserError
from sim.reference.model_file import IntegerModel, load_model
from sim.reference.scales import gelu_step, snapped_gelu_scale, snapped_softmax_scale, softmax_step
from tests.firmware.quantiser import small_vit


@pytest.fixture
def inputs(tmp_path: Path, rng: np.random.Generator) -> list[str]:
    weights = small_vit.write_weights(tmp_path / "w.safetensors", small_vit.weights(rng))
    images = small_vit.write_images(tmp_path / "images", rng)
    return [small_vit.ARCH, "--weights", str(weights), "--calibrate", str(images), "-o", str(tmp_path / "m.model")]


@pytest.fixture
def model(inputs: list[str], tmp_path: Path) -> IntegerModel:
    assert quantize.main(inputs) == 0
    return load_model(tmp_path / "m.model")


def test_the_model_is_lean_and_snapped(model: IntegerModel):
    assert model.arithmetic == "lean"
    assert model.shape == small_vit.SHAPE
    for index in range(2):
        scale = np.float32(model.tensors[f"blocks.{index}.attn.qact_attn1.act_scaling_factor"])
        assert scale == snapped_softmax_scale(softmax_step(scale))
        scale = np.float32(model.tensors[f"blocks.{index}.mlp.qact_gelu.act_scaling_factor"])
        assert scale == snapped_gelu_scale(gelu_step(scale))


def test_without_snapping_every_scale_is_the_peak(inputs: list[str], tmp_path: Path, capsys):
    assert quantize.main([*inputs, "--no-snap", "--arithmetic", "official", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    model = load_model(tmp_path / "m.model")
    assert model.arithmetic == report["arithmetic"] == "official"
    assert sorted(row["name"] for row in report["tensors"]) == sorted(one.name for one in small_vit.SHAPE.activations())
    for row in report["tensors"]:
        scale = model.tensors[f"{row['name']}.act_scaling_factor"]
        if not row["name"].endswith("mlp.qact1"):
            assert scale == np.float32(row["peak"]) / np.float32(2 ** (row["bits"] - 1) - 1)


@pytest.mark.parametrize("method", ["percentile", "mse"])
def test_clipping_methods_stay_below_the_peak(inputs: list[str], method: str, capsys):
    assert quantize.main([*inputs, "--no-snap", "--calibration", method, "--json"]) == 0
    clipped = json.loads(capsys.readouterr().out)["tensors"]
    assert all(row["scale"] * (2 ** (row["bits"] - 1) - 1) <= row["peak"] * 1.000001 for row in clipped)
    assert any(row["clipped"] > 0 for row in clipped)


def test_the_same_input_gives_the_same_file(inputs: list[str], tmp_path: Path):
    contents = set()
    for _ in range(4):
        assert quantize.main(inputs) == 0
        contents.add((tmp_path / "m.model").read_bytes())
    assert len(contents) == 1


def test_the_report_and_options(inputs: list[str], tmp_path: Path, capsys):
    report = tmp_path / "report.json"
    arguments = [*inputs, "--limit", "2", "--report", str(report), "--resize", "18", "--mean", "0.5", "--std", "1,2,3"]
    assert quantize.main(arguments) == 0
    assert json.loads(report.read_text())["images"] == 2
    assert "blocks.1.mlp.qact_gelu" in capsys.readouterr().out
    settings_ = load_model(tmp_path / "m.model").preprocessing
    assert (settings_.resize, settings_.crop, settings_.mean, settings_.std) == (18, 16, (0.5,) * 3, (1.0, 2.0, 3.0))


def test_a_zero_gamma_is_said(inputs: list[str], tmp_path: Path, rng: np.random.Generator, capsys):
    weights = small_vit.weights(rng)
    weights["blocks.1.norm2.weight"][7] = 0
    small_vit.write_weights(tmp_path / "w.safetensors", weights)
    assert quantize.main(inputs) == 0
    assert "blocks.1.norm2: gamma of channel 7" in capsys.readouterr().err


def test_wide_activations_are_warned_of(inputs: list[str], tmp_path: Path, rng: np.random.Generator, capsys):
    weights = small_vit.weights(rng)
    weights["blocks.0.mlp.fc1.weight"] *= 10
    small_vit.write_weights(tmp_path / "w.safetensors", weights)
    assert quantize.main([*inputs, "--no-snap"]) == 0
    assert "blocks.0.mlp.qact_gelu: values reach" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--weights", "absent.npz", "absent.npz is not a file"),
        ("--calibrate", "absent", "absent is not a folder"),
        ("-o", "absent/m.model", "The folder absent of the output file does not exist"),
        ("--limit", "0", "--limit must be at least 1, not 0"),
        ("--mean", "a,b,c", "--mean takes one number or three"),
        ("--std", "0", "std must be above 0"),
        ("--std", "nan", "std must be three finite numbers"),
        ("--resize", "8", "resize must be at least the image's side of 16 pixels, not 8"),
    ],
)
def test_bad_arguments(inputs: list[str], tmp_path: Path, capsys, option: str, value: str, message: str):
    assert quantize.main([*inputs, option, value]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("*m.model*"))


def test_bad_inputs_leave_no_output(inputs: list[str], tmp_path: Path, capsys):
    (tmp_path / "images" / "1.png").write_bytes(b"not an image")
    assert quantize.main(inputs) == 2
    assert "1.png: it is not an image that Pillow knows" in capsys.readouterr().err
    assert quantize.main(["resnet50", *inputs[1:]]) == 2
    assert "Unknown architecture 'resnet50'" in capsys.readouterr().err
    assert not list(tmp_path.glob("*m.model*"))


def test_a_bias_beyond_the_accumulator_is_refused(inputs: list[str], tmp_path: Path, rng: np.random.Generator, capsys):
    weights = small_vit.weights(rng)
    weights["head.bias"][3] = 1e9
    small_vit.write_weights(tmp_path / "w.safetensors", weights)
    assert quantize.main(inputs) == 2
    assert "output channel 3 of 'head'" in capsys.readouterr().err
    assert not list(tmp_path.glob("*m.model*"))


def test_a_channel_without_weights_is_its_bias(inputs: list[str], tmp_path: Path, rng: np.random.Generator):
    weights = small_vit.weights(rng)
    weights["head.weight"][3], weights["head.bias"][3] = 0, 100
    small_vit.write_weights(tmp_path / "w.safetensors", weights)
    assert quantize.main(inputs) == 0
    tensors = load_model(tmp_path / "m.model").tensors
    unit = float(tensors["head.fc_scaling_factor"][3]) * float(tensors["qact2.act_scaling_factor"])
    assert int(tensors["head.bias_integer"][3]) * unit == pytest.approx(100, rel=1e-3)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_model_file_is_refused(model: IntegerModel, tmp_path: Path, data: st.DataObject):
    content = bytearray((tmp_path / "m.model").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 600))
    if data.draw(st.booleans()):
        content = content[:place]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    damaged = tmp_path / "damaged.model"
    damaged.write_bytes(bytes(content))
    try:
        loaded = load_model(damaged)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        # Only the header's own settings can change unnoticed; the tensors are under the checksum.
        assert loaded.checksum() == model.checksum()


def test_a_swin_checkpoint_of_timm(tmp_path: Path, rng: np.random.Generator, capsys):
    arch = "swin:image=16,patch=2,dim=32,depths=2-1,heads=1-2,window=4,classes=5"
    shape = parse_architecture(arch)
    weights = small_vit.write_weights(tmp_path / "w.safetensors", random_weights(shape, rng))
    images = small_vit.write_images(tmp_path / "images", rng)
    output = tmp_path / "m.model"
    arguments = [arch, "--weights", str(weights), "--calibrate", str(images), "-o", str(output), "--json"]
    assert quantize.main(arguments) == 0
    model, report = load_model(output), json.loads(capsys.readouterr().out)
    assert model.shape == shape and not report["warnings"]
    assert {row["name"] for row in report["tensors"]} == {one.name for one in shape.activations()}
    for block in shape.block_names():  # what Shiftmax reads, behind the bias, is snapped; what the bias joins is not
        scale = np.float32(model.tensors[f"{block}.attn.qact2.act_scaling_factor"])
        assert scale == snapped_softmax_scale(softmax_step(scale))
        scale = np.float32(model.tensors[f"{block}.attn.qact_attn1.act_scaling_factor"])
        assert scale != snapped_softmax_scale(softmax_step(scale))
    program = tmp_path / "m.program"
    assert compile_command.main([str(output), "--board", "tiny", "-o", str(program), "--json"]) == 0
    assert load_program(program).architecture == arch


def test_long_rows_are_warned_of(tmp_path: Path, rng: np.random.Generator, capsys):
    arch = "vit:image=34,patch=2,dim=16,depth=1,heads=1,classes=5"  # 290 tokens
    weights = small_vit.write_weights(tmp_path / "w.npz", random_weights(parse_architecture(arch), rng))
    images = small_vit.write_images(tmp_path / "images", rng)
    arguments = [arch, "--weights", str(weights), "--calibrate", str(images), "-o", str(tmp_path / "m.model")]
    assert quantize.main([*arguments, "--arithmetic", "lean:softmax_bits=8"]) == 0
    assert "290 tokens of equal weight get less than 1/256" in capsys.readouterr().err
    for arithmetic in ("lean", "official"):
        assert quantize.main([*arguments, "--arithmetic", arithmetic]) == 0
        assert "tokens of equal weight" not in capsys.readouterr().err
