"""The preprocessing options that the commands share."""

from __future__ import annotations

import argparse
import dataclasses

from sim.reference.errors import UserError
from sim.reference.preprocess import INTERPOLATIONS, Preprocessing


def add_preprocessing_options(parser: argparse.ArgumentParser) -> None:
    """Adds --resize, --mean, --std, --interpolation and --squash."""
    group = parser.add_argument_group("preprocessing, kept in the model file")
    group.add_argument("--resize", type=int, metavar="PIXELS", help="short side before the centre crop; 256 at 224")
    group.add_argument("--mean", metavar="R,G,B", help="one number or three; default ImageNet's")
    group.add_argument("--std", metavar="R,G,B", help="one number or three; default ImageNet's")
    group.add_argument("--interpolation", choices=sorted(INTERPOLATIONS), help="of the resizing; default bicubic")
    group.add_argument("--squash", action="store_true", help="resize both sides, whatever the picture's proportions")


def preprocessing_from(
    arguments: argparse.Namespace, image: int, settings: Preprocessing | None = None
) -> Preprocessing:
    """The settings that the options ask for, for a model of `image` x `image` pixels; the others as in `settings`, or
    as ImageNet's models have them.
    """
    settings = settings or Preprocessing.default(image)
    if arguments.resize is not None:
        settings = dataclasses.replace(settings, resize=arguments.resize)
    if arguments.mean is not None:
        settings = dataclasses.replace(settings, mean=_colours("--mean", arguments.mean))
    if arguments.std is not None:
        settings = dataclasses.replace(settings, std=_colours("--std", arguments.std))
    if arguments.interpolation is not None:
        settings = dataclasses.replace(settings, interpolation=arguments.interpolation)
    if arguments.squash:
        settings = dataclasses.replace(settings, squash=True)
    return settings


def _colours(option: str, text: str) -> tuple[float, float, float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 1:
        values *= 3
    if len(values) != 3:
        raise UserError(f"{option} takes one number or three with commas between, not {text!r}.")
    return values[0], values[1], values[2]
