"""Turns the I-ViT authors' checkpoint into an integer model.

python -m firmware.import_ivit CKPT --arch ARCH -o MODEL
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from firmware.quantiser.ivit_checkpoint import import_checkpoint, load_checkpoint
from firmware.quantiser.preprocess_options import add_preprocessing_options, preprocessing_from
from sim.reference.architecture import parse_architecture
from sim.reference.errors import exit_status
from sim.reference.model_file import IntegerModel


def run(arguments: argparse.Namespace) -> int:
    """Imports, writes the model and says so; 0."""
    shape = parse_architecture(arguments.arch)
    preprocessing = preprocessing_from(arguments, shape.image)
    warnings: list[str] = []
    tensors = import_checkpoint(load_checkpoint(arguments.checkpoint), shape, str(arguments.checkpoint), warnings)
    model = IntegerModel(shape, "official", preprocessing, tensors)
    model.save(arguments.output)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{arguments.output}: {len(tensors)} tensors, arithmetic official, checksum {model.checksum()[:16]}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m firmware.import_ivit", description=(__doc__ or "").splitlines()[0])
    result.add_argument("checkpoint", type=Path, metavar="CKPT", help=".pth.tar (needs PyTorch) or an .npz of its keys")
    result.add_argument("--arch", required=True, metavar="ARCH", help="timm name, or vit:image=... or swin:image=...")
    result.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL", help="the integer model to write")
    add_preprocessing_options(result)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
