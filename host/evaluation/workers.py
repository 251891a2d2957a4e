"""Many devices side by side: an evaluation's images over processes of this computer, or over a Dask cluster."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware.program.file import load_program
from host.command.errors import HostError, reason
from host.devices.base import LoadedModel
from host.devices.linked import described
from host.devices.model_file import MODEL_FORMAT, kind_of, read_model
from host.devices.registry import open_device
from host.evaluation.labels import Labelled
from host.evaluation.metrics import Outcome
from host.images.files import read_image
from sim.reference.errors import UserError

__all__ = ["Job", "model_of", "on_cluster", "side_by_side"]

SHAREABLE = ("sim", "reference")  # of a real board there is one
CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Job:
    """What every worker opens: a device and a program, where the images are, a reference's model if asked for."""

    device: str
    program: Path
    images: Path
    reference: Path | None = None


_opened = threading.local()
"""Of this thread of this process: the job, its device and its reference. They end with the process."""


def model_of(program: Path) -> LoadedModel:
    """What the host must know of a program or model file, without a device.

    Raises
    ------
    HostError : it is neither
    """
    if kind_of(program) == MODEL_FORMAT:
        return read_model(program)[1]
    try:
        return described(load_program(program))
    except UserError as error:
        raise HostError(str(error)) from error


def outcome(job: Job, row: Labelled) -> Outcome:
    """One image on this worker's own device, which its first image opens. Raises HostError."""
    try:
        if getattr(_opened, "job", None) != job:
            _open(job)
        picture = read_image(job.images / row.file)
        prediction = _opened.device.infer(picture)
        if _opened.reference is None:
            return Outcome(row.file, row.label, prediction.label, prediction.cycles)
        expected = _opened.reference.infer(picture)
    except HostError as error:
        raise HostError(str(error)) from None  # the others do not survive the way between processes
    return Outcome(
        row.file,
        row.label,
        prediction.label,
        prediction.cycles,
        same_label=prediction.label == expected.label,
        same_integers=prediction.same_integers(expected),
    )


def _open(job: Job) -> None:
    _opened.job = None
    _opened.device = open_device(job.device)
    _opened.device.load(job.program)
    _opened.reference = None
    if job.reference is not None:
        _opened.reference = open_device("reference")
        _opened.reference.load(job.reference)
    _opened.job = job


def _check(job: Job) -> None:
    if job.device.partition(":")[0] not in SHAREABLE:
        raise HostError(f"{job.device} is one device: --boards and --scheduler take {' or '.join(SHAREABLE)}.")


def side_by_side(job: Job, rows: Sequence[Labelled], boards: int) -> Generator[Outcome, None, None]:
    """The outcomes in the order of the rows, from so many processes, each with a device of its own.

    Raises
    ------
    HostError : the device is not one of which there can be several, one fails, or a process ends early
    """
    _check(job)
    # Not forked: what an emulated board's library holds does not survive that.
    pool = ProcessPoolExecutor(boards, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield from pool.map(outcome, [job] * len(rows), rows)
    except BrokenProcessPool as error:
        raise HostError("A board's process has ended early, perhaps for lack of memory: use fewer --boards.") from error
    finally:
        pool.shutdown(cancel_futures=True)


def on_cluster(job: Job, rows: Sequence[Labelled], address: str) -> Generator[Outcome, None, None]:
    """The same from the workers of a Dask cluster, which see this project and the files under the same paths.

    Raises
    ------
    HostError : `distributed` is not installed, nobody answers at the address, or a worker fails
    """
    _check(job)
    try:
        from distributed import Client
    except ImportError as error:
        raise HostError(
            "--scheduler needs Dask's `distributed`, which is not installed: pip install 'ivit-machine[cluster]'."
        ) from error
    try:
        client: Any = Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TypeError) as error:
        raise HostError(f"No Dask scheduler answers at {address} ({reason(error)}): check --scheduler.") from error
    absolute = Job(
        job.device, job.program.resolve(), job.images.resolve(), job.reference.resolve() if job.reference else None
    )
    try:
        for future in client.map(outcome, [absolute] * len(rows), rows, pure=False):
            try:
                yield future.result()
            except (OSError, RuntimeError) as error:  # of the cluster: a worker or the scheduler has gone
                raise HostError(f"The cluster at {address} fails ({reason(error)}): look at its log.") from error
    finally:
        client.close()
