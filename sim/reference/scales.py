"""The quantising constants of the integer arithmetic: scales, integers of weights and biases, LayerNorm's constants.

Everything rounds as the I-ViT authors' float32 code does, so that their checkpoints come out bit for bit.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

SMALLEST_SCALE = np.finfo(np.float32).eps
INT32_MAX = 2**31 - 1
GELU_SLOPE = np.float32(1.702)


def largest(bits: int) -> int:
    """n of a signed integer of `bits` bits: 127 for 8."""
    return int(2 ** (bits - 1) - 1)


def activation_scale(peak: float, bits: int) -> np.float32:
    """fl(peak / n), at least 2^-23: the scale of a tensor whose largest magnitude is `peak`."""
    result: np.float32 = np.maximum(np.float32(peak) / np.float32(largest(bits)), SMALLEST_SCALE).astype(np.float32)
    return result


def channel_scales(weight: FloatArray) -> FloatArray:
    """One 8-bit scale an output channel (first axis)."""
    peaks = np.abs(weight.reshape(len(weight), -1)).max(axis=1)
    result: FloatArray = np.maximum(peaks / np.float32(largest(8)), SMALLEST_SCALE).astype(np.float32)
    return result


def quantise(x: FloatArray, scale: FloatArray | np.float32, bits: int) -> IntArray:
    """clamp(RNE(fl(fl(1/S) * x)), -n-1, n); `scale` broadcasts against `x`."""
    inverse = (np.float32(1) / scale).astype(np.float32)
    rounded = np.rint((inverse * x).astype(np.float32)).astype(np.float64)
    n = largest(bits)
    return np.clip(rounded, -n - 1, n).astype(np.int64)


def quantise_weight(weight: FloatArray, scales: FloatArray) -> IntArray:
    """8-bit integers, one scale an output channel (first axis); they come out in [-127, 127]."""
    return quantise(weight, scales.reshape(-1, *[1] * (weight.ndim - 1)), 8)


def embedding_integers(x: FloatArray, scale: np.float32, bits: int) -> IntArray:
    """Integers of a learnt tensor on an activation's scale. With 32 bits nothing is clamped, and the authors divide
    (RNE(x/S), the class token) where they otherwise multiply by 1/S.
    """
    if bits < 32:
        return quantise(x, scale, bits)
    integers = np.rint((x / scale).astype(np.float32)).astype(np.float64)
    return np.clip(integers, -INT32_MAX, INT32_MAX).astype(np.int64)


def norm_unit(channels: int) -> np.float32:
    """fl(fl(sqrt C) / 2^30): the step of I-LayerNorm's output before gamma."""
    return np.float32(np.sqrt(np.float32(channels)) / np.float32(2**30))


def norm_scales(gamma: FloatArray) -> FloatArray:
    """Scale of I-LayerNorm's output a channel; negative where gamma is."""
    return (norm_unit(len(gamma)) * gamma).astype(np.float32)


def norm_bias(gamma: FloatArray, beta: FloatArray) -> IntArray:
    """floor(fl(fl(beta / gamma) / unit)) a channel; may be outside 32 bit where gamma is near 0."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = ((beta / gamma).astype(np.float32) / norm_unit(len(gamma))).astype(np.float32)
        bias = np.floor(ratio).astype(np.float64)
    return np.nan_to_num(np.clip(bias, -(2.0**62), 2.0**62)).astype(np.int64)


def raised_gamma(gamma: FloatArray, beta: FloatArray) -> tuple[FloatArray, list[int]]:
    """gamma with the channels that I-LayerNorm cannot carry (a scale of 0, or a bias outside 32 bit) raised to
    max(|beta| / limit, 1e-4), and those channels. limit is 24, less below 192 channels, where 24 would overflow.
    """
    channels = np.flatnonzero((norm_scales(gamma) == 0) | (np.abs(norm_bias(gamma, beta)) > INT32_MAX))
    limit = min(24.0, 24.0 * math.sqrt(len(gamma) / 192))
    magnitude = np.maximum(np.abs(beta[channels]) / limit, 1e-4).astype(np.float32)
    raised = gamma.copy()
    raised[channels] = np.where(gamma[channels] < 0, -magnitude, magnitude)
    return raised, channels.tolist()


def exponential_step(scale: np.float32) -> int:
    """|x0| = -floor(fl(-1/S)) of the shift exponential."""
    return -math.floor(np.float32(-1) / scale)


def softmax_step(scale: np.float32) -> int:
    """|x0| of Shiftmax on scores of this scale."""
    return exponential_step(scale)


def gelu_step(scale: np.float32) -> int:
    """|x0| of ShiftGELU on inputs of this scale: the exponential works on fl(S * fl(1.702))."""
    return exponential_step(np.float32(scale * GELU_SLOPE))


def _snapped(start: float, factor: np.float32, step: int) -> np.float32:
    """The float32 nearest `start` for which 1 / fl(S * factor) floors to exactly `step`."""
    scale = np.float32(start)
    # 1/S just above `step` floors to the next integer down (-1/S < -step); a slightly larger S mends it.
    for _ in range(16):
        found = exponential_step(np.float32(scale * factor))
        if found == step:
            return scale
        scale = np.nextafter(scale, np.float32(np.inf if found > step else 0), dtype=np.float32)
    raise AssertionError(f"no float32 scale near {start} has |x0| = {step}")


def snapped_softmax_scale(step: int) -> np.float32:
    """The scale 1/step of scores, on which the shift exponential's slope has no error."""
    return _snapped(1 / step, np.float32(1), step)


def snapped_gelu_scale(step: int) -> np.float32:
    """The scale 1/(1.702 step) of ShiftGELU's input, on which the shift exponential's slope has no error."""
    return _snapped(1 / (float(GELU_SLOPE) * step), GELU_SLOPE, step)
