"""How close an integer model comes to the float model it was made from, over labelled images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.reference.errors import UserError

Logits = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Comparison:
    """Float and integer side by side.

    Members
    -------
    images : how many
    float_top1, integer_top1 : share of images whose first class is the label
    agreement : share of images on which both have the same first class
    divergence : mean KL(softmax(float logits) || softmax(integer logits)), nats
    """

    images: int
    float_top1: float
    integer_top1: float
    agreement: float
    divergence: float


def log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    """Logarithm of the softmax over the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def compare(float_logits: Logits, integer_logits: Logits, labels: npt.NDArray[np.integer]) -> Comparison:
    """Compares logits (images, classes), the integer ones already multiplied by their scales, with labels (images,)."""
    if not float_logits.shape == integer_logits.shape == (len(labels), float_logits.shape[-1]):
        raise UserError(
            f"Float logits {float_logits.shape}, integer logits {integer_logits.shape} and {len(labels)} labels do not "
            "belong together; they must cover the same images and classes."
        )
    own, other = log_softmax(float_logits), log_softmax(integer_logits)
    return Comparison(
        images=len(labels),
        float_top1=float(np.mean(float_logits.argmax(axis=1) == labels)),
        integer_top1=float(np.mean(integer_logits.argmax(axis=1) == labels)),
        agreement=float(np.mean(float_logits.argmax(axis=1) == integer_logits.argmax(axis=1))),
        divergence=float(np.mean((np.exp(own) * (own - other)).sum(axis=1))),
    )
