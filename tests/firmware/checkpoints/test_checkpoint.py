"""Files and folders as users have them: the same weights, what was assumed, and a sentence for what cannot be held."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save, save_file

from firmware import compile as compile_command
from firmware import quantize
from firmware.checkpoints import huggingface_config
from firmware.checkpoints.checkpoint import load_weights, open_checkpoint
from firmware.checkpoints.json_file import Json
from firmware.checkpoints.positions import positions
from firmware.float_models.registry import float_model
from firmware.program.file import load_program
from firmware.quantiser.calibration import Calibration
from firmware.quantiser.post_training import quantise_model
from firmware.quantiser.random_model import random_weights
from sim.reference.architecture import parse_architecture, spelled_out
from sim.reference.errors import UserError
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import IntegerModel, load_model
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
    shape = parse_architecture("vit:image=16,patch=8,dim=48,depth=2,heads=2,classes=48,registers=2,gives=embedding")
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


def test_a_learnt_query_is_a_bias(tmp_path: Path, rng: np.random.Generator):
    """SigLIP's pooling: one Q for all tokens, whose integers are right although it has no weights."""
    arch = "vit:image=16,patch=4,dim=48,depth=1,heads=2,classes=5"
    shape = parse_architecture(f"{arch},class_token=0,pool=attention")
    assert isinstance(shape, VitShape)
    arrays = random_weights(shape, rng)
    del arrays["attn_pool.qkv.weight"], arrays["attn_pool.qkv.bias"], arrays["attn_pool.proj.weight"]
    sizes = {"q.weight": (48, 48), "q.bias": (48,), "kv.weight": (96, 48), "kv.bias": (96,), "proj.weight": (48, 48)}
    pool = {name: rng.normal(size=size).astype(np.float32) / np.float32(7) for name, size in sizes.items()}
    pool["kv.weight"][:48] /= 20  # K: scores as a trained model has them, although the query is long
    pool["latent"] = 20 * rng.normal(size=(1, 1, 48)).astype(np.float32)
    arrays = {name: array for name, array in arrays.items() if ".attn." not in name}
    plain = {
        "attn.qkv.weight": (144, 48),
        "attn.qkv.bias": (144,),
        "attn.proj.weight": (48, 48),
        "attn.proj.bias": (48,),
    }
    arrays |= {f"blocks.0.{name}": rng.normal(size=size).astype(np.float32) / 7 for name, size in plain.items()}
    save_file(arrays | {f"attn_pool.{name}": array for name, array in pool.items()}, tmp_path / "w.safetensors")
    found = open_checkpoint(tmp_path / "w.safetensors", arch)
    assert found.shape == shape
    query = pool["q.weight"] @ pool["latent"].reshape(-1) + pool["q.bias"]
    parts = found.weights["attn_pool.qkv.weight"].reshape(6, 32, 48)
    bias = found.weights["attn_pool.qkv.bias"].reshape(6, 32)
    assert np.abs(query).max() > 20 and not parts[:2].any() and not bias[:, 24:].any()
    # The scores are as they were, Q being the same in all channels.
    scores = np.einsum("hc,hcd->hd", query.reshape(2, 24), pool["kv.weight"][:48].reshape(2, 24, 48))
    np.testing.assert_allclose(np.einsum("hc,hcd->hd", bias[:2], parts[2:4]), scores, rtol=1e-3, atol=1e-4)
    assert np.unique(bias[:2, :24]).size == 1
    model, calibration = float_model(shape, found.weights), Calibration(shape)
    images = rng.normal(size=(2, 3, 16, 16)).astype(np.float32)
    wanted = model.forward(images, calibration.observe)
    tensors = quantise_model(shape, found.weights, calibration).tensors
    vit = IntegerVit(IntegerModel(shape, "lean", found.preprocessing, tensors))
    integers = vit.run(vit.quantised(images))
    pooled = integers["attn_pool.qact4"]
    assert (pooled == pooled[:, :1]).all() and (pooled[0] != pooled[1]).any()
    scale = tensors["head.fc_scaling_factor"].astype(np.float64) * float(tensors["qact3.act_scaling_factor"])
    assert np.abs(integers["head"].reshape(2, -1) * scale - wanted).max() < 0.1 * np.abs(wanted).max()


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


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ViTImageProcessor", (0.5, "bilinear", 20)),
        ("DeiTFeatureExtractor", (0.5, "bicubic", 16)),
        ("BitImageProcessor", (0.48145466, "bicubic", 16)),
        ("SiglipImageProcessor", (0.5, "bicubic", 20)),
    ],
)
def test_what_an_image_processor_does_where_its_file_is_silent(kind: str, expected: tuple[float, str, int]):
    """As the classes of transformers have it."""
    config = Json(Path("p.json"), {"image_processor_type": kind, "size": {"height": 20, "width": 20}, "crop_size": 16})
    found = huggingface_config.preprocessing(config)
    assert (found.mean[0], found.interpolation, found.crop) == expected


@pytest.mark.parametrize(("arch", "mean"), [("vit_tiny_patch16_224", 0.5), ("vit_tiny_patch16_224.dino", 0.485)])
def test_the_mean_of_a_name(arch: str, mean: float, tmp_path: Path):
    """timm's ViTs have 0.5, but for those that were trained otherwise."""
    shape = parse_architecture(arch)
    save_file(random_weights(shape, np.random.default_rng(0)), tmp_path / "w.safetensors")
    assert open_checkpoint(tmp_path / "w.safetensors", arch).preprocessing.mean[0] == mean
