"""A checkpoint as a user brings it, a file or a folder, as everything that the quantiser needs of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from firmware.checkpoints import huggingface_config, open_clip_config, timm_config
from firmware.checkpoints.arrays import Arrays, load_arrays
from firmware.checkpoints.checked import FloatArray
from firmware.checkpoints.json_file import Json, read_json
from firmware.checkpoints.naming import timm_names
from firmware.checkpoints.onnx_model import open_onnx
from firmware.checkpoints.timm_names import weights_of
from firmware.checkpoints.traits import refined
from sim.reference.architecture import parse_architecture, spelled_out
from sim.reference.errors import UserError
from sim.reference.model_shape import ModelShape
from sim.reference.preprocess import Preprocessing
from sim.reference.vit_shape import VitShape

__all__ = ["Checkpoint", "load_weights", "open_checkpoint"]

CONFIG, OPEN_CLIP_CONFIG, PROCESSOR = "config.json", "open_clip_config.json", "preprocessor_config.json"
INDEX = "model.safetensors.index.json"
WEIGHTS = ("model.safetensors", INDEX, "pytorch_model.bin")
ONNX = ".onnx"
OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


@dataclass(frozen=True)
class Checkpoint:
    """A float model.

    Parameters
    ----------
    shape : dimensions
    weights : as `ModelShape.weight_shapes` lists them
    preprocessing : of the pictures that it takes
    class_names : one a class, or none
    notes : what was assumed, in sentences
    """

    shape: ModelShape
    weights: dict[str, FloatArray]
    preprocessing: Preprocessing
    class_names: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def open_checkpoint(path: Path, arch: str | None, image: int | None = None) -> Checkpoint:
    """A weights file of an architecture that is named, or a folder or ONNX file that says its architecture itself.

    Parameters
    ----------
    arch : as `parse_architecture`; None for a folder with a configuration
    image : pixels, where positions are to be made to fit another size than the model was trained with

    Raises
    ------
    UserError : something cannot be read, is not understood or does not fit
    """
    if path.suffix == ONNX and path.is_file():
        return _from_onnx(path, arch, image)
    config = _configuration(path)
    if config is None or arch is not None:
        return _named(path, arch, image, config is not None)
    arrays, file = _arrays(path, config)
    named = timm_names(arrays, file)
    notes: list[str] = []
    names: tuple[str, ...] = ()
    if config.path.name == OPEN_CLIP_CONFIG:
        prepared = open_clip_config.preprocessing(config)
        shape = open_clip_config.shape_of(config, named, file)
    elif "model_type" in config.values:
        prepared, notes = _processor(path, config)
        shape = huggingface_config.shape_of(config, named, prepared, file)
        names = huggingface_config.class_names(config, shape.classes)
    else:
        prepared = timm_config.preprocessing(config)
        shape = timm_config.shape_of(config, named, file)
        names = timm_config.class_names(config, shape.classes)
    shape, prepared = _for_image(shape, prepared, image)
    weights, more = weights_of(named, shape, file, resample=True)
    return Checkpoint(shape, weights, prepared, names, [f"The architecture is {spelled_out(shape)}.", *notes, *more])


def load_weights(path: Path, shape: ModelShape, resample: bool = False) -> dict[str, FloatArray]:
    """The float32 weights of a model that is known, from a file or a folder; with `resample`, positions of another
    image size are made to fit.

    Raises
    ------
    UserError : as `open_checkpoint`
    """
    if path.suffix == ONNX and path.is_file():
        return weights_of(open_onnx(path)[1], shape, path, resample)[0]
    arrays, file = _arrays(path, _configuration(path))
    return weights_of(timm_names(arrays, file), shape, file, resample)[0]


def _from_onnx(path: Path, arch: str | None, image: int | None) -> Checkpoint:
    """A ViT's graph, which says its architecture, but not how pictures are prepared."""
    if arch is not None:
        raise UserError(f"{path} says its architecture itself, in its graph; leave ARCH out.")
    found, arrays = open_onnx(path)
    shape, prepared = _for_image(found, Preprocessing.default(found.image), image)
    weights, notes = weights_of(arrays, shape, path, resample=True)
    return Checkpoint(shape, weights, prepared, (), [f"The architecture is {spelled_out(shape)}.", *notes])


def _named(path: Path, arch: str | None, image: int | None, has_configuration: bool) -> Checkpoint:
    """A checkpoint whose architecture is an argument."""
    if has_configuration:
        raise UserError(f"{path} says its architecture itself, in its {CONFIG}; leave ARCH out.")
    if arch is None:
        raise UserError(f"{path} does not say its architecture: name it as ARCH, or give the folder of its {CONFIG}.")
    named = parse_architecture(arch)
    arrays, file = _arrays(path, None)
    found = timm_names(arrays, file)
    shape = refined(named, found, file)
    prepared = timm_config.named_preprocessing(arch, shape.image) or Preprocessing.default(shape.image)
    shape, prepared = _for_image(shape, prepared, image)
    weights, notes = weights_of(found, shape, file, resample=image is not None)
    return Checkpoint(shape, weights, prepared, (), [_assumed(shape), *notes])


def _assumed(shape: ModelShape) -> str:
    """What neither the weights of a ViT nor anything beside them tells."""
    words = [f"activation={shape.activation}", f"epsilon={shape.epsilon:g}"]
    if isinstance(shape, VitShape):
        words = [f"heads={shape.heads}", f"pool={shape.pool}", *words]
    return f"As named or by default, for weights do not tell it: {', '.join(words)}."


def _for_image(shape: ModelShape, prepared: Preprocessing, image: int | None) -> tuple[ModelShape, Preprocessing]:
    """Both for images of another size."""
    if image is None:
        return shape, prepared
    resize = max(image, round(prepared.resize * image / prepared.crop))
    return dataclasses.replace(shape, image=image), dataclasses.replace(prepared, resize=resize, crop=image)  # type: ignore[type-var]


def _configuration(path: Path) -> Json | None:
    """Of a folder; None for a file.

    Raises
    ------
    UserError : a folder without one
    """
    if not path.is_dir():
        return None
    for name, weights in ((CONFIG, WEIGHTS), (OPEN_CLIP_CONFIG, OPEN_CLIP_WEIGHTS)):
        if (path / name).is_file() and any((path / one).is_file() for one in weights):
            return read_json(path / name)
    raise UserError(
        f"{path} holds no {CONFIG} beside {', '.join(WEIGHTS)}, nor {OPEN_CLIP_CONFIG} beside its weights; name a "
        "folder as Hugging Face, timm or open_clip write it, or a file."
    )


def _arrays(path: Path, config: Json | None) -> tuple[Arrays, Path]:
    """The arrays of a file, or of the folder of a configuration; and the file, for messages."""
    if config is None:
        return load_arrays(path), path
    known = OPEN_CLIP_WEIGHTS if config.path.name == OPEN_CLIP_CONFIG else WEIGHTS
    file = next(path / name for name in known if (path / name).is_file())
    if file.name != INDEX:
        return load_arrays(file), file
    parts = sorted({str(name) for name in read_json(file).inner("weight_map").values.values()})
    arrays: Arrays = {}
    for name in parts:
        if Path(name).name != name:
            raise UserError(f"{file}: {name!r} is no file of this folder.")
        arrays |= load_arrays(path / name)
    return arrays, file


def _processor(path: Path, config: Json) -> tuple[Preprocessing, list[str]]:
    """The pictures that a Hugging Face folder's model takes."""
    if (path / PROCESSOR).is_file():
        return huggingface_config.preprocessing(read_json(path / PROCESSOR)), []
    side = config.side("image_size", config.inner("vision_config").side("image_size", 224))
    return Preprocessing.default(side), [
        f"There is no {PROCESSOR}: pictures are prepared as ImageNet's models want it."
    ]
