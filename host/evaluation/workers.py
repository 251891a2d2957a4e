"""Many devices side by side: an evaluation's images over processes of this computer, or over a Dask cluster."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import Any

from firmware.quantiser.labels import LabelledFile
from host.command.errors import HostError, reason
from host.evaluation.job import Evaluator, Job
from host.evaluation.metrics import Outcome
from sim.reference.errors import UserError, leave_interrupts_alone

__all__ = ["in_processes", "on_cluster"]

SHAREABLE = ("sim", "reference")  # of a real board there is one
CONNECT_SECONDS = 10


_worker = threading.local()
"""Of this thread of this process: the job and what it opened. They end with the process."""


def evaluated(job: Job, row: LabelledFile) -> Outcome:
    """One image on this worker's own device, which its first image opens. Raises HostError."""
    try:
        if getattr(_worker, "job", None) != job:
            _worker.job, _worker.evaluator = None, Evaluator(job)
            _worker.job = job
        outcome: Outcome = _worker.evaluator.outcome(row)
    except UserError as error:
        raise HostError(str(error)) from None  # what caused it does not survive the way between processes
    return outcome


def _check(job: Job) -> None:
    if job.device.partition(":")[0] not in SHAREABLE:
        raise HostError(f"{job.device} is one device: --boards and --scheduler take {' or '.join(SHAREABLE)}.")


def in_processes(job: Job, rows: Sequence[LabelledFile], boards: int) -> Generator[Outcome, None, None]:
    """The outcomes in the order of the rows, from so many processes, each with a device of its own.

    Raises
    ------
    HostError : the device is not one of which there can be several, one fails, or a process ends early
    """
    _check(job)
    # Not forked: what an emulated board's library holds does not survive that.
    pool = ProcessPoolExecutor(boards, multiprocessing.get_context("spawn"), leave_interrupts_alone)
    try:
        yield from pool.map(evaluated, [job] * len(rows), rows)
    except BrokenProcessPool as error:
        raise HostError("A board's process has ended early, perhaps for lack of memory: use fewer --boards.") from error
    finally:
        pool.shutdown(cancel_futures=True)


def on_cluster(job: Job, rows: Sequence[LabelledFile], address: str) -> Generator[Outcome, None, None]:
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
    absolute = replace(
        job,
        program=job.program.resolve(),
        images=job.images.resolve(),
        reference=job.reference.resolve() if job.reference else None,
    )
    try:
        for future in client.map(evaluated, [absolute] * len(rows), rows, pure=False):
            try:
                yield future.result()
            except (OSError, RuntimeError) as error:  # of the cluster: a worker or the scheduler has gone
                raise HostError(f"The cluster at {address} fails ({reason(error)}): look at its log.") from error
    finally:
        client.close()
