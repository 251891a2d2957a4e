"""Hugging Face's names of ViT, DeiT, DINOv2 and Swin."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from firmware.checkpoints.arrays import Arrays
from sim.reference.errors import UserError

__all__ = ["from_hugging_face", "joined"]

MODELS = ("vit.", "deit.", "dinov2.", "dinov2_with_registers.", "swin.")
LEFT_OUT = ("pooler.",)
BEFORE = (
    ("embeddings.patch_embeddings.projection.", "patch_embed.proj."),
    ("embeddings.norm.", "patch_embed.norm."),
    ("embeddings.cls_token", "cls_token"),
    ("embeddings.distillation_token", "dist_token"),
    ("embeddings.register_tokens", "reg_token"),
    ("embeddings.mask_token", "mask_token"),
    ("embeddings.position_embeddings", "pos_embed"),
    ("encoder.layer.", "blocks."),
    ("encoder.layers.", "layers."),
    ("layernorm.", "norm."),
    ("distillation_classifier.", "head_dist."),
    ("cls_classifier.", "head."),
    ("classifier.", "head."),
)
INSIDE = (
    ("attention.attention.", "attn."),
    ("attention.self.", "attn."),
    ("attention.output.dense.", "attn.proj."),
    ("intermediate.dense.", "mlp.fc1."),
    ("output.dense.", "mlp.fc2."),
    ("layernorm_before.", "norm1."),
    ("layernorm_after.", "norm2."),
    ("layer_scale1.lambda1", "ls1.gamma"),
    ("layer_scale2.lambda1", "ls2.gamma"),
)
BLOCK = re.compile(r"((?:blocks|layers\.\d+\.blocks)\.\d+\.)(.+)")


def from_hugging_face(arrays: Arrays, path: Path) -> Arrays:
    """The same weights under timm's names."""
    found: Arrays = {}
    for key, array in arrays.items():
        name = next((key.removeprefix(model) for model in MODELS if key.startswith(model)), key)
        if name.startswith(LEFT_OUT):
            continue
        name = _replaced(name, BEFORE)
        if block := BLOCK.fullmatch(name):
            name = block[1] + _replaced(block[2], INSIDE)
        found[name] = array
    return joined(found, ("query", "key", "value"), path)


def joined(arrays: Arrays, parts: tuple[str, str, str], path: Path) -> Arrays:
    """With `attn.qkv` in place of its three parts.

    Raises
    ------
    UserError : one of the three is missing, or they are of several shapes
    """
    query = re.compile(rf"(.+\.attn\.){parts[0]}\.(weight|bias)")
    found = {key: array for key, array in arrays.items() if not re.search(rf"\.attn\.({'|'.join(parts)})\.", key)}
    used = set(found)
    for key in arrays:
        if match := query.fullmatch(key):
            names = [f"{match[1]}{part}.{match[2]}" for part in parts]
            if missing := [name for name in names if name not in arrays]:
                raise UserError(f"{path}: the weight {missing[0]!r} is missing beside {key!r}.")
            tensors = [arrays[name] for name in names]
            if len({tensor.shape for tensor in tensors}) != 1 or not tensors[0].ndim:
                raise UserError(f"{path}: {key!r} and the two beside it must have one shape.")
            found[f"{match[1]}qkv.{match[2]}"] = np.concatenate(tensors)
            used |= set(names)
    if left := sorted(arrays.keys() - used):
        raise UserError(f"{path}: {left[0]!r} is there without the others of Q, K and V.")
    return found


def _replaced(name: str, table: tuple[tuple[str, str], ...]) -> str:
    """The name with its beginning as in the table."""
    for old, new in table:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
