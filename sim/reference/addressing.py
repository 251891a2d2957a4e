"""Where elements go: patches, and the windows, rolls and neighbours of a Swin Transformer. Pure addressing, on elements
of any type.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sim.reference.rounding import IntArray

__all__ = [
    "join_windows",
    "masked_pairs",
    "merge_patches",
    "patches",
    "relative_position_index",
    "split_windows",
    "window_regions",
]

T = TypeVar("T", bound=np.generic)


def patches(images: npt.NDArray[T], side: int) -> npt.NDArray[T]:
    """(batch, C, H, W) to (batch, H/side * W/side, C * side * side): what a convolution of that stride sees."""
    batch, channels, height, width = images.shape
    blocks = images.reshape(batch, channels, height // side, side, width // side, side)
    return blocks.transpose(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * side * side)


def split_windows(x: npt.NDArray[T], window: int, shift: int) -> npt.NDArray[T]:
    """A square map (batch, side*side, C), rolled by -shift on both axes, in windows: (batch*windows, window^2, C)."""
    batch, tokens, channels = x.shape
    side, w = round(tokens**0.5), window
    rolled = np.roll(x.reshape(batch, side, side, channels), (-shift, -shift), axis=(1, 2))
    blocks = rolled.reshape(batch, side // w, w, side // w, w, channels).swapaxes(2, 3)
    return blocks.reshape(-1, w * w, channels)


def join_windows(x: npt.NDArray[T], window: int, shift: int, side: int) -> npt.NDArray[T]:
    """The inverse of `split_windows` for a map of `side` tokens a side."""
    channels, w, n = x.shape[-1], window, side // window
    blocks = x.reshape(-1, n, n, w, w, channels).swapaxes(2, 3)
    rolled = blocks.reshape(-1, side, side, channels)
    return np.roll(rolled, (shift, shift), axis=(1, 2)).reshape(len(rolled), -1, channels)


def merge_patches(x: npt.NDArray[T]) -> npt.NDArray[T]:
    """Four neighbours of a square map side by side: (batch, side^2, C) to (batch, side^2/4, 4C), in the order of
    (row, column) parities (0,0), (1,0), (0,1), (1,1).
    """
    batch, tokens, channels = x.shape
    side = round(tokens**0.5)
    square = x.reshape(batch, side // 2, 2, side // 2, 2, channels)
    parts = [square[:, :, row, :, column] for column in (0, 1) for row in (0, 1)]
    return np.concatenate(parts, axis=-1).reshape(batch, tokens // 4, 4 * channels)


def window_regions(side: int, window: int, shift: int) -> IntArray:
    """(windows, window^2) numbers of the parts of the image that rolling brings into each window."""
    bands = np.zeros(side, np.int64)
    bands[side - window : side - shift] = 1
    bands[side - shift :] = 2
    regions = (bands[:, None] * 3 + bands[None, :]).reshape(1, side * side, 1)
    return split_windows(regions, window, 0)[..., 0]


def masked_pairs(regions: IntArray) -> npt.NDArray[np.bool_]:
    """(windows, window^2, window^2): whether two tokens of a window come from different parts of the image."""
    return np.asarray(regions[:, :, None] != regions[:, None, :])


def relative_position_index(window: int) -> IntArray:
    """(window^2, window^2) rows of the bias table ((2 window - 1)^2 rows) for each pair of tokens of a window: the row
    distance times 2 window - 1 and the column distance, both shifted to start at 0.
    """
    row, column = np.divmod(np.arange(window * window), window)
    rows, columns = (axis[:, None] - axis[None, :] + window - 1 for axis in (row, column))
    return np.asarray(rows * (2 * window - 1) + columns, np.int64)
