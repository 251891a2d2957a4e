"""Names of the image towers of CLIP and SigLIP: Hugging Face's, open_clip's and OpenAI's own."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from firmware.checkpoints.arrays import Arrays
from firmware.checkpoints.huggingface_names import joined
from sim.reference.errors import UserError
from sim.reference.vit_shape import POOLING

__all__ = ["from_hugging_face_clip", "from_open_clip"]

HUGGING_FACE = (
    (r"embeddings\.patch_embedding\.", "patch_embed.proj."),
    (r"pre_layrnorm\.", "norm_pre."),  # their spelling
    (r"post_layernorm\.", "norm."),
    (r"encoder\.layers\.", "blocks."),
    (r"\.self_attn\.out_proj\.", ".attn.proj."),
    (r"\.self_attn\.", ".attn."),
    (r"\.layer_norm([12])\.", r".norm\1."),
    # SigLIP's pooling
    (r"head\.probe$", f"{POOLING}.latent"),
    (r"head\.attention\.in_proj_", f"{POOLING}.qkv."),
    (r"head\.attention\.out_proj\.", f"{POOLING}.proj."),
    (r"head\.layernorm\.", f"{POOLING}.norm."),
    (r"head\.mlp\.", f"{POOLING}.mlp."),
)
LEFT_OUT = ("embeddings.position_ids", "visual_projection.weight")
CLASSIFIER = "classifier."
OPEN_CLIP = (
    (r"conv1\.", "patch_embed.proj."),
    (r"ln_pre\.", "norm_pre."),
    (r"ln_post\.", "norm."),
    (r"transformer\.resblocks\.", "blocks."),
    (r"\.attn\.out_proj\.", ".attn.proj."),
    (r"\.attn\.in_proj_", ".attn.qkv."),
    (r"\.ln_([12])\.", r".norm\1."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
    (r"\.ls_([12])\.gamma", r".ls\1.gamma"),
)


def from_hugging_face_clip(arrays: Arrays, path: Path) -> Arrays:
    """The image tower of `CLIPModel`, `CLIPVisionModel`, `CLIPVisionModelWithProjection`, `SiglipModel`,
    `SiglipVisionModel` or `SiglipForImageClassification` under timm's names. Where there is a classifier, it reads the
    mean, and SigLIP's own pooling is left out.
    """
    prefix = "vision_model." if any(key.startswith("vision_model.") for key in arrays) else ""
    tower = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
    tower = {key: array for key, array in tower.items() if key not in LEFT_OUT}
    found = _tokens(tower, "embeddings.class_embedding", "embeddings.position_embedding.weight", HUGGING_FACE)
    classifier = {f"head.{key.removeprefix(CLASSIFIER)}": arrays[key] for key in arrays if key.startswith(CLASSIFIER)}
    if classifier:
        found = {key: array for key, array in found.items() if not key.startswith((POOLING, CLASSIFIER))} | classifier
    if "visual_projection.weight" in arrays:
        found |= _head(arrays["visual_projection.weight"], "visual_projection.weight", path)
    return joined(found, ("q_proj", "k_proj", "v_proj"), path)


def from_open_clip(arrays: Arrays, path: Path) -> Arrays:
    """The image tower in a state of open_clip or OpenAI, with `visual.` in front or without, under timm's names.

    Raises
    ------
    UserError : the image tower is no Transformer of theirs
    """
    tower = {key.removeprefix("visual."): array for key, array in arrays.items() if key.startswith("visual.")}
    tower = tower or dict(arrays)
    if any(key.startswith(("trunk.", "layer1.")) for key in tower):
        if not any(key.startswith("trunk.") for key in tower):
            raise UserError(f"{path} is a CLIP whose image tower is a ResNet; take one with a ViT.")
        return {key.removeprefix("trunk."): array for key, array in tower.items() if key.startswith("trunk.")}
    projection = tower.pop("proj", None)
    found = _tokens(tower, "class_embedding", "positional_embedding", OPEN_CLIP)
    if projection is not None:
        if projection.ndim != 2:
            raise UserError(f"{path}: 'proj' must be a matrix, not of shape {projection.shape}.")
        found |= _head(projection.T, "proj", path)
    return found


def _tokens(arrays: Arrays, token: str, positions: str, table: tuple[tuple[str, str], ...]) -> Arrays:
    """Renamed as in the table; the class token and the positions with timm's axes."""
    found: Arrays = {}
    for key, array in arrays.items():
        if key == token:
            found["cls_token"] = array.reshape(1, 1, -1)
        elif key == positions:
            found["pos_embed"] = array[None]
        else:
            for pattern, new in table:
                key = re.sub(pattern if pattern.startswith(r"\.") else f"^{pattern}", new, key)
            found[key] = array
    return found


def _head(matrix: np.ndarray[tuple[int, ...], np.dtype[np.generic]], key: str, path: Path) -> Arrays:
    """The projection as a classifier, whose bias is 0."""
    if matrix.ndim != 2 or matrix.dtype.kind != "f":
        raise UserError(f"{path}: {key!r} must be a matrix of floating-point numbers.")
    return {"head.weight": matrix, "head.bias": np.zeros(len(matrix), np.float32)}
