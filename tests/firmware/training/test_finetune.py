"""Fine-tuning: its forward is the reference's, its gradients are those of the real model, and a run can be resumed."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from firmware.checkpoints.arrays import load_arrays
from firmware.float_models.blocks import FloatArray
from firmware.quantiser.random_model import random_model
from firmware.training import digits
from firmware.training import training_checkpoint as checkpoint
from firmware.training.data import Grey, batch, open_images, read_idx
from firmware.training.finetune import main
from firmware.training.network import IntegerNetwork, MismatchError, starting_weights, weights_of
from firmware.training.train_digits import SHAPE, Vit
from firmware.training.training import Recipe, Run, evaluate, train
from sim.reference.architecture import parse_architecture
from sim.reference.errors import UserError
from sim.reference.model_file import IntegerModel, load_model
from sim.reference.rescale import ResidualAdd

ROOT = Path(__file__).resolve().parents[3]
VARIANTS = (
    "lean",
    "official",
    "lean:softmax=polynomial,gelu=polynomial,layernorm=l1",
    "official:softmax=logarithm,gelu_n=16,multiplier_bits=20",
    "lean:softmax=float,gelu=float,layernorm=float",
)


@pytest.fixture(scope="module")
def model() -> IntegerModel:
    return load_model(ROOT / "models" / "digits.safetensors")


@pytest.fixture(scope="module")
def weights() -> dict[str, FloatArray]:
    arrays = load_arrays(ROOT / "models" / "digits_float.safetensors")
    return {name: np.asarray(value, np.float32) for name, value in arrays.items()}


def grey(count: int, split: str = "train") -> Grey:
    found = digits.load(split)
    return Grey(np.ascontiguousarray(found.images[:count, :, :, 0]), found.labels[:count])


@pytest.mark.parametrize("arithmetic", VARIANTS)
def test_every_tensor_of_a_forward_is_the_references(arithmetic: str, model: IntegerModel, weights):
    variant = dataclasses.replace(model, arithmetic=arithmetic)
    pixels, _ = batch(grey(3), np.arange(3), model.preprocessing, "none", (0,))
    network = IntegerNetwork(variant, starting_weights(variant, weights))
    assert network.check(pixels) > 3 * 150_000
    assert all(np.array_equal(network.tensors()[name], value) for name, value in model.tensors.items())
    network.forward(pixels).sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in network.parameters.values())


def test_a_swin_forward_is_the_references_too():
    shape = parse_architecture("swin:image=32,patch=4,dim=16,depths=2-2,heads=1-2,window=4,classes=5")
    swin = random_model(shape, "official", np.random.default_rng(1))
    network = IntegerNetwork(swin, weights_of(swin))
    pixels = np.random.default_rng(0).normal(0, 1, (2, 3, 32, 32)).astype(np.float32)
    assert network.check(pixels) > 0
    network.forward(pixels).sum().backward()
    assert all(value.grad is not None for value in network.parameters.values())


def test_a_wrong_forward_is_seen(model: IntegerModel, weights, monkeypatch: pytest.MonkeyPatch):
    from firmware.training import exact

    monkeypatch.setitem(exact._FORMS, ResidualAdd, lambda operation, a, b: exact._residual(operation, a, b) + 1)
    pixels, _ = batch(grey(1), np.arange(1), model.preprocessing, "none", (0,))
    with pytest.raises(MismatchError, match="'qact1'"):
        IntegerNetwork(model, weights).check(pixels)


def test_gradients_point_where_the_float_models_do(model: IntegerModel, weights):
    pixels, labels = batch(grey(32), np.arange(32), model.preprocessing, "none", (0,))
    network, plain = IntegerNetwork(model, weights), Vit(SHAPE, drop=0.0)
    plain.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    wanted = torch.from_numpy(labels)
    torch.nn.functional.cross_entropy(network.forward(pixels), wanted).backward()
    torch.nn.functional.cross_entropy(plain(torch.from_numpy(pixels)), wanted).backward()
    for name, value in plain.named_parameters():
        found, exact = network.parameters[name].grad.flatten(), value.grad.flatten()
        cosine = float(torch.dot(found, exact) / found.norm() / exact.norm())
        assert cosine > 0.75, f"{name}: {cosine}"
        assert 0.5 < float(found.norm() / exact.norm()) < 2, name


def test_a_models_own_weights_give_it_back(model: IntegerModel):
    again = IntegerNetwork(model, weights_of(model)).tensors()
    for name, value in model.tensors.items():
        # float32 holds 24 bits of a bias that may have 31; scales are rounded once more.
        difference = np.abs(again[name].astype(np.float64) - value.astype(np.float64))
        assert (difference <= 1e-6 * np.abs(value.astype(np.float64))).all(), name


def runner(model: IntegerModel, weights, folder: Path | None = None, **changes: Any) -> Run:
    recipe = dataclasses.replace(Recipe(rate=1e-3, epochs=2, batch=16, augment="move", seed=3), **changes)
    return Run(IntegerNetwork(model, weights), grey(40), grey(30, "held-out"), recipe, folder=folder, every=2)


def test_training_lowers_the_loss(model: IntegerModel, weights):
    rng = np.random.default_rng(0)
    spoilt = {name: value + rng.normal(0, 0.02, value.shape).astype(np.float32) for name, value in weights.items()}
    run = runner(model, spoilt, epochs=3, smoothing=0.0)
    before = evaluate(run.network, run.images, run.workers)
    train(run)
    assert evaluate(run.network, run.images, run.workers).loss < 0.8 * before.loss


def test_a_resumed_run_ends_as_the_whole_one(model: IntegerModel, weights, tmp_path: Path):
    whole = runner(model, weights, tmp_path)
    states = []
    store = checkpoint.store

    def kept(path, network, optimiser, progress, recipe):
        store(path, network, optimiser, progress, recipe)
        states.append(path.read_bytes())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "store", kept)
        train(whole)
    assert len(states) == 4  # after the updates 2 and 4, and after each epoch
    (tmp_path / "checkpoint.safetensors").write_bytes(states[2])
    again = runner(model, weights, tmp_path)
    progress = checkpoint.load(tmp_path / "checkpoint.safetensors", again.network, again.optimiser, vars(again.recipe))
    assert (progress.epoch, progress.step, progress.updates) == (1, 1, 4)
    train(again, progress)
    for name, value in whole.network.parameters.items():
        assert torch.equal(value, again.network.parameters[name]), name


def test_a_checkpoint_of_another_recipe_is_refused(model: IntegerModel, weights, tmp_path: Path):
    path = tmp_path / "c.safetensors"
    run = runner(model, weights)
    checkpoint.store(path, run.network, run.optimiser, checkpoint.Progress(), vars(run.recipe))
    other = vars(dataclasses.replace(run.recipe, batch=8))
    with pytest.raises(UserError, match="its run has batch 16, not 8"):
        checkpoint.load(path, run.network, run.optimiser, other)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="truncated"):
        checkpoint.load(path, run.network, run.optimiser, vars(run.recipe))


def digit_tree(folder: Path, count: int) -> None:
    from PIL import Image

    found = digits.load("train")
    for index in range(count):
        place = folder / digits.CLASS_NAMES[found.labels[index]]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(found.images[index]).save(place / f"{index:03}.png")


def test_the_command_alone_and_in_two_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    digit_tree(tmp_path / "train", 70)
    common = [str(ROOT / "models" / "digits.safetensors"), "--train", str(tmp_path / "train")]
    common += ["--held-out", str(tmp_path / "train"), "--held-out-part", "0:11", "--train-part", ":24"]
    common += ["--epochs", "1", "--batch", "12", "--rate", "1e-4", "--json", "--augment", "crop"]
    assert main([*common, "--folder", str(tmp_path / "one"), "-o", str(tmp_path / "one.safetensors")]) == 0
    assert '"images": 11' in capsys.readouterr().out
    lines = (tmp_path / "one" / "rate_0.0001" / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["part", "train", "train", "held-out"]
    two = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    two += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "-m", "firmware.finetune", *common]
    two += ["--folder", str(tmp_path / "two"), "-o", str(tmp_path / "two.safetensors")]
    subprocess.run(two, cwd=ROOT, check=True, timeout=300, capture_output=True)
    one, both = (load_model(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    for name, value in one.tensors.items():
        different = value != both.tensors[name]
        if "norm" in name and value.dtype == np.int32:
            # These count in units of 2^-27, which float32 sums do not settle; an update moves beta by 10,000 of them.
            different = np.abs(value.astype(np.int64) - both.tensors[name].astype(np.int64)) > 1000
        if name.endswith("qkv.bias_integer"):
            # Shiftmax does not see what all scores of a row share, so K's bias has no gradient but rounding.
            different = np.delete(different.reshape(3, -1), 1, axis=0)
        # The sums of the two halves round otherwise, so a weight may round to its neighbour here and there.
        assert np.mean(different) < 0.02 or value.dtype == np.float32, name


def test_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    digit_tree(tmp_path / "train", 20)
    common = [
        "--train",
        str(tmp_path / "train"),
        "--held-out",
        str(tmp_path / "train"),
        "--folder",
        str(tmp_path / "r"),
    ]
    shipped = str(ROOT / "models" / "digits.safetensors")
    for more, message in (
        ([shipped, "-o", str(tmp_path / "no" / "o")], "cannot be written"),
        (["deit_tiny", "-o", str(tmp_path / "o")], "needs --weights"),
        ([shipped, "-o", str(tmp_path / "o"), "--distil", "0.5"], "--distil needs the float model"),
        ([shipped, "-o", str(tmp_path / "o"), "--train-part", "5"], "FIRST:LAST"),
        ([shipped, "-o", str(tmp_path / "o"), "--train-part", "900:"], "holds no image"),
        ([shipped, "-o", str(tmp_path / "o"), "--epochs", "0"], "--epochs must be at least 1, not 0"),
    ):
        assert main([*common, *more]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_damaged_idx_files(tmp_path: Path):
    path = tmp_path / "train-images-idx3-ubyte"
    for content, message in (
        (b"\0\0", "truncated or damaged"),
        (b"\0\0\x0d\x01" + bytes(8), "not an idx file of bytes"),
        (b"\0\0\x08\x03" + b"\x7f" * 12, "more than"),
        (b"\0\0\x08\x01\0\0\0\x09" + bytes(8), "truncated: 8 of 9"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            read_idx(path)
    with pytest.raises(UserError, match="truncated"):
        open_images(tmp_path, None, 10, "train", slice(None))
