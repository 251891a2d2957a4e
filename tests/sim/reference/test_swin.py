"""Every tensor of a small whole Swin, with no integer different; shapes that cannot be."""

import numpy as np
import pytest

from firmware.quantiser.ivit_checkpoint import import_checkpoint, load_checkpoint
from sim.reference.addressing import window_regions
from sim.reference.arithmetic import LEAN, OFFICIAL
from sim.reference.scales import quantise
from sim.reference.swin import swin_graph
from sim.reference.swin_shape import SwinShape
from tests.shared_data import shared_data

SMALL = SwinShape(64, 4, 32, (2, 2), (1, 2), 4, 10)


@pytest.mark.parametrize("suffix", [".npz", ".pth.tar"])
def test_every_tensor_of_the_small_swin(suffix: str):
    if suffix == ".pth.tar":
        pytest.importorskip("torch", reason="the authors' own file format needs the training extra")
    golden, tensors = imported(suffix)
    images = quantise(golden["img"], np.float32(tensors["qact_input.act_scaling_factor"]), 8)
    found = swin_graph(SMALL, tensors, OFFICIAL).run(images)
    names = [key.removeprefix("tr/") for key in golden if key.startswith("tr/")]
    assert len(names) == 80
    for name in names:
        np.testing.assert_array_equal(found[name], golden[f"tr/{name}"], err_msg=name)


def imported(suffix: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    with np.load(shared_data("vectors", "e2e_swin_small.npz"), allow_pickle=False) as file:
        golden = dict(file)
    path = shared_data("vectors", f"e2e_swin_small{suffix}")
    return golden, import_checkpoint(load_checkpoint(path), SMALL, str(path))


def test_lean_limits_the_packed_operands():
    golden, tensors = imported(".npz")
    images = quantise(golden["img"] * 8, np.float32(tensors["qact_input.act_scaling_factor"]), 8)
    qkv = "layers.0.blocks.0.attn.qact1"
    found = swin_graph(SMALL, tensors, LEAN).run(images, capture=(qkv,))[qkv]
    assert found[..., 32:].min() >= -127


def test_regions_are_the_parts_that_rolling_joins():
    regions = window_regions(8, 4, 2)
    assert regions.shape == (4, 16)
    assert [len(set(window)) for window in regions.tolist()] == [1, 2, 2, 4]
