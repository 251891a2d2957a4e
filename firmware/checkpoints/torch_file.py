"""What `torch.save` writes, with `weights_only`: plain tensors, and no object whose loading would run code."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.reference.errors import UserError

__all__ = ["is_torch", "load_state", "tensors_of", "unwrapped"]

SUFFIXES = (".bin", ".ckpt", ".pt", ".pth", ".tar")
WRAPPERS = ("state_dict", "model", "model_state_dict", "module", "net", "teacher", "model_ema", "state_dict_ema")
"""Under which the state of a training run holds the weights; of several the first is taken."""
DEEPEST = 3
PICKLE = 2  # a file of older releases begins with a pickle's protocol


def is_torch(path: Path) -> bool:
    """Whether a file is PyTorch's, by its content; where that says nothing, by its name."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") or name == "data.pkl" for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        with path.open("rb") as file:
            if file.read(2) == bytes((0x80, PICKLE)):
                return True
        return path.suffix in SUFFIXES


def load_state(path: Path) -> Mapping[Any, Any]:
    """The mapping in a file. Nothing in it is executed.

    Raises
    ------
    UserError : it is damaged, holds anything but plain tensors, or PyTorch is absent
    """
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"{path} is a PyTorch file and PyTorch is not installed; get it with `pip install torch==2.13.0`."
        ) from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # A damaged or hostile file makes the unpickler raise nearly anything; all of it means the same to the user.
    except Exception as error:
        raise UserError(
            f"{path} is not a PyTorch file of plain tensors ({type(error).__name__}); "
            "it is damaged, or holds objects whose loading would run code, which is refused."
        ) from error
    if not isinstance(state, Mapping):
        raise UserError(f"{path} holds a {type(state).__name__}, but a state_dict (key to tensor) is expected.")
    return state


def unwrapped(state: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The weights in the state of a training run; a state_dict as it is."""
    for _ in range(DEEPEST):
        inner = next((state[name] for name in WRAPPERS if isinstance(state.get(name), Mapping)), None)
        if inner is None:
            break
        state = inner
    return state


def tensors_of(state: Mapping[Any, Any], path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of a state_dict, bfloat16 as float32.

    Raises
    ------
    UserError : something in it is no dense tensor
    """
    import torch

    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for key, value in unwrapped(state).items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor) or value.layout != torch.strided:
            raise UserError(f"{path}: {key!r} is a {type(value).__name__}, but a dense tensor is expected.")
        try:
            value = value.detach()
            arrays[key] = (value.to(torch.float32) if value.dtype == torch.bfloat16 else value).numpy()
        except (TypeError, RuntimeError) as error:
            raise UserError(f"{path}: {key!r} holds {value.dtype}, but float32 is expected.") from error
    return arrays
