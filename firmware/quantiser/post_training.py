"""Post-training quantisation of a model of any shape: calibrated scales, snapped in front of the shift operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from firmware.float_models.blocks import FLOAT_ACTIVATIONS, FloatArray
from firmware.quantiser.calibration import Calibration
from firmware.quantiser.gelu_search import best_scale, table_error
from firmware.quantiser.norm_constants import norm_constants
from sim.reference import scales as constants
from sim.reference.arithmetic import Arithmetic
from sim.reference.model_shape import INTEGERS, Feeds, LinearLayer, ModelShape

GELU_REACH = 9.4
"""Input of ShiftGELU (float) beyond which both its exponentials clamp and negative inputs leak."""
COARSEST_STEP = 4
LONE_BIAS = 1 << 14
"""The integer of a bias in a channel without weights."""
FINEST_GELU_STEP = 50


@dataclass(frozen=True)
class TensorReport:
    """What quantising one activation does to it, measured on the calibration images.

    Members
    -------
    scale, bits : the scale and width chosen
    peak : largest magnitude seen
    clipped : share of the values beyond the scale's reach
    error : root mean square that rounding and clipping add, relative to the tensor's own
    table_error : same of the actual ShiftGELU table against the float activation, relative; None elsewhere
    step : |x0| of the shift operation that reads the tensor; None elsewhere
    """

    name: str
    bits: int
    scale: float
    peak: float
    clipped: float
    error: float
    table_error: float | None = None
    step: int | None = None


@dataclass
class Quantised:
    """Every constant of the integer model under the authors' names, with the report and the warnings."""

    tensors: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    report: list[TensorReport] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def quantise_model(
    shape: ModelShape,
    weights: Mapping[str, FloatArray],
    calibration: Calibration,
    method: str = "minmax",
    snap: bool = True,
) -> Quantised:
    """The integer model's constants.

    Parameters
    ----------
    shape, weights : the float model's, the weights as `ModelShape.weight_shapes` lists them
    calibration : has observed that model on the calibration images
    method : minmax, percentile or mse; how activations that are not snapped get their scale
    snap : choose the scales in front of Shiftmax and ShiftGELU on the shift exponential's grid
    """
    result = Quantised()
    activations = _activation_scales(shape, calibration, method, snap, result)
    result.tensors |= integer_tensors(shape, weights, activations, result.warnings)
    return result


def integer_tensors(
    shape: ModelShape,
    weights: Mapping[str, FloatArray],
    activations: Mapping[str, np.float32],
    warnings: list[str] | None = None,
) -> dict[str, npt.NDArray[np.generic]]:
    """Every constant of the integer model, as `ModelShape.layout` lists them, from the float weights and the scale of
    each activation. What had to be changed is told in `warnings`.
    """
    tensors: dict[str, npt.NDArray[np.generic]] = {}
    for activation in shape.activations():
        tensors[activation.scale] = np.asarray(activations[activation.name], np.float32)
    for layer in shape.layers():
        if isinstance(layer, LinearLayer):
            tensors |= _linear(layer, weights, activations[layer.source])
        else:
            gamma, beta = (weights[f"{layer.name}.{part}"] for part in ("weight", "bias"))
            tensors |= norm_constants(layer.name, gamma, beta, warnings if warnings is not None else [])[0]
    for embedding in shape.embeddings():
        integers = constants.embedding_integers(weights[embedding.name], activations[embedding.target], embedding.bits)
        tensors[embedding.integer] = integers.astype(INTEGERS[embedding.bits])
    return tensors


def attention_warnings(shape: ModelShape, arithmetic: Arithmetic) -> list[str]:
    """What Shiftmax's width does to long rows: probabilities that round (or, floored, fall) to 0 when all are equal."""
    bits = arithmetic.softmax_bits or shape.softmax_bits
    least = 2 ** (bits if arithmetic.softmax_half_up else bits - 1)
    if shape.score_length <= least or arithmetic.softmax == "logarithm":
        return []
    return [
        f"Shiftmax gives {bits} bits, and {shape.score_length} tokens of equal weight get less than 1/{least} each, "
        "which becomes 0: compare with the float model before trusting it, or take the other arithmetic."
    ]


def _activation_scales(
    shape: ModelShape, calibration: Calibration, method: str, snap: bool, result: Quantised
) -> dict[str, np.float32]:
    found: dict[str, np.float32] = {}
    for name, statistics in calibration.tensors.items():
        scale = statistics.scale(method)
        step = error = None
        feeds = calibration.activations[name].feeds
        if feeds is Feeds.SHIFTMAX:
            step = constants.softmax_step(scale)
            if snap:
                scale = constants.snapped_softmax_scale(step)
            if step < COARSEST_STEP:
                result.warnings.append(
                    f"{name}: scores reach {statistics.peak:.1f}: Shiftmax has |x0| = {step}, a coarse exponential."
                )
        elif feeds is Feeds.SHIFTGELU:
            rows = calibration.gelu_rows(name)
            exact = FLOAT_ACTIVATIONS[shape.activation](rows)
            if snap:
                scale, _ = best_scale(rows, exact)
            error = table_error(rows, exact, scale) / max(float(np.sqrt(np.mean(np.square(exact)))), 1e-12)
            step = constants.gelu_step(scale)
            _warn_gelu(name, min(statistics.peak, 127 * float(scale)), step, result)
        elif name.endswith("mlp.qact1"):
            # ShiftGELU's input is clipped at 127 S, so its output cannot be larger than that.
            reach = np.float32(127 * float(found[name.replace("qact1", "qact_gelu")]))
            scale = min(scale, constants.activation_scale(float(reach), statistics.bits))
        found[name] = scale
        result.report.append(
            TensorReport(
                name=name,
                bits=statistics.bits,
                scale=float(scale),
                peak=statistics.peak,
                clipped=statistics.clipped(scale),
                error=statistics.rounding_error(scale) / max(statistics.signal(), 1e-12),
                table_error=error,
                step=step,
            )
        )
    return found


def _warn_gelu(name: str, reach: float, step: int, result: Quantised) -> None:
    if reach > GELU_REACH:
        result.warnings.append(
            f"{name}: values reach {reach:.1f}, above {GELU_REACH}: both exponentials of ShiftGELU clamp in such a row."
        )
    if step > FINEST_GELU_STEP:
        result.warnings.append(f"{name}: ShiftGELU has |x0| = {step}, above {FINEST_GELU_STEP}: its sigmoid is coarse.")


def _linear(
    layer: LinearLayer, weights: Mapping[str, FloatArray], input_scale: np.float32
) -> dict[str, npt.NDArray[np.generic]]:
    weight = weights[f"{layer.name}.weight"]
    scale = constants.channel_scales(weight)
    if layer.bias:
        # A channel without weights is its bias, and has a scale on which that fits.
        alone = np.abs(weights[f"{layer.name}.bias"]) / (input_scale * np.float32(LONE_BIAS))
        empty = ~weight.reshape(len(weight), -1).any(axis=1)
        scale = np.where(empty, np.maximum(scale, alone), scale).astype(np.float32)
    tensors: dict[str, npt.NDArray[np.generic]] = {
        f"{layer.name}.weight_integer": constants.quantise_weight(weight, scale).astype(np.int8),
        layer.scale: scale,
    }
    if layer.bias:
        biases = constants.quantise(weights[f"{layer.name}.bias"], (scale * input_scale).astype(np.float32), 32)
        tensors[f"{layer.name}.bias_integer"] = biases.astype(np.int32)
    return tensors
