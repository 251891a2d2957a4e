"""Shows the shipped model at work: held-out handwritten digits through a device, labels with confidence, accuracy.

python -m host.demo [--device DEVICE] [--images N]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from PIL import Image
from rich.table import Table

from firmware.training import digits
from host.command.errors import HostError, run_command
from host.command.terminal import output, percent, tracked
from host.devices.prediction import Prediction
from host.devices.registry import DEFAULT_DEVICE, DEVICES, open_device

SHIPPED_MODEL = Path(__file__).resolve().parents[1] / "models" / "digits.safetensors"
REFERENCE = "reference"
SHOWN = 8
"""Images whose labels are listed one by one."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m host.demo", description="Runs the shipped model on held-out digits.")
    made.add_argument("--device", default=DEFAULT_DEVICE, help=f"{', '.join(sorted(DEVICES))} (default: %(default)s)")
    made.add_argument("--images", type=int, default=100, metavar="N", help="how many images (default: %(default)s)")
    made.add_argument("--model", type=Path, default=SHIPPED_MODEL, metavar="MODEL", help="integer model of the digits")
    return made


def held_out(count: int) -> digits.DigitSet:
    """`count` of the images that the model was not trained on, spread over the whole held-out set."""
    try:
        everything = digits.load("held-out")
    except ImportError as error:
        raise HostError(
            "The digits come with scikit-learn, which is not installed: pip install scikit-learn."
        ) from error
    if not 1 <= count <= len(everything):
        raise HostError(f"--images must be 1 to {len(everything)}, the held-out digits, not {count}.")
    chosen = [i * len(everything) // count for i in range(count)]
    return digits.DigitSet(everything.images[chosen], everything.labels[chosen], everything.indices[chosen])


COLUMNS = ("digit", "device says", "confidence", "cycles")


def listed(shown: digits.DigitSet, predictions: list[Prediction]) -> list[tuple[str, ...]]:
    """The first images as `COLUMNS`: label, answer, confidence, and cycles if the device counts them."""
    return [
        (digits.CLASS_NAMES[label], answer.name, percent(answer.confidence), str(answer.cycles or "not counted"))
        for label, answer in zip(shown.labels[:SHOWN], predictions[:SHOWN], strict=True)
    ]


def show(rows: list[tuple[str, ...]]) -> None:
    """A table on a terminal, lines in a pipe."""
    console = output()
    if not console.is_terminal:
        for row in (COLUMNS, *rows):
            print("\t".join(row))
        return
    table = Table(*COLUMNS, title=f"the first {len(rows)} images")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def demonstrate(options: argparse.Namespace) -> int:
    """The command's body; returns the exit status."""
    shown = held_out(options.images)
    with open_device(options.device) as device:
        model = device.load(options.model)
        if model.class_names != digits.CLASS_NAMES:
            raise HostError(f"{options.model} does not tell the ten digits apart: give the shipped model.")
        print(f"{model.architecture}, {model.arithmetic} arithmetic, on the device {options.device}")
        stream = device.stream(Image.fromarray(image) for image in shown.images)
        start = time.perf_counter()
        predictions = list(tracked(stream, len(shown), "digits"))
        seconds = time.perf_counter() - start
        clock = device.clock_mhz
    show(listed(shown, predictions))
    correct = sum(p.label == label for p, label in zip(predictions, shown.labels, strict=True))
    print(f"accuracy: {percent(correct / len(shown))} ({correct} of {len(shown)} held-out images)")
    print(f"speed: {len(shown) / seconds:.1f} images/s on this computer")
    cycles = [prediction.cycles for prediction in predictions if prediction.cycles is not None]
    if cycles and clock is not None:
        print(f"cycles a frame: {min(cycles):,} to {max(cycles):,}")
        print(f"on the board, at {clock:g} MHz: {clock * 1e6 * len(cycles) / sum(cycles):.0f} frames/s")
    return 0 if options.device == REFERENCE else compared(options, shown, predictions)


def compared(options: argparse.Namespace, shown: digits.DigitSet, predictions: list[Prediction]) -> int:
    """Runs the same images through the integer reference, and says whether every logit is the same; 1 if one is not."""
    with open_device(REFERENCE) as device:
        device.load(options.model)
        wanted = list(device.stream(Image.fromarray(image) for image in shown.images))
    exact = sum(
        bool((answer.logits == reference.logits).all()) for answer, reference in zip(predictions, wanted, strict=True)
    )
    print(f"bit-exact: {exact}/{len(wanted)} (images whose every logit equals the integer reference's)")
    return 0 if exact == len(wanted) else 1


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    return run_command(lambda: demonstrate(options))


if __name__ == "__main__":
    sys.exit(main())
