"""A checkpoint in the authors' layout, made from random weights."""

import numpy as np

from firmware.quantiser.post_training import integer_tensors
from firmware.quantiser.random_model import random_weights
from sim.reference.model_shape import ModelShape
from sim.reference.scales import activation_scale
from sim.reference.swin_shape import SwinShape

State = dict[str, np.ndarray]
REACH = 4.0  # of every activation


def authors_state(shape: ModelShape, rng: np.random.Generator) -> tuple[State, State]:
    """The state that training leaves (float32, integers too), and the tensors that a model file should get from it."""
    weights = random_weights(shape, rng)
    scales = {activation.name: activation_scale(REACH, activation.bits) for activation in shape.activations()}
    tensors = integer_tensors(shape, weights, scales)
    state = {**weights, **shape.buffers()}
    embedded = {embedding.integer for embedding in shape.embeddings()}
    state |= {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items() if name not in embedded}
    softmax = "log_int_softmax" if isinstance(shape, SwinShape) else "int_softmax"
    for block in shape.block_names():
        for unused in (f"attn.{softmax}", "attn.matmul_1", "attn.matmul_2", "mlp.act"):
            state[f"{block}.{unused}.act_scaling_factor"] = np.ones(1, np.float32)
    return state | {"act_out.act_scaling_factor": np.zeros(1, np.float32)}, tensors
