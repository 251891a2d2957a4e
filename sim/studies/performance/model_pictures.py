"""Pictures after the paper's Figures 2 and 4: accuracy against speed, latency against images in flight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from gateware.config import config
from gateware.link.datagrams import ETHERNET_BOARDS, LINE_BITS_A_SECOND, line_bytes
from gateware.link.framing import frame_bytes
from gateware.link.packets import CRC_BYTES, MAX_PAYLOAD, REQUEST
from gateware.link.uart import BITS_A_BYTE, BOARD_BAUD
from sim.reference.architecture import parse_architecture

__all__ = ["draw_accuracy", "draw_latency", "ethernet_seconds", "latency", "upload_seconds"]

IN_FLIGHT = (1, 2, 4, 8, 16, 32)
LATENCY_MODELS = ("deit_tiny_patch16_224", "deit_small_patch16_224", "deit_base_patch16_224")
MARKERS = "os^D"
Rows = Sequence[dict[str, Any]]
Measured = Mapping[tuple[str, str], int]


def upload_seconds(image: int, baud: int) -> float:
    """Seconds that an image of `image` pixels a side takes over the link, with headers and CRCs."""
    share = (MAX_PAYLOAD + REQUEST.size + CRC_BYTES) / MAX_PAYLOAD
    return 3 * image * image * share * BITS_A_BYTE / baud


def ethernet_seconds(image: int) -> float:
    """The same over Ethernet, with everything that is around a datagram."""
    packets = 3 * image * image / MAX_PAYLOAD
    return packets * 8 * line_bytes(frame_bytes(REQUEST.size + MAX_PAYLOAD + CRC_BYTES)) / LINE_BITS_A_SECOND


def latency(images: int, upload: float, compute: float) -> float:
    """Seconds until the last of `images` is computed: each is sent while the one before is computed."""
    return upload + (images - 1) * max(upload, compute) + compute


def _seconds(row: dict[str, Any], board: str, measured: Measured) -> float | None:
    cycles = measured.get((row["architecture"], board), row["boards"].get(board, {}).get("cycles"))
    return None if cycles is None else cycles / (config(board).clock_mhz * 1e6)


def draw_accuracy(path: Path, accuracy: Rows, models: Rows, measured: Measured) -> None:
    """Integer top-1 of what was measured against frames a second on each board, and float top-1 as a line."""
    figure, axes = plt.subplots(figsize=(7, 4.5))
    by_architecture = {row["architecture"]: row for row in models}
    shown = [one for one in accuracy if one["architecture"] in by_architecture and one["arithmetic"] == "lean"]
    for one in shown:
        row = by_architecture[one["architecture"]]
        for board, marker in zip(row["boards"], MARKERS, strict=False):
            seconds = _seconds(row, board, measured)
            if seconds is not None:
                kind = "measured" if (one["architecture"], board) in measured else "predicted"
                axes.plot(
                    1 / seconds,
                    100 * one["integer_top1"],
                    marker,
                    markersize=9,
                    label=f"{row['model'].split('_patch')[0]}, {board} ({kind})",
                )
        axes.axhline(100 * one["float_top1"], color="grey", linestyle="--", linewidth=1, label="float32 model")
    if shown:
        top1 = [100 * value for one in shown for value in (one["integer_top1"], one["float_top1"])]
        axes.set_ylim(min(top1) - 3, max(top1) + 1)
        axes.set_title(f"lean arithmetic, {shown[0]['images']} labelled photographs")
        axes.legend(loc="lower right")
    axes.set_xlim(left=0)
    axes.set_xlabel("frames a second at the board's clock, batch 1")
    axes.set_ylabel("top-1, %")
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_latency(path: Path, models: Rows, measured: Measured) -> None:
    """Time to the last answer against images handed over together, for the DeiTs: a panel a board."""
    rows = [row for name in LATENCY_MODELS for row in models if row["model"] == name]
    boards = [board for board in rows[0]["boards"] if board in BOARD_BAUD] if rows else []  # an ASIC has no link yet
    figure, panels = plt.subplots(1, max(1, len(boards)), figsize=(10, 4), sharey=True, squeeze=False)
    for board, axes in zip(boards, panels[0], strict=False):
        for index, row in enumerate(rows):
            compute = _seconds(row, board, measured)
            if compute is None:
                continue
            image = parse_architecture(row["architecture"]).image
            colour, name = f"C{index}", row["model"].split("_patch")[0]
            ways = [(upload_seconds(image, BOARD_BAUD[board]), "o-", f"{name}, UART"), (0.0, "--", None)]
            if board in ETHERNET_BOARDS:
                ways.append((ethernet_seconds(image), "x:", f"{name}, Ethernet"))
            for seconds, style, label in ways:
                times = [latency(count, seconds, compute) for count in IN_FLIGHT]
                axes.plot(IN_FLIGHT, times, style, color=colour, label=label, markersize=4)
        ethernet = ", 100 Mbit" if board in ETHERNET_BOARDS else ""
        axes.set_title(f"{board}: {BOARD_BAUD[board] // 1_000_000} Mbaud{ethernet}", fontsize=10)
        axes.set_xscale("log", base=2)
        axes.set_xticks(IN_FLIGHT, [str(count) for count in IN_FLIGHT])
        axes.set_yscale("log")
        axes.set_xlabel("images in flight")
        axes.grid(alpha=0.3, which="both")
        if axes.get_lines():
            axes.legend(loc="lower right", fontsize=7)
    panels[0][0].set_ylabel("seconds until the last answer")
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)
