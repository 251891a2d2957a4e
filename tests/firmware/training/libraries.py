"""timm, transformers and open_clip, and folders of random models as they write them."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

__all__ = ["forward", "library", "randomised", "save_timm"]

OPERATORS = ("nms", "qnms")


def library(name: str) -> ModuleType:
    """A library that imports torchvision, of which none of these models needs the compiled operators: torchvision
    refuses to be imported where those were built for another PyTorch.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for operator in OPERATORS:
            torch.library.define(
                f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
        importlib.import_module("torchvision")
    return importlib.import_module(name)


def randomised(model: torch.nn.Module) -> torch.nn.Module:
    """With weights that let no part of it be a constant or the identity."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(parameter + 0.1 * noise if parameter.ndim < 2 else 0.15 * noise)
    return model.eval()


def forward(model: torch.nn.Module, images: np.ndarray[Any, Any], call: str = "forward", **more: Any) -> Any:
    """What a model makes of preprocessed images, without gradients."""
    with torch.no_grad():
        return getattr(model, call)(torch.from_numpy(images), **more)


def save_timm(folder: Path, model: Any, architecture: str, **config: Any) -> Path:
    """As `timm.models.push_to_hf_hub` and `save_for_hf` write it."""
    folder.mkdir()
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, folder / "model.safetensors")
    about = {"architecture": architecture, "num_classes": model.num_classes, "global_pool": model.global_pool}
    (folder / "config.json").write_text(json.dumps({**about, **config}))
    return folder
