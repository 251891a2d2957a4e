"""A ViT in an ONNX file: its weights by their places in the graph, proven by running both on one picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from firmware.checkpoints.arrays import Arrays
from firmware.checkpoints.onnx_graph import Event, OnnxRun, run_graph
from firmware.checkpoints.timm_names import weights_of
from firmware.checkpoints.traits import Told, vit_shape
from firmware.float_models.registry import float_model
from sim.reference.errors import UserError
from sim.reference.vit_shape import VitShape

__all__ = ["open_onnx"]

NEAR = 1e-3  # of the largest result: what the two may differ by
BLOCK_END = "activation"


def open_onnx(path: Path) -> tuple[VitShape, Arrays]:
    """The architecture, and the weights under timm's names.

    Raises
    ------
    UserError : the graph is no ViT's: the sentence names the node; or it computes something else than that ViT
    """
    run = run_graph(path)
    shape, arrays = _Reader(run, path).read()
    weights = weights_of(arrays, shape, path)[0]
    found = float_model(shape, weights).forward(run.image)
    wanted = run.output[:, 0] if run.output.ndim == 3 else run.output
    if found.shape != wanted.shape or not np.abs(found - wanted).max() <= NEAR * max(1.0, float(np.abs(wanted).max())):
        raise UserError(
            f"{path}: the graph has the parts of a ViT, but computes something else than {shape.depth} blocks of one; "
            "give the checkpoint itself instead."
        )
    return shape, arrays


class _Reader:
    """Reads the events of a graph one after the other."""

    def __init__(self, run: OnnxRun, path: Path) -> None:
        self.run, self.path, self.place = run, path, 0
        self.arrays: Arrays = {}
        self.tokens: list[np.ndarray] = []

    def read(self) -> tuple[VitShape, Arrays]:
        patches = self._take("patches")
        self._put("patch_embed.proj", patches)
        while self._next() in ("tokens", "positions"):
            event = self._take(self._next())
            if event.kind == "tokens":
                self.tokens += [one.reshape(1, -1, one.shape[-1]) for one in event.constants.values()]
            else:
                value = event.constants["value"]
                self.arrays["pos_embed"] = value.reshape(1, -1, value.shape[-1])
        if self._kinds(2) == ["norm", "norm"]:
            self._put("norm_pre", self._take("norm"))
        told, depth = Told(image=self.run.image.shape[-1]), 0
        while self._kinds(2) == ["norm", "linear"] and BLOCK_END in self._kinds(12):
            told = self._block(f"blocks.{depth}", told)
            depth += 1
        told = replace(told, averaged=self._end())
        if self.tokens:
            front = np.concatenate(self.tokens, axis=1)
            self.arrays["cls_token"] = front[:, :1]
            if front.shape[1] > 1:
                self.arrays["reg_token"] = front[:, 1:]
        return vit_shape(self.arrays, told, self.path), self.arrays

    def _block(self, name: str, told: Told) -> Told:
        norm = self._take("norm")
        self._put(f"{name}.norm1", norm)
        first = self.place
        parts = [self._take("linear")]
        while self._next() == "linear":
            parts.append(self._take("linear"))
        scores = self._take("scores")
        self._attention(name, parts, first)
        self._product(f"{name}.attn.proj", f"{name}.ls1.gamma")
        self._put(f"{name}.norm2", self._take("norm"))
        self._put(f"{name}.mlp.fc1", self._take("linear"))
        activation = self._take("activation")
        self._product(f"{name}.mlp.fc2", f"{name}.ls2.gamma")
        return replace(told, heads=scores.about, activation=activation.about, epsilon=round(norm.about, 12))

    def _attention(self, name: str, parts: list[Event], first: int) -> None:
        """Q, K and V as one: as they come, or in the order in which attention multiplies three of them."""
        order = list(range(len(parts)))
        if len(parts) == 3:
            block = [pair for pair in self.run.products if {first, first + 1, first + 2} & set(pair)]
            named = [index for pair in block for index in pair if index is not None]
            order = [index - first for index in dict.fromkeys(named)]
        if len(parts) not in (1, 3) or sorted(order) != list(range(len(parts))):
            raise self._error(parts[-1], "one product for Q, K and V, or three")
        for what in ("weight", "bias"):
            found = [parts[index].constants[what] for index in order if what in parts[index].constants]
            if len(found) == len(parts):
                self.arrays[f"{name}.attn.qkv.{what}"] = np.concatenate(found)
            elif found:
                raise self._error(parts[-1], "biases of all of Q, K and V, or of none")

    def _product(self, name: str, gamma: str) -> None:
        self._put(name, self._take("linear"))
        if self._next() == "scale":
            self.arrays[gamma] = self._take("scale").constants["gamma"]
            self.arrays.setdefault(f"{name}.bias", np.zeros(len(self.arrays[f"{name}.weight"]), np.float32))

    def _end(self) -> bool:
        """Behind the blocks; whether a mean is what the head reads."""
        before = self._next() == "norm"
        if before:
            self._put("norm", self._take("norm"))
        averaged = self._next() == "mean"
        if averaged:
            self._take("mean")
        if not before:
            self._put("fc_norm" if averaged else "norm", self._take("norm"))
        if self._next() == "linear":
            head = self._take("linear")
            self._put("head", head)
            self.arrays.setdefault("head.bias", np.zeros(len(self.arrays["head.weight"]), np.float32))
        if self._next() is not None:
            raise self._error(self.run.events[self.place], "the end of the model")
        return averaged

    def _kinds(self, count: int) -> list[str]:
        return [event.kind for event in self.run.events[self.place : self.place + count]]

    def _next(self) -> str | None:
        return self.run.events[self.place].kind if self.place < len(self.run.events) else None

    def _take(self, kind: str | None) -> Event:
        if self.place >= len(self.run.events):
            raise UserError(f"{self.path}: the graph ends where {kind} of a ViT is expected.")
        event = self.run.events[self.place]
        if event.kind != kind:
            raise self._error(event, str(kind))
        self.place += 1
        return event

    def _put(self, name: str, event: Event) -> None:
        self.arrays |= {f"{name}.{part}": value for part, value in event.constants.items()}

    def _error(self, event: Event, expected: str) -> UserError:
        return UserError(
            f"{self.path}: the node {event.node!r} ({event.kind}) is not understood where a ViT has {expected}."
        )
