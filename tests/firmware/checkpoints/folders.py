"""Folders as Hugging Face and timm write them, of the random weights of a tiny ViT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from firmware.checkpoints.huggingface_names import BEFORE, INSIDE
from sim.reference.vit_shape import VitShape

__all__ = ["PROCESSOR", "SHAPE", "hugging_face_names", "write_folder"]

SHAPE = VitShape(image=16, patch=8, dim=32, depth=2, heads=2, classes=3, epsilon=1e-12)
CONFIG = {
    "model_type": "vit",
    "num_attention_heads": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "image_size": 16,
    "id2label": {"0": "cat", "1": "dog", "2": "bird"},
}
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 16, "width": 16},
    "resample": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.25, 0.5, 1],
}


def hugging_face_names(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights under the names that `ViTForImageClassification` has."""
    found = {}
    for name, array in weights.items():
        head, dot, rest = name.partition(".attn.qkv.")
        if dot:
            for part, piece in zip(("query", "key", "value"), np.split(array, 3), strict=True):
                found[f"{head}.attention.attention.{part}.{rest}"] = piece
            continue
        for old, new in INSIDE:
            name = name.replace(f".{new}", f".{old}") if ".attn" not in new or "proj" in new else name
        found[name] = array
    renamed = {}
    for name, array in found.items():
        if name.startswith("head."):
            renamed["classifier." + name.removeprefix("head.")] = array
            continue
        old, new = next(pair for pair in BEFORE if name.startswith(pair[1]))
        renamed[f"vit.{old}{name.removeprefix(new)}"] = array
    return {name.replace("encoder.layers.", "encoder.layer."): np.ascontiguousarray(a) for name, a in renamed.items()}


def write_folder(
    folder: Path,
    arrays: dict[str, np.ndarray],
    config: dict[str, Any] | None = None,
    processor: dict[str, Any] | None = None,
) -> Path:
    """A folder with a configuration, and with a processor's where it is given."""
    folder.mkdir()
    save_file(arrays, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG | (config or {})))
    if processor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder
