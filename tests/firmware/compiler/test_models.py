"""Every kind of model of the paper, small: quantised, written, read, and near its float model."""

from pathlib import Path

import numpy as np
import pytest

from firmware.float_models.registry import float_model
from firmware.quantiser.calibration import Calibration
from firmware.quantiser.network_error import network_errors
from firmware.quantiser.post_training import quantise_model
from firmware.quantiser.random_model import random_weights
from sim.reference.architecture import parse_architecture
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import IntegerModel, load_model
from sim.reference.preprocess import Preprocessing

BOTH = ("lean", "official")
# Random weights attend to all tokens about equally, and 8-bit Shiftmax turns into 0 what is below 1/256, floored 1/128.
LONG = ("official",)
ROUNDED = ("lean",)
DISTILLED = "vit:image=32,patch=8,dim=64,depth=2,heads=2,classes=3,distilled=1"
MODELS = [
    ("vit:image=32,patch=8,dim=64,depth=2,heads=2,classes=3", BOTH),  # DeiT and ViT
    (DISTILLED, BOTH),
    ("vit:image=96,patch=32,dim=64,depth=1,heads=2,classes=7", BOTH),
    ("vit:image=384,patch=16,dim=32,depth=1,heads=2,classes=5", LONG),  # 577 tokens
    ("vit:image=224,patch=8,dim=32,depth=1,heads=2,classes=5", LONG),  # 785 tokens
    ("vit:image=32,patch=8,dim=48,depth=2,heads=2,classes=3,pool=mean,class_token=0,hidden=96", BOTH),
    ("vit:image=32,patch=8,dim=64,depth=2,heads=2,classes=3,pool=mean_norm,registers=2", BOTH),  # DINOv2's registers
    ("vit:image=32,patch=8,dim=64,depth=2,heads=2,classes=3,pre_norm=1,activation=quick_gelu,epsilon=1e-5", BOTH),
    ("swin:image=64,patch=4,dim=32,depths=2-2,heads=1-2,window=4,classes=10", BOTH),
    ("swin:image=56,patch=4,dim=32,depths=2-2,heads=1-2,window=7,classes=4", BOTH),  # the last map is one window
    ("swin:image=96,patch=4,dim=32,depths=2-2,heads=1-1,window=12,classes=4", ROUNDED),  # the windows of 384 pixels
]


@pytest.mark.parametrize(("text", "arithmetics"), MODELS)
def test_a_model_of_this_kind(text: str, arithmetics: tuple[str, ...], tmp_path: Path, rng: np.random.Generator):
    shape = parse_architecture(text)
    weights = random_weights(shape, rng)
    exact, calibration = float_model(shape, weights), Calibration(shape)
    images = rng.normal(0, 1, (1, 3, shape.image, shape.image)).astype(np.float32)
    expected = exact.forward(images, calibration.observe)
    tensors = quantise_model(shape, weights, calibration).tensors
    for arithmetic in arithmetics:
        path = tmp_path / f"{arithmetic}.safetensors"
        IntegerModel(shape, arithmetic, Preprocessing.default(shape.image), tensors).save(path)
        model = load_model(path)
        assert model.shape == shape and model.arithmetic == arithmetic
        errors = network_errors(exact, model, images)
        assert errors.keys() == {activation.name for activation in shape.activations()}
        assert max(errors.values()) < 0.3, max(errors, key=errors.__getitem__)
        vit = IntegerVit(model)
        assert np.abs(vit.logits(vit.quantised(images)) - expected).max() < 0.3 * np.abs(expected).max()


def test_the_head_of_a_distilled_model_reads_both_tokens(rng: np.random.Generator):
    shape = parse_architecture(DISTILLED)
    weights = random_weights(shape, rng)
    exact, calibration = float_model(shape, weights), Calibration(shape)
    image = rng.normal(0, 1, (1, 3, 32, 32)).astype(np.float32)
    exact.forward(image, calibration.observe)
    model = IntegerModel(shape, "lean", Preprocessing.default(32), quantise_model(shape, weights, calibration).tensors)
    vit = IntegerVit(model)
    found = vit.run(vit.quantised(image))
    weight, bias = (model.tensors[f"head.{part}_integer"].astype(np.int64) for part in ("weight", "bias"))
    # The class token meets the first half of each row, the distillation token the second.
    both = found["qact2"][0]
    np.testing.assert_array_equal(found["head"][0], weight[:, :64] @ both[0] + weight[:, 64:] @ both[1] + bias)
    tokens = found["tokens"][0]
    np.testing.assert_array_equal(tokens[0], model.tensors["cls_token_integer"][0, 0])
    np.testing.assert_array_equal(tokens[1], model.tensors["dist_token_integer"][0, 0])
    assert len(tokens) == 18
