"""The embeddings of the float model that an integer model was made of, to compare with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from firmware.checkpoints.checkpoint import load_weights
from firmware.float_models.registry import float_model
from host.embeddings.vectors import Vectors, normalised
from sim.reference.model_file import load_model
from sim.reference.outputs import EMBEDDING

__all__ = ["float_vectors"]


def float_vectors(model: Path, weights: Path, pictures: Iterable[Image.Image]) -> Iterator[Vectors]:
    """The vectors of pictures, of length 1, in order.

    Parameters
    ----------
    model : the integer model's file, which says the architecture and how pictures are prepared
    weights : the float checkpoint

    Raises
    ------
    UserError : one of them cannot be read, or they do not fit
    """
    integer = load_model(model)
    shape = integer.shape
    network = float_model(shape, load_weights(weights, shape, resample=True))
    for picture in pictures:
        prepared = integer.preprocessing.apply(picture)[None]
        found = network.forward(prepared) if shape.gives == EMBEDDING else network.features(prepared)
        yield normalised(np.asarray(found[0], np.float32))
