"""Trains the shipped model: a small Vision Transformer in float on the digits of `firmware.training.digits`.

    python -m firmware.train_digits -o models/digits_float.safetensors

Needs PyTorch (the `training` extra). The state is written under timm's names, so `firmware.quantize` takes it as any
checkpoint. The number of epochs is fixed beforehand: the held-out images are looked at once, after the last step.
The seed fixes the run on one machine; on another processor float sums differ in their last bits and so do the weights,
which is why the trained weights are kept in the repository and quantisation starts from them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from firmware.training import digits
from sim.reference.architecture import spelled_out
from sim.reference.errors import UserError
from sim.reference.model_shape import MLP_RATIO
from sim.reference.vit_shape import VitShape

MEAN = 0.5
STD = 0.5


SHAPE = VitShape(digits.IMAGE_SIZE, patch=8, dim=64, depth=4, heads=2, classes=len(digits.CLASS_NAMES))
"""The shipped model."""


class Attention(nn.Module):
    """Multi-head self-attention, (batch, tokens, dim) to the same."""

    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.dim, 3 * shape.dim)
        self.proj = nn.Linear(shape.dim, shape.dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * (dim // self.heads) ** -0.5).softmax(dim=-1)
        mixed: Tensor = self.proj((weights @ v).transpose(1, 2).reshape(batch, tokens, dim))
        return mixed


class Mlp(nn.Module):
    """Two linear layers with GELU between, (batch, tokens, dim) to the same."""

    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.dim, MLP_RATIO * shape.dim)
        self.fc2 = nn.Linear(MLP_RATIO * shape.dim, shape.dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """One pre-norm transformer block. `drop` is the probability that a training sample skips a branch."""

    def __init__(self, shape: VitShape, drop: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(shape.dim, eps=1e-6)
        self.attn = Attention(shape)
        self.norm2 = nn.LayerNorm(shape.dim, eps=1e-6)
        self.mlp = Mlp(shape)
        self.drop = drop

    def branch(self, x: Tensor) -> Tensor:
        if not self.training or self.drop == 0:
            return x
        keep = torch.rand(x.shape[0], 1, 1) >= self.drop
        return x * keep / (1 - self.drop)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.branch(self.attn(self.norm1(x)))
        return x + self.branch(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """Non-overlapping patches, (batch, 3, image, image) to (batch, patches, dim)."""

    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, shape.dim, shape.patch, stride=shape.patch)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(x)
        return out.flatten(2).transpose(1, 2)


class Vit(nn.Module):
    """The Vision Transformer with a class token, module names as in timm."""

    def __init__(self, shape: VitShape, drop: float = 0.05) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(shape)
        self.cls_token = nn.Parameter(torch.randn(1, 1, shape.dim) * 0.02)
        self.pos_embed = nn.Parameter(torch.randn(1, shape.tokens, shape.dim) * 0.02)
        self.blocks = nn.ModuleList(Block(shape, drop * i / max(shape.depth - 1, 1)) for i in range(shape.depth))
        self.norm = nn.LayerNorm(shape.dim, eps=1e-6)
        self.head = nn.Linear(shape.dim, shape.classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02 * math.sqrt(192 / shape.dim))
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x)[:, 0])
        return logits


def normalise(images: Tensor) -> Tensor:
    """Images with values 0 to 1 as the model takes them."""
    return (images - MEAN) / STD


def augment(images: Tensor) -> Tensor:
    """Each image (values 0 to 1) rotated by up to 12 degrees, scaled by up to 10 % and moved by up to 2.5 pixels."""
    batch = images.shape[0]
    angle = (torch.rand(batch) * 2 - 1) * math.radians(12)
    scale = 1 + (torch.rand(batch) * 2 - 1) * 0.1
    move = (torch.rand(batch, 2) * 2 - 1) * (2 * 2.5 / images.shape[-1])
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    transform = torch.stack((torch.stack((cos, -sin, move[:, 0]), 1), torch.stack((sin, cos, move[:, 1]), 1)), 1)
    grid = functional.affine_grid(transform, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def as_tensors(split: str) -> tuple[Tensor, Tensor]:
    """A split as float images (count, 3, 32, 32) with values 0 to 1, and its labels."""
    loaded = digits.load(split)
    images = torch.from_numpy(np.ascontiguousarray(loaded.images.transpose(0, 3, 1, 2))).float() / 255
    return images, torch.from_numpy(loaded.labels)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of images whose largest logit is the label's."""
    model.eval()
    with torch.no_grad():
        return float((model(normalise(images)).argmax(dim=1) == labels).float().mean())


def train(shape: VitShape, epochs: int, batch: int, rate: float, decay: float) -> Vit:
    """Trains with AdamW, a warm-up over a tenth of the steps and a cosine to zero; progress on standard error."""
    images, labels = as_tensors("train")
    model = Vit(shape)
    # timm's rule: biases, LayerNorm constants, class token and positions are not decayed.
    decayed = [p for n, p in model.named_parameters() if p.ndim > 1 and n not in ("cls_token", "pos_embed")]
    kept = [p for n, p in model.named_parameters() if p.ndim <= 1 or n in ("cls_token", "pos_embed")]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": decay}, {"params": kept, "weight_decay": 0.0}], lr=rate
    )
    steps_per_epoch = math.ceil(len(labels) / batch)
    steps, warm_up = epochs * steps_per_epoch, max(epochs * steps_per_epoch // 10, 1)

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(steps - warm_up, 1)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for chosen in torch.randperm(len(labels)).split(batch):
            logits = model(normalise(augment(images[chosen])))
            loss = functional.cross_entropy(logits, labels[chosen], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(chosen)
        if (epoch + 1) % 10 == 0 or epoch + 1 == epochs:
            print(f"epoch {epoch + 1} of {epochs}: loss {total / len(labels):.4f}", file=sys.stderr)
    return model


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m firmware.train_digits", description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="safetensors file to write")
    parser.add_argument("--patch", type=int, default=SHAPE.patch, help="pixels (default: %(default)s)")
    parser.add_argument("--dim", type=int, default=SHAPE.dim, help="default: %(default)s")
    parser.add_argument("--depth", type=int, default=SHAPE.depth, help="default: %(default)s")
    parser.add_argument("--heads", type=int, default=SHAPE.heads, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=150, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=96, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate (default: %(default)s)")
    parser.add_argument("--decay", type=float, default=0.05, help="weight decay (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    options = parser.parse_args(arguments)
    if min(options.epochs, options.batch) < 1:
        parser.error("epochs and batch must be at least 1.")
    try:
        sizes = {name: getattr(options, name) for name in ("patch", "dim", "depth", "heads")}
        shape = dataclasses.replace(SHAPE, **sizes)
    except UserError as error:
        parser.error(str(error))
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)  # the order of float sums then does not depend on the number of cores
    torch.use_deterministic_algorithms(True)
    model = train(shape, options.epochs, options.batch, options.rate, options.decay)
    held_out = accuracy(model, *as_tensors("held-out"))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    metadata = {
        "architecture": spelled_out(shape),
        "classes": json.dumps(digits.CLASS_NAMES),
        "mean": json.dumps([MEAN] * 3),
        "std": json.dumps([STD] * 3),
    }
    try:
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, options.output, metadata)
    except OSError as error:
        print(f"Cannot write {options.output}: {error.strerror or error}.", file=sys.stderr)
        return 2
    print(f"{spelled_out(shape)}: {parameters} parameters, held-out top-1 {100 * held_out:.2f} %, in {options.output}")
    return 0
