"""The training loop: AdamW, a cosine to zero, data-parallel over processes, resumable after every checkpoint."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import Progress as ProgressBar
from torch import distributed
from torch.nn import functional

from firmware.training import training_checkpoint as checkpoint
from firmware.training.data import Batch, Images, batch
from firmware.training.network import IntegerNetwork
from firmware.training.training_checkpoint import Progress

__all__ = ["PAPER_RATES", "Recipe", "Score", "Workers", "evaluate", "train"]

PAPER_RATES = (2e-7, 5e-7, 1e-6, 2e-6)
"""The paper's search space of the learning rate (Section 4.1)."""
LOG_FIELDS = ("part", "rate", "epoch", "step", "loss", "top1", "images", "seconds")
Teacher = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Recipe:
    """How to train. The optimiser (AdamW) and the estimator (straight-through) are the paper's.

    Parameters
    ----------
    rate : of learning, at the start of the cosine
    epochs, batch : over the training images; images a step, over all processes
    decay : AdamW's, of matrices only: biases, LayerNorms and embeddings are not decayed
    smoothing : of the labels
    distil : weight of the divergence from the float model's answers beside the labels' loss
    augment : see `firmware.training.data.AUGMENTATIONS`
    seed : of the order and the augmentation
    """

    rate: float = 1e-6
    epochs: int = 30
    batch: int = 128
    decay: float = 1e-4
    smoothing: float = 0.1
    distil: float = 0.0
    augment: str = "crop"
    seed: int = 0


@dataclass(frozen=True)
class Score:
    """Over labelled images: share of right answers, mean cross-entropy (nats, no smoothing), and how many images."""

    top1: float
    loss: float
    images: int


@dataclass(frozen=True)
class Workers:
    """The processes that `torchrun` started; one without it."""

    rank: int = 0
    count: int = 1
    local: int = 0  # number on its machine

    @classmethod
    def join(cls, device: str) -> Workers:
        """Joins the others where torchrun's variables say that there are some."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        return cls(distributed.get_rank(), distributed.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))

    def share(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """This process's part of a batch."""
        return indices[self.rank :: self.count]

    def add(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in place."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def leave(self) -> None:
        """Ends the common work."""
        if self.count > 1:
            distributed.destroy_process_group()


def evaluate(network: IntegerNetwork, images: Images, workers: Workers, batch_size: int = 32) -> Score:
    """The integer model over all images, shared among the processes."""
    mine = workers.share(np.arange(len(images)))
    right = loss = 0.0
    with torch.no_grad():
        for start in range(0, len(mine), batch_size):
            pixels, labels = _loaded(network, images, mine[start : start + batch_size], "none", (0,))
            logits, wanted = network.forward(pixels), torch.from_numpy(labels).to(network.device)
            right += float((logits.argmax(dim=1) == wanted).sum())
            loss += float(functional.cross_entropy(logits, wanted, reduction="sum"))
    total = workers.add(torch.tensor([right, loss], dtype=torch.float64, device=network.device))
    return Score(float(total[0]) / len(images), float(total[1]) / len(images), len(images))


def _loaded(
    network: IntegerNetwork, images: Images, indices: npt.NDArray[np.int64], augment: str, seed: tuple[int, ...]
) -> Batch:
    return batch(images, indices, network.model.preprocessing, augment, seed)


@dataclass
class Run:
    """One training run: what it works on, and where it leaves its traces.

    Members
    -------
    folder : of `log.csv` and `checkpoint.safetensors`; None leaves none
    every : steps between two checkpoints; beside those after each epoch
    teacher : the float model's logits of preprocessed images, for `Recipe.distil`
    """

    network: IntegerNetwork
    images: Images
    held_out: Images
    recipe: Recipe
    workers: Workers = field(default_factory=Workers)
    folder: Path | None = None
    every: int | None = None
    teacher: Teacher | None = None

    def __post_init__(self) -> None:
        decayed = {f"{layer.name}.weight" for layer in self.network.shape.linears()}
        groups = [
            {"params": [v for k, v in self.network.parameters.items() if (k in decayed) == kept], "weight_decay": decay}
            for kept, decay in ((True, self.recipe.decay), (False, 0.0))
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=self.recipe.rate)
        self.steps = math.ceil(len(self.images) / self.recipe.batch)

    @property
    def checkpoint(self) -> Path | None:
        """Where the state is kept."""
        return None if self.folder is None else self.folder / "checkpoint.safetensors"

    def rate(self, update: int) -> float:
        """The learning rate of an update: a cosine from the recipe's to zero."""
        return self.recipe.rate * 0.5 * (1 + math.cos(math.pi * update / (self.steps * self.recipe.epochs)))

    def log(self, **values: object) -> None:
        """A line of log.csv."""
        if self.folder is None or self.workers.rank:
            return
        path = self.folder / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as stream:
            table = csv.DictWriter(stream, LOG_FIELDS)
            if new:
                table.writeheader()
            table.writerow(values)

    def keep(self, progress: Progress) -> None:
        """Writes the checkpoint."""
        if self.checkpoint is not None and not self.workers.rank:
            checkpoint.store(self.checkpoint, self.network, self.optimiser, progress, asdict(self.recipe))

    def losses(self, pixels: npt.NDArray[np.float32], labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Summed loss over a part of a batch, and the logits."""
        logits = self.network.forward(pixels)
        loss = functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=self.recipe.smoothing)
        if self.recipe.distil and self.teacher is not None:
            own = torch.from_numpy(self.teacher(pixels)).to(logits.device, torch.float64).log_softmax(dim=1)
            divergence = functional.kl_div(logits.log_softmax(dim=1), own, reduction="sum", log_target=True)
            loss = loss * (1 - self.recipe.distil) + divergence * self.recipe.distil
        return loss, logits

    def update(self, indices: npt.NDArray[np.int64], progress: Progress) -> tuple[float, float]:
        """One step of the optimiser on the images `indices`; their mean loss and share of right answers."""
        mine = self.workers.share(indices)
        self.optimiser.zero_grad(set_to_none=False)
        right = total = 0.0
        parameters = list(self.network.parameters.values())
        if len(mine):
            seed = (self.recipe.seed, progress.epoch)
            pixels, labels = _loaded(self.network, self.images, mine, self.recipe.augment, seed)
            wanted = torch.from_numpy(labels).to(self.network.device)
            loss, logits = self.losses(pixels, wanted)
            (loss / len(indices)).backward()
            right, total = float((logits.argmax(dim=1) == wanted).sum()), float(loss.detach())
        self._reduce(parameters)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(progress.updates)
        self.optimiser.step()
        sums = self.workers.add(torch.tensor([total, right], dtype=torch.float64, device=self.network.device))
        return float(sums[0]) / len(indices), float(sums[1]) / len(indices)

    def _reduce(self, parameters: list[torch.Tensor]) -> None:
        """Sums the gradients over the processes, all of them in one message."""
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        if self.workers.count > 1:
            flat = self.workers.add(torch.cat([one.grad.reshape(-1) for one in parameters if one.grad is not None]))
            start = 0
            for parameter in parameters:
                assert parameter.grad is not None
                parameter.grad.copy_(flat[start : start + parameter.numel()].reshape(parameter.shape))
                start += parameter.numel()


def _batches(run: Run, progress: Progress) -> Iterator[npt.NDArray[np.int64]]:
    """The batches of the present epoch from the present step on: a permutation that seed and epoch decide."""
    order = np.random.default_rng((run.recipe.seed, progress.epoch)).permutation(len(run.images))
    for step in range(progress.step, run.steps):
        yield order[step * run.recipe.batch : (step + 1) * run.recipe.batch]


def train(run: Run, progress: Progress | None = None) -> list[Score]:
    """Trains from `progress` (the beginning by default) to the recipe's end; the held-out scores after each epoch.

    A forward's every tensor is compared with the reference before the first step and after each epoch.

    Raises
    ------
    MismatchError : a tensor differs
    """
    progress = progress or Progress()
    console = Console(stderr=True)
    show = console.is_terminal and not run.workers.rank
    probe, _ = _loaded(run.network, run.images, np.arange(min(2, len(run.images))), "none", (0,))
    run.network.check(probe)
    scores = []
    with ProgressBar(console=console, disable=not show, transient=True) as bar:
        task = bar.add_task("fine-tuning", total=run.steps * run.recipe.epochs, completed=progress.updates)
        while progress.epoch < run.recipe.epochs:
            for indices in _batches(run, progress):
                began = time.monotonic()
                rate = run.rate(progress.updates)
                loss, top1 = run.update(indices, progress)
                progress.step += 1
                progress.updates += 1
                place = {"rate": rate, "epoch": progress.epoch, "step": progress.step}
                seconds = round(time.monotonic() - began, 3)
                run.log(part="train", **place, loss=loss, top1=top1, images=len(indices), seconds=seconds)
                bar.update(task, completed=progress.updates, description=f"loss {loss:.4f}")
                if run.every and progress.updates % run.every == 0 and progress.step < run.steps:
                    run.keep(progress)
            began = time.monotonic()
            run.network.check(probe)
            scores.append(evaluate(run.network, run.held_out, run.workers))
            place = {"rate": rate, "epoch": progress.epoch, "step": progress.step}
            seconds = round(time.monotonic() - began, 3)
            run.log(part="held-out", **place, **asdict(scores[-1]), seconds=seconds)
            progress.epoch, progress.step = progress.epoch + 1, 0
            run.keep(progress)
    return scores
