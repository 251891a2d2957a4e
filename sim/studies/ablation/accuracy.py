"""Logits of a model in many arithmetics over labelled images, kept as they come so that a run can be resumed."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import Progress
from threadpoolctl import threadpool_limits

from firmware.float_models.blocks import FloatArray
from firmware.float_models.registry import float_model
from firmware.quantiser.agreement import Comparison, compare
from sim.reference.errors import leave_interrupts_alone, made_folder
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import IntegerModel, load_model

__all__ = ["FLOAT", "Images", "comparisons", "logits"]

Logits = npt.NDArray[np.float64]
FLOAT = "float32"
"""Stands among the arithmetics for the float model itself."""
CHUNK = 20  # images between two notes of what is done


@dataclass(frozen=True)
class Images:
    """Labelled images on disk."""

    files: tuple[Path, ...]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Job:
    """Images to run in an arithmetic, and where their logits are kept."""

    arithmetic: str
    files: tuple[Path, ...]
    path: Path


def logits(
    model: Path,
    weights: dict[str, FloatArray],
    images: Images,
    arithmetics: Sequence[str],
    store: Path,
    processes: int = 1,
) -> dict[str, Logits]:
    """Logits (images, classes) of the model in each arithmetic, and of the float model under FLOAT.

    One image at a time: that is also the fastest, as its tensors stay in the caches. Finished chunks are kept in
    `store`, under a name of the data that they depend on, and taken from there the next time, unless the first image
    gives something else today: then the code has changed, and the arithmetic is run anew.
    """
    made_folder(store)
    chunks = [tuple(images.files[start : start + CHUNK]) for start in range(0, len(images.files), CHUNK)]
    key = _key(load_model(model), weights)
    jobs = {name: [Job(name, files, store / _chunk_name(key, name, files)) for files in chunks] for name in arithmetics}
    console = Console(stderr=True)
    with (
        Progress(console=console, disable=not console.is_terminal, transient=True) as progress,
        # A fresh interpreter a worker: a fork of a process that has used BLAS may hang.
        ProcessPoolExecutor(processes, get_context("spawn"), _prepare, (model, weights)) as pool,
    ):
        kept = [next(job for job in jobs[name] if job.path.exists()) for name in jobs if _any_kept(jobs[name])]
        for job, today in zip(kept, pool.map(_first, kept), strict=True):
            if not np.array_equal(np.load(job.path)[0], today):
                for other in jobs[job.arithmetic]:
                    other.path.unlink(missing_ok=True)
        missing = [job for name in jobs for job in jobs[name] if not job.path.exists()]
        task = progress.add_task("images", total=len(missing) * CHUNK)
        try:
            for job, _ in zip(missing, pool.map(_run, missing), strict=True):
                progress.update(task, advance=CHUNK, description=job.arithmetic)
        finally:
            pool.shutdown(cancel_futures=True)
    return {name: np.concatenate([np.load(job.path) for job in found]) for name, found in jobs.items()}


def comparisons(found: dict[str, Logits], labels: npt.NDArray[np.int64]) -> dict[str, Comparison]:
    """Each arithmetic beside the float model, which `found` must have."""
    return {name: compare(found[FLOAT], values, labels) for name, values in found.items()}


def _any_kept(jobs: list[Job]) -> bool:
    return any(job.path.exists() for job in jobs)


def _key(model: IntegerModel, weights: dict[str, FloatArray]) -> str:
    """A name for the models."""
    digest = hashlib.sha256(model.checksum().encode())
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].tobytes())
    return digest.hexdigest()


def _chunk_name(key: str, arithmetic: str, files: tuple[Path, ...]) -> str:
    digest = hashlib.sha256(f"{key} {arithmetic}".encode())
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:24] + ".npy"


_worker: dict[str, object] = {}


def _prepare(model: Path, weights: dict[str, FloatArray]) -> None:
    leave_interrupts_alone()
    # One thread a process: an image's products are too small for more, and the threads that wait spin.
    threadpool_limits(1)
    _worker["model"], _worker["weights"] = load_model(model), weights


def _run(job: Job) -> None:
    partial = job.path.with_suffix(".partial.npy")
    np.save(partial, _logits(job.arithmetic, job.files))
    partial.replace(job.path)


def _first(job: Job) -> Logits:
    """Of a job's first image."""
    return np.asarray(_logits(job.arithmetic, job.files[:1])[0])


def _logits(arithmetic: str, files: tuple[Path, ...]) -> Logits:
    """One image at a time, the float model's too: a product's last bits depend on the size of the batch."""
    model, weights = _worker["model"], _worker["weights"]
    assert isinstance(model, IntegerModel) and isinstance(weights, dict)
    images = model.preprocessing.load_batch(files)
    if arithmetic == FLOAT:
        floating = float_model(model.shape, weights)
        return np.concatenate([floating.forward(image[None]).astype(np.float64) for image in images])
    vit = IntegerVit(dataclasses.replace(model, arithmetic=arithmetic))
    return np.concatenate([vit.logits(vit.quantised(image[None])) for image in images])
