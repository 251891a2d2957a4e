"""Hugging Face's `config.json` and `preprocessor_config.json`."""

from __future__ import annotations

import math
import re
from pathlib import Path

from firmware.checkpoints.arrays import Arrays
from firmware.checkpoints.json_file import Json
from firmware.checkpoints.open_clip_config import MEAN, STD
from firmware.checkpoints.traits import Told, swin_shape, vit_shape
from sim.reference.errors import UserError
from sim.reference.model_shape import MLP_RATIO, ModelShape
from sim.reference.preprocess import Preprocessing

__all__ = ["class_names", "preprocessing", "shape_of"]

EPSILONS = {
    "vit": 1e-12,
    "deit": 1e-12,
    "dinov2": 1e-6,
    "dinov2_with_registers": 1e-6,
    "clip_vision_model": 1e-5,
    "siglip_vision_model": 1e-6,
    "swin": 1e-5,
}
"""What each kind of model has where its configuration is silent; these are the kinds that are known."""
ACTIVATIONS_OF = {"clip_vision_model": "quick_gelu", "siglip_vision_model": "gelu_pytorch_tanh"}
"""The same; of the others it is GELU."""
RESAMPLES = ("dinov2", "dinov2_with_registers")
"""Kinds whose library fits the positions to whatever image it is given."""
ACTIVATIONS = {"gelu": "gelu", "quick_gelu": "quick_gelu", "gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh"}
RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
WHITE = 255
HALF = (0.5, 0.5, 0.5)
CUBIC, CROPPED, OF_CLIP = (re.compile(kinds) for kinds in ("CLIP|Siglip|Bit|DeiT", "CLIP|Bit|DeiT", "CLIP|Bit"))
"""Image processors that resize so, that crop, and that normalise as CLIP's where their file is silent; the others are
bilinear, do not crop and have 0.5. DINOv2's is Bit.
"""


def shape_of(config: Json, arrays: Arrays, prepared: Preprocessing, path: Path) -> ModelShape:
    """The architecture of a folder.

    Parameters
    ----------
    config : of the model
    arrays : the weights, under timm's names
    prepared : the pictures that it takes
    path : of the weights

    Raises
    ------
    UserError : the kind of model is not known, or is one that no model here is
    """
    kind = config.get("model_type", str, "")
    if kind in ("clip", "siglip"):
        kind, config = f"{kind}_vision_model", config.inner("vision_config")
    if kind not in EPSILONS:
        raise UserError(
            f"{config.path}: the model type {kind!r} is not known; one of {', '.join(EPSILONS)} is expected."
        )
    name = config.get("hidden_act", str, ACTIVATIONS_OF.get(kind, "gelu"))
    if name not in ACTIVATIONS:
        raise UserError(f"{config.path}: hidden_act is {name!r}, but one of {', '.join(ACTIVATIONS)} is expected.")
    if config.get("use_swiglu_ffn", bool, False):
        raise UserError(f"{config.path}: the model has a SwiGLU, which the machine does not have; take one with GELU.")
    epsilon = config.get("layer_norm_eps", float, EPSILONS[kind])
    if kind == "swin":
        if config.get("use_absolute_embeddings", bool, False) or config.get("mlp_ratio", float, 4.0) != MLP_RATIO:
            raise UserError(f"{config.path}: a Swin must have no absolute positions and an mlp_ratio of {MLP_RATIO}.")
        return swin_shape(arrays, config.side("image_size", 224), ACTIVATIONS[name], epsilon, path)
    heads = config.get("num_attention_heads", int, 12)
    image = prepared.crop if kind in RESAMPLES else None
    averaged = kind == "siglip_vision_model"  # where it has no pooling of its own
    projection = kind == "clip_vision_model"
    return vit_shape(arrays, Told(heads, averaged, ACTIVATIONS[name], epsilon, image, projection), path)


def preprocessing(config: Json) -> Preprocessing:
    """What an image processor does.

    Raises
    ------
    UserError : something that `Preprocessing` cannot say
    """
    kind = config.get("image_processor_type", str, config.get("feature_extractor_type", str, ""))
    if not config.get("do_resize", bool, True) or not config.get("do_rescale", bool, True):
        raise UserError(f"{config.path}: pictures must be resized and rescaled, and do_resize or do_rescale is false.")
    if not math.isclose(config.get("rescale_factor", float, 1 / WHITE) * WHITE, 1, rel_tol=1e-4):
        raise UserError(f"{config.path}: rescale_factor must be 1/{WHITE}, not {config.values['rescale_factor']!r}.")
    resample = config.get("resample", int, 3 if CUBIC.match(kind) else 2)
    if resample not in RESAMPLING:
        raise UserError(f"{config.path}: resample is {resample}, but one of {sorted(RESAMPLING)} is expected.")
    mean, std = (0.0,) * 3, (1.0,) * 3
    if config.get("do_normalize", bool, True):
        usual = (MEAN, STD) if OF_CLIP.match(kind) else (HALF, HALF)
        mean, std = config.colours("image_mean", usual[0]), config.colours("image_std", usual[1])
    size = config.values.get("size", 224)
    # Processors of CLIP take a number for the short side, the others for both.
    short = "CLIP" in kind and not isinstance(size, dict)
    if isinstance(size, dict) and "shortest_edge" in size:
        short, size = True, size["shortest_edge"]
    resize = Json(config.path, {"size": size}).side("size", 224)
    crops = config.get("do_center_crop", bool, CROPPED.match(kind) is not None)
    if short and not crops:
        raise UserError(f"{config.path}: the short side is resized and nothing cropped, but a square is expected.")
    crop = config.side("crop_size", resize) if crops else resize
    return Preprocessing(resize, crop, mean, std, RESAMPLING[resample], squash=not short)


def class_names(config: Json, classes: int) -> tuple[str, ...]:
    """One a class, where the configuration names them otherwise than by number."""
    names = config.inner("id2label").values
    found = [names.get(str(index)) for index in range(classes)]
    if len(names) != classes or any(type(name) is not str or not name.isprintable() for name in found):
        return ()
    return () if found[0] == "LABEL_0" else tuple(map(str, found))
