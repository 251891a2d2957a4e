"""From the names that a checkpoint has to timm's, whichever library wrote it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from firmware.checkpoints.arrays import Arrays
from firmware.checkpoints.clip_names import from_hugging_face_clip, from_open_clip
from firmware.checkpoints.huggingface_names import from_hugging_face
from sim.reference.errors import UserError

__all__ = ["timm_names"]

PREFIXES = ("module.", "model.", "_orig_mod.", "backbone.", "net.")
LEFT_OUT = ("mask_token", "register_tokens_mask")
"""What training alone needs."""
PART = re.compile(r"blocks\.\d+\.mlp\.(w12|w1|w3|fc1_g|gate_proj|weights_in)\.")


def timm_names(arrays: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]], path: Path) -> Arrays:
    """The same weights under timm's names, Q, K and V as one; what no forward of images reads is left out.

    Raises
    ------
    UserError : the file has weights of a part that no model here has
    """
    found = _without_prefix(dict(arrays))
    if any(key.endswith("embeddings.patch_embedding.weight") for key in found):
        found = from_hugging_face_clip(found, path)
    elif any(key.startswith("visual.") for key in found) or "class_embedding" in found:
        found = from_open_clip(found, path)
    elif any("embeddings.patch_embeddings.projection." in key for key in found):
        found = from_hugging_face(found, path)
    found = {key: array for key, array in found.items() if key not in LEFT_OUT}
    if gated := sorted(key for key in found if PART.match(key)):
        raise UserError(
            f"{path}: {gated[0]!r} is of a SwiGLU, which the machine does not have; take a model with GELU."
        )
    return _with_one_register(found)


def _without_prefix(arrays: Arrays) -> Arrays:
    """Without what training in parallel, compiling and wrapping put in front of every name."""
    while arrays:
        prefix = next((one for one in PREFIXES if all(key.startswith(one) for key in arrays)), None)
        if prefix is None:
            return arrays
        arrays = {key.removeprefix(prefix): array for key, array in arrays.items()}
    return arrays


def _with_one_register(arrays: Arrays) -> Arrays:
    """DINOv2's own name of registers, and their shape, as timm's."""
    if "register_tokens" in arrays:
        arrays["reg_token"] = arrays.pop("register_tokens")
    return arrays
