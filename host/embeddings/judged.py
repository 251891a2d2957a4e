"""Pictures by classes that the user has named: of a few pictures each, or of texts."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from host.command.errors import HostError
from host.devices.embedding import Embedding
from host.devices.prediction import Ranking
from host.embeddings.vectors import Vectors, normalised

__all__ = ["Judge", "Judged"]


@dataclass(frozen=True, eq=False)
class Judged(Ranking):
    """One picture's classes.

    Members
    -------
    cycles : clock cycles that the frame took, None where the device does not count them
    unusual : how far it is from all that was taught: 1 is as far as the most lonely picture of those; None where
        nothing was
    """

    cycles: int | None = None
    unusual: float | None = None


class Judge(ABC):
    """Classes with names.

    Members
    -------
    names : of the classes
    vectors : what pictures are compared with, of length 1, (count, channels)
    source : what they were read from, for messages
    """

    names: tuple[str, ...]
    vectors: Vectors
    source: str

    @abstractmethod
    def scores(self, vectors: Vectors) -> Vectors:
        """Of vectors (count, channels) of length 1 the classes' scores, (count, classes); probabilities are their
        softmax.
        """

    def unusual(self, vector: Vectors) -> float | None:
        """How far a vector of length 1 is from all that was taught; None where nothing was."""
        return None

    def judgements(self, embeddings: Iterable[Embedding], unusual: bool = False) -> Iterator[Judged]:
        """What embeddings mean, in order; with `unusual`, how unusual each is too. Raises as `judged`."""
        return (self.judged(embedding, unusual) for embedding in embeddings)

    def judged(self, embedding: Embedding, unusual: bool = False) -> Judged:
        """What an embedding means.

        Raises
        ------
        HostError : it has another number of channels
        """
        answer = self.of_vector(normalised(embedding.vector), unusual)
        return dataclasses.replace(answer, cycles=embedding.cycles)

    def of_vector(self, vector: Vectors, unusual: bool = False) -> Judged:
        """The same of a vector of length 1."""
        channels = self.vectors.shape[1]
        if vector.size != channels:
            raise HostError(
                f"{self.source} has vectors of {channels} numbers, and the program gives {vector.size}: make it "
                "anew with this model, or name the program that it was made for."
            )
        scores = np.asarray(self.scores(vector[None])[0], np.float64)
        return Judged(scores, self.names, unusual=self.unusual(vector) if unusual else None)
