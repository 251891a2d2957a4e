"""The state of a fine-tuning run on disk: safetensors, so that reading one runs no code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from firmware.training.network import IntegerNetwork
from sim.reference.errors import UserError, replaced_when_complete

__all__ = ["Progress", "load", "store"]

FORMAT = "ivit-finetune"
VERSION = "1"
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class Progress:
    """Where a run is.

    Members
    -------
    epoch : the epoch that comes next, or goes on
    step : steps of it that are done
    updates : of the optimiser, since the start
    """

    epoch: int = 0
    step: int = 0
    updates: int = 0


def store(
    path: Path, network: IntegerNetwork, optimiser: torch.optim.AdamW, progress: Progress, recipe: dict[str, object]
) -> None:
    """Writes weights, the optimiser's moments, the activations' scales and where the run is; `path` appears whole."""
    tensors = {}
    for name, value in network.parameters.items():
        tensors[f"weight/{name}"] = value.detach().cpu().contiguous()
        for moment in MOMENTS:
            state = optimiser.state.get(value, {})
            if moment in state:
                tensors[f"{moment}/{name}"] = state[moment].detach().cpu().contiguous()
    for name, scale in network.scales.items():
        tensors[f"scale/{name}"] = torch.tensor(scale)
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "progress": json.dumps(vars(progress)),
        "recipe": json.dumps(recipe, sort_keys=True),
        "model": network.model.checksum(),
    }
    with replaced_when_complete(path) as temporary:
        temporary.write_bytes(save(tensors, metadata))


def load(path: Path, network: IntegerNetwork, optimiser: torch.optim.AdamW, recipe: dict[str, object]) -> Progress:
    """Puts a run's state back and tells where it was.

    Raises
    ------
    UserError : the file is damaged, or of another model or recipe
    """
    if not path.is_file():
        raise UserError(f"{path} is not a file; the checkpoint of a fine-tuning run is expected.")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
        progress = Progress(**json.loads(header.get("progress", "{}")))
        before = json.loads(header.get("recipe", "{}"))
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is truncated, damaged or no checkpoint of a fine-tuning run.") from error
    if header.get("format") != FORMAT or header.get("version") != VERSION:
        raise UserError(f"{path} is no checkpoint of a fine-tuning run of this version.")
    if header.get("model") != network.model.checksum():
        raise UserError(f"{path} belongs to a run that started from another model.")
    if different := sorted(key for key in before.keys() | recipe.keys() if before.get(key) != recipe.get(key)):
        key = different[0]
        raise UserError(f"{path}: its run has {key} {before.get(key)!r}, not {recipe.get(key)!r}; resume it as it was.")
    wanted = {f"weight/{name}": value.shape for name, value in network.parameters.items()}
    for name, shape in wanted.items():
        if name not in tensors or tensors[name].shape != shape:
            raise UserError(f"{path}: the tensor {name!r} is missing or misshapen; the file is damaged.")
    network.scales = {name: np.float32(tensors[f"scale/{name}"]) for name in network.scales}
    with torch.no_grad():
        for name, value in network.parameters.items():
            value.copy_(tensors[f"weight/{name}"])
            if f"exp_avg/{name}" in tensors:
                state = {moment: tensors[f"{moment}/{name}"].to(value.device) for moment in MOMENTS}
                optimiser.state[value] = {"step": torch.tensor(float(progress.updates)), **state}
    return progress
