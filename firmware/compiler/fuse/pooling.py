"""Fuses operations that make one row of all tokens: their mean, or their sum with a rescale that divides."""

from __future__ import annotations

import dataclasses

from firmware.compiler.fuse.identity import UNCHANGED, rescaled_mean, rescaled_norm
from firmware.compiler.fuse.known import Known
from firmware.compiler.fuse.layers import Matmul, Mean, Rows
from firmware.compiler.fuse.tensors import RescaledNorm, Result, TokenAverage, TokenTotal
from sim.reference.graph import Node
from sim.reference.rescale import Rescale

__all__ = ["norm_in_memory", "rescaled_sum", "token_mean", "token_sum"]


def norm_in_memory(known: Known, node: Node, rows: Rows) -> Matmul:
    """The result of a norm, as the matmul that writes it to memory unchanged."""
    match known.input(node):
        case RescaledNorm(norm):
            return rescaled_norm(norm.name, norm, UNCHANGED, rows)
        case _:
            raise known.refused(node, "a norm")


def token_mean(known: Known, node: Node, rows: Rows) -> TokenAverage:
    """Mean over all tokens of a norm."""
    source = dataclasses.replace(norm_in_memory(known, node, rows), widened=True)
    known.store(Mean(node.name, known.store(source)))
    return TokenAverage(node.name, len(source.weight))


def token_sum(known: Known, node: Node, first: int, rows: Rows) -> TokenTotal:
    """Sum over tokens of a norm, or of a residual addition to 8 bits."""
    match known.input(node):
        case Result(Matmul(widened=True) as source):
            pass
        case RescaledNorm():
            source = dataclasses.replace(norm_in_memory(known, node, rows), widened=True)
        case _:
            raise known.refused(node, "a norm, or a residual addition to 8 bits")
    return TokenTotal(known.store(source), len(source.weight), first)


def rescaled_sum(known: Known, node: Node, total: TokenTotal, rescale: Rescale) -> Result:
    """A sum with its rescale: pairs, of which an identity takes the first."""
    pairs = f"{node.name}.pairs"
    known.store(Mean(pairs, total.tensor, total.first, rescale.factor))
    return Result(rescaled_mean(node.name, pairs, total.channels, UNCHANGED))
