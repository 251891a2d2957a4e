"""Checkpoints as `torch.save` writes them: however they are wrapped, the same weights; no code in them runs."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware.checkpoints.checkpoint import open_checkpoint
from firmware.quantiser.random_model import random_weights
from sim.reference.errors import UserError
from tests.firmware.checkpoints.folders import SHAPE, hugging_face_names, write_folder

ARCH = "vit:image=16,patch=8,dim=32,depth=2,heads=2,classes=3"
State = dict[str, torch.Tensor]


@pytest.fixture
def state(rng: np.random.Generator) -> State:
    return {name: torch.from_numpy(array) for name, array in random_weights(SHAPE, rng).items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"model": state, "epoch": 3, "lr": [0.1]},
        lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}, "best": 0.5},
        lambda state: {"state": 1, "model": {"state_dict": state}},
        lambda state: {name: torch.nn.Parameter(value) for name, value in state.items()},
    ],
)
@pytest.mark.parametrize("older", [False, True])
def test_wrapped_states(wrap: Callable[[State], Any], older: bool, state: State, tmp_path: Path):
    torch.save(wrap(state), tmp_path / "w.pth", _use_new_zipfile_serialization=not older)
    found = open_checkpoint(tmp_path / "w.pth", ARCH).weights
    assert found.keys() == state.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(found[name], value.numpy(), err_msg=name)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_halves(kind: torch.dtype, state: State, tmp_path: Path):
    torch.save({name: value.to(kind) for name, value in state.items()}, tmp_path / "w.pt")
    found = open_checkpoint(tmp_path / "w.pt", ARCH).weights
    for name, value in state.items():
        np.testing.assert_array_equal(found[name], value.to(kind).to(torch.float32).numpy(), err_msg=name)


def test_a_folder_with_a_bin(state: State, tmp_path: Path):
    arrays = {name: value.numpy() for name, value in state.items()}
    folder = write_folder(tmp_path / "m", hugging_face_names(arrays))
    (folder / "model.safetensors").unlink()
    tensors = {name: torch.from_numpy(array) for name, array in hugging_face_names(arrays).items()}
    torch.save(tensors, folder / "pytorch_model.bin")
    assert open_checkpoint(folder, None).shape == SHAPE


class Malicious:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def test_code_in_a_pickle_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("plain.bin").write_bytes(pickle.dumps({"cls_token": Malicious()}, protocol=2))
    torch.save({"model": {"cls_token": Malicious()}}, "zipped.pth")
    for name in ("plain.bin", "zipped.pth"):
        with pytest.raises(UserError, match=f"{name} is not a PyTorch file of plain tensors"):
            open_checkpoint(Path(name), ARCH)
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"cls_token": 3}}, "'cls_token' is a int, but a dense tensor is expected"),
        ([1, 2], "holds a list, but a state_dict"),
        ({"cls_token": torch.zeros(2, 2).to_sparse()}, "'cls_token' is a Tensor, but a dense tensor"),
        ({"cls_token": torch.zeros(1, 1, 32, dtype=torch.complex64)}, "is missing"),
    ],
)
def test_other_contents(content: Any, message: str, tmp_path: Path):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match=message):
        open_checkpoint(tmp_path / "w.pth", ARCH)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damaged_files_are_sentences(tmp_path: Path, data: st.DataObject):
    path = tmp_path / "w.pth"
    wrapped = {"model": {"head.bias": torch.arange(6.0)}}
    torch.save(wrapped, path, _use_new_zipfile_serialization=data.draw(st.booleans()))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    for _ in range(data.draw(st.integers(1, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    with pytest.raises(UserError) as caught:  # at best it lacks every other weight
        open_checkpoint(path, ARCH)
    assert "w.pth" in str(caught.value) and "\n" not in str(caught.value)
