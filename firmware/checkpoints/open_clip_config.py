"""open_clip's `open_clip_config.json`."""

from __future__ import annotations

from pathlib import Path

from firmware.checkpoints.arrays import Arrays
from firmware.checkpoints.json_file import Json
from firmware.checkpoints.traits import Told, vit_shape
from sim.reference.errors import UserError
from sim.reference.model_shape import ModelShape
from sim.reference.preprocess import INTERPOLATIONS, Preprocessing

__all__ = ["MEAN", "STD", "preprocessing", "shape_of"]

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
EPSILON = 1e-5


def shape_of(config: Json, arrays: Arrays, path: Path) -> ModelShape:
    """The architecture of the image tower.

    Raises
    ------
    UserError : it is none that is known
    """
    model = config.inner("model_cfg")
    tower = model.inner("vision_cfg")
    if name := tower.get("timm_model_name", str, ""):
        raise UserError(f"{config.path}: the image tower is timm's {name!r}; take timm's own folder of it.")
    pool = tower.get("pool_type", str, "tok")
    if pool != "tok" or tower.get("attentional_pool", bool, False):
        raise UserError(f"{config.path}: the image tower pools by {pool!r} or attention, but only 'tok' is known.")
    if type(tower.values.get("layers", 12)) is not int:
        raise UserError(f"{config.path}: the image tower is a ResNet; take one with a ViT.")
    width = tower.get("head_width", int, 64)
    dim = tower.get("width", int, 768)
    if not 0 < width <= dim:
        raise UserError(f"{config.path}: head_width is {width}, but 1 to {dim} is expected.")
    activation = "quick_gelu" if model.get("quick_gelu", bool, False) else "gelu"
    return vit_shape(arrays, Told(dim // width, False, activation, EPSILON, projection=True), path)


def preprocessing(config: Json) -> Preprocessing:
    """What open_clip does to a picture.

    Raises
    ------
    UserError : something that `Preprocessing` cannot say
    """
    how = config.inner("preprocess_cfg")
    side = how.side("size", config.inner("model_cfg").inner("vision_cfg").side("image_size", 224))
    mode, interpolation = how.get("resize_mode", str, "shortest"), how.get("interpolation", str, "bicubic")
    if mode not in ("shortest", "squash") or interpolation not in INTERPOLATIONS:
        raise UserError(f"{config.path}: resize_mode {mode!r} with interpolation {interpolation!r} is not known.")
    mean, std = how.colours("mean", MEAN), how.colours("std", STD)
    return Preprocessing(side, side, mean, std, interpolation, mode == "squash")
