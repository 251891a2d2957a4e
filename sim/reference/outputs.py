"""What a model can give: the logits of its classes, an embedding, the mean of its patches, its last feature map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim.reference.errors import UserError

__all__ = ["CLASSES", "EMBEDDING", "GIVES", "OUTPUTS", "Output", "check_gives", "chosen_outputs", "outputs_of"]

CLASSES, EMBEDDING, MEAN, TOKENS = "classes", "embedding", "mean", "tokens"
OUTPUTS = {
    CLASSES: "the integer logits of the head",
    EMBEDDING: "what pictures are compared by: a projection's result, or what a classifier reads",
    MEAN: "the mean of the patches behind the last LayerNorm",
    TOKENS: "the last feature map: all tokens behind the last LayerNorm",
}
"""Every kind of output, and what it is."""
GIVES = (CLASSES, EMBEDDING)
"""What a model's head gives: classes of a classifier; an embedding where it is a projection, or where there is none."""


@dataclass(frozen=True)
class Output:
    """One kind of output of one model.

    Parameters
    ----------
    tensor : of the graph
    scale : the activation whose scale its integers have; empty for the head's accumulators, which have one a channel
    """

    tensor: str
    scale: str = ""


def outputs_of(gives: str, pooled: str, mean: Output, tokens: Output) -> dict[str, Output]:
    """The outputs of a model by their kinds.

    Parameters
    ----------
    gives : one of GIVES: what the head's accumulators are
    pooled : the activation that the head reads
    mean, tokens : the outputs of these kinds
    """
    return (
        {gives: Output("head")}
        | ({EMBEDDING: Output(pooled, pooled)} if gives == CLASSES else {})
        | {
            MEAN: mean,
            TOKENS: tokens,
        }
    )


def chosen_outputs(wanted: Sequence[str], offered: Sequence[str], architecture: str) -> tuple[str, ...]:
    """The kinds that are wanted, once each, in the order of OUTPUTS; where none is named, the first that there is.

    Raises
    ------
    UserError : there is no such kind, or not of this model
    """
    for kind in wanted:
        if kind not in OUTPUTS:
            raise UserError(f"There is no output {kind!r}: name one of {', '.join(OUTPUTS)}.")
        if kind not in offered:
            raise UserError(f"The model {architecture} gives no {kind}: name one of {', '.join(offered)}.")
    return tuple(kind for kind in offered if kind in wanted) if wanted else (offered[0],)


def check_gives(gives: str) -> None:
    """Raises UserError for what no head is."""
    if gives not in GIVES:
        raise UserError(f"gives must be one of {', '.join(GIVES)}, not {gives!r}.")
