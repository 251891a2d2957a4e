"""A frame against the reference: every tensor, those that never reach memory too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware.compiler.compiled import Compiled
from firmware.compiler.fuse.layers import Attention, Matmul, Transformed
from sim.emulator.board import Board, BoardError, Frame
from sim.emulator.emulation import EmulationError
from sim.emulator.onchip import OnChipError, Piece
from sim.reference.integer_vit import IntegerVit
from sim.watched import ContractViolation

__all__ = ["FRAME_ERRORS", "Comparison", "checked_frame", "compare"]

LEAST_SCORE = -128
# What a frame raises that ends otherwise than it should: each is one sentence.
FRAME_ERRORS = (BoardError, ContractViolation, EmulationError, OnChipError)

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """``tensors`` and ``integers``: how many were compared; ``different``: a sentence for each tensor that differs, in
    the order of the graph.
    """

    tensors: int
    integers: int
    different: list[str]


@dataclass
class _Differences:
    """Of one tensor: how many integers were compared, how many are wrong, and the first of these."""

    compared: int = 0
    wrong: int = 0
    first: str = ""

    def add(self, got: Integers, wanted: Integers, origin: tuple[int, ...]) -> None:
        self.compared += wanted.size
        places = np.argwhere(got != wanted)
        if len(places) and not self.wrong:
            here = tuple(places[0])
            position = ", ".join(str(low + step) for low, step in zip(origin, here, strict=True))
            self.first = f"the first at [{position}]: {got[here]} instead of {wanted[here]}"
        self.wrong += len(places)


def checked_frame(
    board: Board, model: IntegerVit, compiled: Compiled, image: npt.NDArray[np.int8]
) -> tuple[Frame, Comparison]:
    """Runs one frame of `compiled`, which is the board's program and what `model` compiles to, and compares all of it.

    Raises one of `FRAME_ERRORS`.
    """
    frame = board.run(image, watch=True)
    return frame, compare(model, compiled, image, board.tensors(), board.watched(compiled))


def compare(
    model: IntegerVit,
    compiled: Compiled,
    image: npt.NDArray[np.int8],
    stored: Mapping[str, Integers],
    watched: list[Piece],
) -> Comparison:
    """Compares all tensors of one frame.

    Parameters
    ----------
    model, compiled : what ran
    image : (3, side, side)
    stored : every tensor in memory
    watched : what the taps showed
    """
    pieces: dict[str, list[Piece]] = defaultdict(list)
    for piece in watched:
        pieces[piece.tensor].append(piece)
    names = {*stored, *pieces} - {model.graph.source}
    expected = model.run(image[None].astype(np.int64), capture=sorted(names))
    order = [node.name for node in model.graph.nodes if node.name in names]
    found, integers = [], 0
    windowed = _windowed(compiled)
    for name in order:
        differences = _Differences()
        if name in windowed:
            # A score that is masked is the least one in the machine, which never has its sum without the mask.
            wanted = np.where(windowed[name], LEAST_SCORE, expected[name])
        else:
            wanted = _rows(expected[name], compiled.orders.get(name))
        if name in stored:
            got, lines = stored[name], compiled.orders.get(name)
            tokens = expected[name].reshape(-1, expected[name].shape[-1])
            got = got[: len(wanted)] if lines is None else got[lines]
            differences.add(got[:, : wanted.shape[-1]], wanted if lines is None else tokens, (0, 0))
        for piece in pieces.get(name, ()):
            part = piece.shown(wanted[piece.place])
            origin = [along.start for along in piece.place] + [0] * (part.ndim - len(piece.place))
            differences.add(piece.values[tuple(slice(size) for size in part.shape)], part, tuple(origin))
        integers += differences.compared
        if differences.wrong:
            found.append(f"{name}: {differences.wrong} of {differences.compared} integers differ, {differences.first}")
    found += [f"{name}: it was not seen" for name in _expected_on_chip(compiled) if name not in pieces]
    return Comparison(len(order), integers, found)


def _rows(tensor: Integers, order: Integers | None) -> Integers:
    """One image's tensor as rows, in their order in memory. Rows that are no token are 0."""
    if order is None:
        # The graph selects the class token before the last LayerNorm, the machine behind it: one row of several.
        return np.atleast_2d(tensor[0])
    tokens = tensor.reshape(-1, tensor.shape[-1])
    result = np.zeros((int(order.max()) + 1, tokens.shape[1]), np.int64)
    result[order] = tokens
    return result


def _windowed(compiled: Compiled) -> dict[str, npt.NDArray[np.bool_]]:
    """Tensors that the reference has window by window, with heads apart; which of their values are masked scores."""
    found: dict[str, npt.NDArray[np.bool_]] = {}
    for layer in compiled.plan.layers:
        if isinstance(layer, Attention) and layer.windows is not None:
            found[layer.scores_name] = found[layer.softmax_name] = np.zeros((1, 1, 1, 1), bool)
            if layer.bias is not None:
                found[layer.bias.name] = found[layer.scores_name]
                if layer.regions is not None:
                    found[layer.bias.name] = layer.regions[:, None, :, None] != layer.regions[:, None, None, :]
    return found


def _expected_on_chip(compiled: Compiled) -> list[str]:
    """The tensors that the taps must have shown."""
    names: list[str] = []
    for layer in compiled.plan.layers:
        if isinstance(layer, Attention):
            names += [layer.scores_name, layer.softmax_name]
            names += [] if layer.bias is None else [layer.bias.name]
        elif isinstance(layer, Matmul):
            names += [layer.operand.name] if isinstance(layer.operand, Transformed) else []
            names += [] if layer.residual is None else [layer.residual.branch]
    return names
