"""The file of `host.run --embeddings`: an .npz with the names of pictures and a vector for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from host.command.errors import HostError
from host.devices.base import LoadedModel
from host.devices.embedding import Embedding
from host.embeddings.vectors import normalised
from sim.reference.errors import replaced_when_complete

__all__ = ["save_vectors"]


def save_vectors(
    path: Path, names: Sequence[str], embeddings: Sequence[Embedding], model: LoadedModel, kind: str, normalise: bool
) -> None:
    """Writes the file; it appears only when it is complete. The same answers give the same bytes.

    `names` (count,), `vectors` float32 (count, channels), of a feature map (count, tokens, channels); `integers`, the
    same as they left the device, and `scales` float32 (channels,); `model`, the fingerprint, and `output`, the kind.

    Raises
    ------
    HostError : there are none, or the file cannot be written
    """
    if not embeddings:
        raise HostError(f"None of the pictures could be read, so {path} is not written.")
    integers = np.stack([one.integers for one in embeddings])
    features = np.stack([one.features for one in embeddings])
    if kind != "tokens":
        features = features.reshape(len(features), -1)
    with replaced_when_complete(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            names=np.array([name.encode(errors="surrogateescape").decode(errors="replace") for name in names]),
            vectors=normalised(features) if normalise else features,
            integers=integers.astype(np.int32),
            scales=np.broadcast_to(model.scales[kind], integers.shape[-1]).astype(np.float32),
            model=np.array(model.fingerprint),
            output=np.array(kind),
        )
