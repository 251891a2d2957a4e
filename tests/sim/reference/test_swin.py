"""What a Swin has beside a ViT: limits of its packed operands, regions of rolled windows, shapes that cannot be."""

import numpy as np

from firmware.quantiser.ivit_checkpoint import import_checkpoint
from sim.reference.addressing import window_regions
from sim.reference.arithmetic import LEAN
from sim.reference.scales import quantise
from sim.reference.swin import swin_graph
from sim.reference.swin_shape import SwinShape
from tests.vectors.golden import golden_model

SMALL = SwinShape(64, 4, 32, (2, 2), (1, 2), 4, 10)


def test_lean_limits_the_packed_operands():
    golden = golden_model("e2e_swin_small")
    tensors = import_checkpoint(golden.state, SMALL, "slices")
    images = quantise(golden.images * 8, np.float32(tensors["qact_input.act_scaling_factor"]), 8)
    qkv = "layers.0.blocks.0.attn.qact1"
    found = swin_graph(SMALL, tensors, LEAN).run(images, capture=(qkv,))[qkv]
    assert found[..., 32:].min() >= -127


def test_regions_are_the_parts_that_rolling_joins():
    regions = window_regions(8, 4, 2)
    assert regions.shape == (4, 16)
    assert [len(set(window)) for window in regions.tolist()] == [1, 2, 2, 4]
