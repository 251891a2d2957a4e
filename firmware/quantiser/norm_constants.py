"""A LayerNorm's integer constants from its float gamma and beta; a gamma that is too near 0 is raised, and said."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.reference.scales import FloatArray, norm_bias, norm_scales, raised_gamma

__all__ = ["norm_constants"]


def norm_constants(
    name: str, gamma: FloatArray, beta: FloatArray, warnings: list[str]
) -> tuple[dict[str, npt.NDArray[np.generic]], list[int]]:
    """The constants of the LayerNorm `name`, under their names in the model file.

    Parameters
    ----------
    gamma, beta : float32, one a channel
    warnings : gets a sentence that names the channels whose gamma was raised (`raised_gamma`)

    Returns
    -------
    The int32 bias and the float32 scale, one of each a channel; and the channels whose gamma was raised.
    """
    gamma, raised = raised_gamma(gamma, beta)
    if raised:
        warnings.append(
            f"{name}: gamma of channel{'s' if len(raised) > 1 else ''} {', '.join(map(str, raised))} is too near 0 for "
            f"I-LayerNorm and was raised to {', '.join(f'{value:.3g}' for value in gamma[raised])}."
        )
    constants: dict[str, npt.NDArray[np.generic]] = {
        f"{name}.bias_integer": norm_bias(gamma, beta).astype(np.int32),
        f"{name}.norm_scaling_factor": norm_scales(gamma),
    }
    return constants, raised
