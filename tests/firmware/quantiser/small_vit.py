"""A tiny ViT with random weights, and a folder of images: enough to run the quantiser's commands in a second."""

import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from sim.reference.vit_shape import VitShape

SHAPE = VitShape(image=16, patch=8, dim=32, depth=2, heads=2, classes=5)
ARCH = "vit:image=16,patch=8,dim=32,depth=2,heads=2,classes=5"


def weights(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random float32 weights under timm's names; gammas near 1."""
    result = {}
    for name, shape in SHAPE.weight_shapes().items():
        values = rng.normal(0, 0.2, shape)
        if "norm" in name and name.endswith("weight"):
            values += 1
        result[name] = values.astype(np.float32)
    return result


def write_weights(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    if path.suffix == ".npz":
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.save(member, array)
    else:
        save_file(arrays, path)
    return path


def write_images(folder: Path, rng: np.random.Generator, count: int = 3) -> Path:
    folder.mkdir()
    for index in range(count):
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return folder
