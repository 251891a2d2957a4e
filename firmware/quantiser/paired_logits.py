"""Logits of a float model and of its integer model over many images, in one process a processor core."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from firmware.float_models.blocks import FloatArray, FloatModel
from firmware.float_models.registry import float_model
from sim.reference.errors import UserError, leave_interrupts_alone
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import IntegerModel

__all__ = ["Pair", "cores", "paired_logits"]

Pair = tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]
"""Float and integer logits of one image, each (classes,)."""


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def paired_logits(
    model: IntegerModel, weights: Mapping[str, FloatArray], files: Sequence[Path], processes: int
) -> Iterator[Pair]:
    """The logits of each of `files`, in order, as they are computed.

    An image is run alone: its tensors then stay in the caches, and no logit depends on how many images are run.

    Raises
    ------
    UserError : an image cannot be read, or a process ended early
    """
    if processes == 1:
        with threadpool_limits(1):
            both = _Both(model, weights)
            yield from (both.logits(file) for file in files)
        return
    # A fresh interpreter a process: a fork of a process that has used BLAS may hang.
    with ProcessPoolExecutor(processes, get_context("spawn"), _prepare, (model, dict(weights))) as pool:
        try:
            yield from pool.map(_logits, files, chunksize=4)
        except BrokenProcessPool as error:
            raise UserError(
                f"One of {processes} processes ended early, perhaps for want of memory; take a smaller --processes."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


class _Both:
    """The two models side by side."""

    def __init__(self, model: IntegerModel, weights: Mapping[str, FloatArray]) -> None:
        self._preprocessing = model.preprocessing
        self._integer = IntegerVit(model)
        self._float: FloatModel = float_model(model.shape, dict(weights))

    def logits(self, file: Path) -> Pair:
        """Of one image file."""
        images = self._preprocessing.load_batch([file])
        return self._float.forward(images)[0], self._integer.logits(self._integer.quantised(images))[0]


_worker: list[_Both] = []  # the models of a process of the pool


def _prepare(model: IntegerModel, weights: dict[str, FloatArray]) -> None:
    leave_interrupts_alone()
    # The products of one image are too small for more than one thread, and threads that wait spin.
    threadpool_limits(1)
    _worker.append(_Both(model, weights))


def _logits(file: Path) -> Pair:
    return _worker[0].logits(file)
