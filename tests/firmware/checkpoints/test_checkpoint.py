"""Files and folders as users have them: the same weights, what was assumed, and a sentence for what cannot be held."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save, save_file

from firmware import compile as compile_command
from firmware import quantize
from firmware.checkpoints.checkpoint import load_weights, open_checkpoint
from firmware.checkpoints.positions import positions
from firmware.program.file import load_program
from firmware.quantiser.random_model import random_weights
from sim.reference.architecture import parse_architecture, spelled_out
from sim.reference.errors import UserError
from sim.reference.model_file import load_model
from sim.reference.vit_shape import VitShape
from tests.firmware.checkpoints.folders import PROCESSOR, SHAPE, hugging_face_names, write_folder
from tests.firmware.quantiser.small_vit import write_images

ARCH = "vit:image=16,patch=8,dim=32,depth=2,heads=2,classes=3"
Arrays = dict[str, np.ndarray]


@pytest.fixture
def weights(rng: np.random.Generator) -> Arrays:
    return random_weights(SHAPE, rng)


def same(found: Arrays, expected: Arrays) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_a_folder_says_everything_itself(tmp_path: Path, weights: Arrays):
    folder = write_folder(tmp_path / "m", hugging_face_names(weights), processor=PROCESSOR)
    found = open_checkpoint(folder, None)
    assert found.shape == SHAPE and found.class_names == ("cat", "dog", "bird")
    prepared = found.preprocessing
    assert (prepared.resize, prepared.crop, prepared.squash, prepared.interpolation) == (16, 16, True, "bilinear")
    assert (prepared.mean, prepared.std) == ((0.5,) * 3, (0.25, 0.5, 1.0))
    same(found.weights, weights)
    same(load_weights(folder, SHAPE), weights)


def test_from_a_folder_to_a_model_whose_pictures_are_prepared_as_the_folder_says(
    tmp_path: Path, weights: Arrays, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
):
    folder = write_folder(tmp_path / "m", hugging_face_names(weights), processor=PROCESSOR)
    images, output = write_images(tmp_path / "images", rng), tmp_path / "out"
    assert quantize.main(["--weights", str(folder), "--calibrate", str(images), "-o", str(output)]) == 0
    model = load_model(output)
    assert model.preprocessing == open_checkpoint(folder, None).preprocessing
    assert model.class_names == ("cat", "dog", "bird") and model.shape == SHAPE
    notes = capsys.readouterr().err
    assert f"note: The architecture is {spelled_out(SHAPE)}." in notes
    assert "note: Of each picture: both sides to 16 pixels (bilinear), the centre of 16, mean 0.5,0.5,0.5" in notes
    # Squashed and bilinear, by hand; and so in the program file.
    with Image.open(images / "0.png") as picture:
        squashed = np.asarray(picture.resize((16, 16), Image.Resampling.BILINEAR), np.float32) / 255
    expected = ((squashed - 0.5) / np.array([0.25, 0.5, 1.0], np.float32)).transpose(2, 0, 1)
    np.testing.assert_allclose(model.preprocessing.load(images / "0.png"), expected, atol=1e-6)
    program = tmp_path / "program"
    assert compile_command.main([str(output), "--board", "tiny", "-o", str(program)]) == 0
    assert load_program(program).preprocessing == model.preprocessing
    capsys.readouterr()
    assert quantize.main([ARCH, "--weights", str(folder), "--calibrate", str(images), "-o", str(output)]) == 2
    assert "says its architecture itself" in capsys.readouterr().err


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model.", "_orig_mod."])
def test_prefixes_of_training(prefix: str, tmp_path: Path, weights: Arrays):
    save_file({prefix + name: array for name, array in weights.items()}, tmp_path / "w.safetensors")
    same(open_checkpoint(tmp_path / "w.safetensors", ARCH).weights, weights)


def test_half_and_bfloat16(tmp_path: Path, weights: Arrays):
    halves = {name: array.astype(np.float16) for name, array in weights.items()}
    save_file(halves, tmp_path / "half.safetensors")
    same(
        open_checkpoint(tmp_path / "half.safetensors", ARCH).weights,
        {k: v.astype(np.float32) for k, v in halves.items()},
    )
    # bfloat16 is float32's high half: written as uint16, then called by its name.
    high = {name: (array.view(np.uint32) >> 16).astype(np.uint16) for name, array in weights.items()}
    content = save(high)
    end = 8 + int.from_bytes(content[:8], "little")
    header = content[8:end].replace(b'"U16"', b'"BF16"')
    header += b" " * (-len(header) % 8)
    (tmp_path / "b.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + content[end:])
    expected = {name: (array.astype(np.uint32) << 16).view(np.float32) for name, array in high.items()}
    same(open_checkpoint(tmp_path / "b.safetensors", ARCH).weights, expected)
    assert any((expected[name] != weights[name]).any() for name in weights)


def test_a_pytorch_file_without_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "w.pth").write_bytes(b"\x80\x02}q\x00.")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"w\.pth is a PyTorch file and PyTorch is not installed; get it with `pip"):
        open_checkpoint(tmp_path / "w.pth", ARCH)


def test_an_onnx_file_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "m.onnx").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match=r"m\.onnx is an ONNX file and onnx is not installed; get it with `pip install"):
        open_checkpoint(tmp_path / "m.onnx", None)


def test_shards(tmp_path: Path, weights: Arrays):
    arrays = hugging_face_names(weights)
    folder = write_folder(tmp_path / "m", arrays)
    (folder / "model.safetensors").unlink()
    parts = {name: f"part-{index % 2}.safetensors" for index, name in enumerate(arrays)}
    for part in set(parts.values()):
        save_file({name: array for name, array in arrays.items() if parts[name] == part}, folder / part)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": parts}))
    same(open_checkpoint(folder, None).weights, weights)
    index.write_text(json.dumps({"weight_map": parts | {"x": "../w.safetensors"}}))
    with pytest.raises(UserError, match=r"'\.\./w\.safetensors' is no file of this folder"):
        open_checkpoint(folder, None)


def test_what_is_folded_and_filled(tmp_path: Path, rng: np.random.Generator):
    """LayerScale, a class token without a position, no biases of Q, K and V, heads of 24 channels, no classifier."""
    shape = parse_architecture("vit:image=16,patch=8,dim=48,depth=2,heads=2,classes=48,registers=2")
    assert isinstance(shape, VitShape)
    weights = random_weights(shape, rng)
    arrays = {name: array for name, array in weights.items() if not name.startswith("head") and "qkv.bias" not in name}
    arrays["pos_embed"] = weights["pos_embed"][:, 3:]
    gammas = {
        f"blocks.{block}.ls{part}.gamma": rng.normal(size=48).astype(np.float32) for block in (0, 1) for part in (1, 2)
    }
    for block in (0, 1):
        prefix = f"blocks.{block}.attn."
        arrays[f"{prefix}qkv.weight"] = weights[f"{prefix}qkv.weight"].reshape(6, 32, 48)[:, :24].reshape(144, 48)
        arrays[f"{prefix}proj.weight"] = weights[f"{prefix}proj.weight"].reshape(48, 2, 32)[..., :24].reshape(48, 48)
    save_file({name: np.ascontiguousarray(one) for name, one in (arrays | gammas).items()}, tmp_path / "w.safetensors")
    found = open_checkpoint(tmp_path / "w.safetensors", "vit:image=16,patch=8,dim=48,depth=2,heads=2,classes=48")
    assert found.shape == shape
    assert any("LayerScale" in note for note in found.notes)
    assert "No blocks.attn.qkv.bias is there: it is 0." in found.notes
    assert "No classifier is there: the 48 features that it would read come out." in found.notes
    np.testing.assert_array_equal(found.weights["head.weight"], np.eye(48))
    np.testing.assert_array_equal(found.weights["pos_embed"][:, :3], 0)
    np.testing.assert_array_equal(found.weights["pos_embed"][:, 3:], arrays["pos_embed"])
    qkv = found.weights["blocks.1.attn.qkv.weight"].reshape(6, 32, 48)
    np.testing.assert_array_equal(qkv[:, 24:], 0)
    np.testing.assert_array_equal(qkv[:, :24], arrays["blocks.1.attn.qkv.weight"].reshape(6, 24, 48))
    projection = found.weights["blocks.0.attn.proj.weight"].reshape(48, 2, 32)
    scaled = arrays["blocks.0.attn.proj.weight"] * gammas["blocks.0.ls1.gamma"][:, None]
    np.testing.assert_array_equal(projection[..., :24].reshape(48, 48), scaled)
    np.testing.assert_array_equal(projection[..., 24:], 0)
    bias = weights["blocks.1.mlp.fc2.bias"] * gammas["blocks.1.ls2.gamma"]
    np.testing.assert_array_equal(found.weights["blocks.1.mlp.fc2.bias"], bias)


def test_positions_for_another_image(rng: np.random.Generator):
    shape = VitShape(48, 8, 4, 1, 1, 3)
    given_ = rng.normal(size=(1, 17, 4)).astype(np.float32)
    found = positions(given_, shape, Path("w"), resample=True)
    assert found.shape == (1, 37, 4)
    np.testing.assert_array_equal(found[0, 0], given_[0, 0])
    # Of 6 samples of 4 the second is half a sample beyond the first: by the cubic, whose outer taps are -0.75/8.
    row, weights = given_[0, 1:].reshape(4, 4, 4), np.array([-3, 19, 19, -3]) / 32
    middle = np.einsum("i,j,ijc->c", weights, weights, row[[0, 0, 1, 2]][:, [0, 0, 1, 2]])
    np.testing.assert_allclose(found[0, 1:].reshape(6, 6, 4)[1, 1], middle, atol=1e-6)
    with pytest.raises(UserError, match=r"'pos_embed' has 17 positions, but this architecture has 37 tokens.*--image"):
        positions(given_, shape, Path("w"), resample=False)


def drop(key: str) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.__delitem__(key)


def put(key: str, *size: int) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.update({key: np.zeros(size, np.float32)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("blocks.1.attn.qkv.bias"), "the weight 'blocks.1.attn.qkv.bias' is missing"),  # the other block has one
        (drop("cls_token"), "'cls_token' is missing; a model without one reads a mean: say pool=mean in ARCH"),
        (drop("head.bias"), "the weight 'head.bias' is missing"),
        (drop("patch_embed.proj.weight"), "the weight 'patch_embed.proj.weight' is missing"),
        (put("blocks.0.ls1.gamma", 31), r"'blocks.0.ls1.gamma' of shape \(31\) does not fit"),
        (put("blocks.0.mlp.w12.weight", 64, 32), "SwiGLU"),
        (put("blocks.0.mlp.fc1.weight", 256, 32), "SwiGLU"),
        (put("attn_pool.latent", 1, 1, 32), "pools by attention"),
        (put("blocks.0.attn.q_norm.weight", 16), "'blocks.0.attn.q_norm.weight' is no weight of this architecture"),
        (put("cls_token", 1, 1, 31), r"'cls_token' has shape \(1, 1, 31\), but \(1, tokens, 32\)"),
        (put("pos_embed", 5, 32), r"'pos_embed' has shape \(5, 32\), but \(1, 5, 32\)"),
    ],
)
def test_weights_that_do_not_fit(change: Callable[[Arrays], None], message: str, tmp_path: Path, weights: Arrays):
    change(weights)
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=message):
        open_checkpoint(tmp_path / "w.safetensors", ARCH)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "resnet"}, "the model type 'resnet' is not known; one of vit, deit, dinov2"),
        ({"model_type": "siglip_vision_model"}, "the model type 'siglip_vision_model' is not known"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu', but one of gelu, quick_gelu"),
        ({"use_swiglu_ffn": True}, "SwiGLU"),
        ({"num_attention_heads": "2"}, "'num_attention_heads' is \"2\", but a whole number is expected"),
        ({"num_attention_heads": 3}, "dim must be a multiple of heads"),
        ({"layer_norm_eps": -1}, "epsilon must be 0 to 1, not -1"),
    ],
)
def test_configurations_that_no_model_here_has(config: dict[str, Any], message: str, tmp_path: Path, weights: Arrays):
    folder = write_folder(tmp_path / "m", hugging_face_names(weights), config, PROCESSOR)
    with pytest.raises(UserError, match=message):
        open_checkpoint(folder, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"do_rescale": False}, "do_resize or do_rescale is false"),
        ({"rescale_factor": 0.0078}, "rescale_factor must be 1/255, not 0.0078"),
        ({"resample": 4}, r"resample is 4, but one of \[0, 1, 2, 3\]"),
        ({"size": {"shortest_edge": 16}}, "nothing cropped"),
        ({"size": {"height": 16, "width": 17}}, "the side of a square is expected"),
        ({"size": 10**9}, "the side of a square is expected"),
        ({"image_std": [0, 1, 1]}, "std must be above 0"),
        ({"image_mean": [0.5]}, "three numbers are expected"),
    ],
)
def test_pictures_that_cannot_be_prepared(changes: dict[str, Any], message: str, tmp_path: Path, weights: Arrays):
    folder = write_folder(tmp_path / "m", hugging_face_names(weights), processor=PROCESSOR | changes)
    with pytest.raises(UserError, match=message):
        open_checkpoint(folder, None)


def test_folders_that_are_none(tmp_path: Path, weights: Arrays):
    with pytest.raises(UserError, match=r"holds no config\.json beside model\.safetensors"):
        open_checkpoint(tmp_path, None)
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="does not say its architecture: name it as ARCH"):
        open_checkpoint(tmp_path / "w.safetensors", None)
    folder = write_folder(tmp_path / "m", hugging_face_names(weights), {"id2label": 3})
    with pytest.raises(UserError, match="'id2label' is 3, but an object is expected"):
        open_checkpoint(folder, None)
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"config\.json is no JSON file"):
        open_checkpoint(folder, None)


def test_what_is_assumed_of_a_file_is_said(tmp_path: Path, weights: Arrays):
    save_file(weights, tmp_path / "w.safetensors")
    found = open_checkpoint(tmp_path / "w.safetensors", ARCH + ",activation=quick_gelu,pool=mean")
    assert found.notes == [
        "As named or by default, for weights do not tell it: heads=2, pool=mean, activation=quick_gelu, epsilon=1e-06."
    ]


@pytest.mark.parametrize(("arch", "mean"), [("vit_tiny_patch16_224", 0.5), ("vit_tiny_patch16_224.dino", 0.485)])
def test_the_mean_of_a_name(arch: str, mean: float, tmp_path: Path):
    """timm's ViTs have 0.5, but for those that were trained otherwise."""
    shape = parse_architecture(arch)
    save_file(random_weights(shape, np.random.default_rng(0)), tmp_path / "w.safetensors")
    assert open_checkpoint(tmp_path / "w.safetensors", arch).preprocessing.mean[0] == mean


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**7) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["height", "0", "size"]), inner),
    max_leaves=4,
)
KEYS = ["model_type", "hidden_act", "layer_norm_eps", "num_attention_heads", "image_size", "id2label", "vision_config"]
TIMM = ["architecture", "global_pool", "model_args", "pretrained_cfg", "input_size", "crop_pct", "mean", "num_classes"]
OTHERS = ["size", "crop_size", "do_center_crop", "resample", "image_mean", "rescale_factor", "image_processor_type"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_doctored_configurations_are_sentences(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    weights = hugging_face_names(random_weights(SHAPE, np.random.default_rng(0)))
    folder = write_folder(tmp_path_factory.mktemp("m") / "m", weights, processor=PROCESSOR)
    for name, keys in (("config.json", KEYS + TIMM), ("preprocessor_config.json", OTHERS)):
        values = json.loads((folder / name).read_text())
        if name == "config.json" and data.draw(st.booleans()):
            values = {"architecture": "vit_tiny_patch8_16", "pretrained_cfg": {"input_size": [3, 16, 16]}}
        values |= data.draw(st.dictionaries(st.sampled_from(keys), VALUES, max_size=2))
        (folder / name).write_text(json.dumps(values))
    try:
        found = open_checkpoint(folder, None)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert found.shape.image <= 1 << 20
