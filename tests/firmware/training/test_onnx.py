"""Graphs as PyTorch exports them: the same float model; and a sentence for graphs that are no ViT's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware.checkpoints.checkpoint import load_weights, open_checkpoint
from firmware.float_models.registry import float_model
from sim.reference.errors import UserError
from tests.firmware.training.libraries import forward, library, randomised

SMALL = {"img_size": 16, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2, "num_classes": 3}


class Only(torch.nn.Module):
    """A model of transformers, of whose results one is the output."""

    def __init__(self, model: torch.nn.Module, name: str) -> None:
        super().__init__()
        self.model, self.name = model, name

    def forward(self, images: torch.Tensor) -> Any:
        return self.model(images)[self.name]


def timm_model(name: str, **more: Any) -> torch.nn.Module:
    return randomised(library("timm").create_model(name, **{**SMALL, **more}))


def hugging_face_model(kind: str, output: str, **more: Any) -> torch.nn.Module:
    transformers = library("transformers")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 16, "patch_size": 8}
    model = getattr(transformers, kind)
    return randomised(Only(model(model.config_class(**sizes, **more)), output))


def export(model: torch.nn.Module, path: Path, newer: bool) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        more: dict[str, Any] = {"verbose": False} if newer else {"opset_version": 17}
        torch.onnx.export(model, (torch.zeros(1, 3, 16, 16),), str(path), dynamo=newer, **more)
    return path


MODELS: list[tuple[Callable[[], torch.nn.Module], bool]] = [
    (lambda: timm_model("vit_base_patch16_224"), False),
    (lambda: timm_model("vit_base_patch16_224", global_pool="avg"), True),
    (lambda: timm_model("vit_base_patch16_224", global_pool="avg", fc_norm=False, qkv_bias=False), False),
    (lambda: timm_model("deit3_base_patch16_224"), False),
    (lambda: timm_model("vit_base_patch14_reg4_dinov2", num_classes=0), True),
    (lambda: timm_model("vit_base_patch32_clip_quickgelu_224"), False),
    (lambda: hugging_face_model("ViTForImageClassification", "logits", num_labels=3, intermediate_size=48), True),
    (lambda: hugging_face_model("Dinov2WithRegistersModel", "last_hidden_state"), True),
]


@pytest.mark.parametrize(("make", "newer"), MODELS)
def test_an_exported_model(make: Callable[[], torch.nn.Module], newer: bool, tmp_path: Path, rng: np.random.Generator):
    model = make()
    path = export(model, tmp_path / "m.onnx", newer)
    found = open_checkpoint(path, None)
    images = rng.normal(size=(2, 3, 16, 16)).astype(np.float32)
    expected = forward(model, images).numpy()
    expected = expected[:, 0] if expected.ndim == 3 else expected
    logits = float_model(found.shape, found.weights).forward(images)
    assert np.abs(logits - expected).max() < 1e-4 * max(1, np.abs(expected).max())
    again = load_weights(path, found.shape)
    assert all(np.array_equal(again[name], array) for name, array in found.weights.items())


SMALL_SWIN = SMALL | {"patch_size": 2, "window_size": 4, "embed_dim": 16, "depths": (2, 1), "num_heads": (1, 2)}


@pytest.mark.parametrize(
    ("name", "newer", "message"),
    [
        ("swin_tiny_patch4_window7_224", False, r"the node '\S+/Mod', a Mod, is not understood"),
        ("swin_tiny_patch4_window7_224", True, r"the node '\S+', a Pad, is not understood"),
        (
            "vit_base_patch16_siglip_224",
            True,
            r"the node '\S+' \(linear\) is not understood where a ViT has one product",
        ),
    ],
)
def test_an_exported_model_that_is_refused(name: str, newer: bool, message: str, tmp_path: Path):
    more = {key: value for key, value in SMALL_SWIN.items() if key != "depth"} if name.startswith("swin") else SMALL
    model = randomised(library("timm").create_model(name, **more))
    with pytest.raises(UserError, match=message):
        open_checkpoint(export(model, tmp_path / "m.onnx", newer), None)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    folder = tmp_path_factory.mktemp("onnx")
    return onnx.load_model(export(timm_model("vit_base_patch16_224", depth=1), folder / "m.onnx", newer=False))


def of_kind(model: onnx.ModelProto, kind: str) -> Any:
    return next(node for node in model.graph.node if node.op_type == kind)


def another_operation(model: onnx.ModelProto) -> None:
    of_kind(model, "Softmax").op_type = "Hardmax"


def another_domain(model: onnx.ModelProto) -> None:
    of_kind(model, "Erf").domain = "com.example"


def no_scores(model: onnx.ModelProto) -> None:
    softmax = of_kind(model, "Softmax")
    softmax.op_type = "Identity"
    del softmax.attribute[:]


def other_scores(model: onnx.ModelProto) -> None:
    softmax = of_kind(model, "Softmax")
    model.graph.node.insert(
        list(model.graph.node).index(softmax), onnx.helper.make_node("Mul", [softmax.input[0]] * 2, ["squared"])
    )
    of_kind(model, "Softmax").input[0] = "squared"


def weights_elsewhere(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (another_operation, r"the node '/blocks/blocks.0/attn/Softmax', a Hardmax, is not understood"),
        (another_domain, r"the node '\S+Erf', a Erf, is not understood"),
        (no_scores, r"the node '\S+norm2/LayerNormalization' \(norm\) is not understood where a ViT has scores"),
        (other_scores, "computes something else than 1 blocks of one"),
        (weights_elsewhere, r"lie in '\.\./secret', which is no file beside it"),
    ],
)
def test_other_graphs(change: Callable[[onnx.ModelProto], None], message: str, exported: Any, tmp_path: Path):
    model = onnx.ModelProto()
    model.CopyFrom(exported)
    change(model)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match=message):
        open_checkpoint(tmp_path / "m.onnx", None)


def test_an_architecture_beside_a_graph(exported: Any, tmp_path: Path):
    onnx.save_model(exported, tmp_path / "m.onnx")
    with pytest.raises(UserError, match="says its architecture itself, in its graph; leave ARCH out"):
        open_checkpoint(tmp_path / "m.onnx", "deit_tiny")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damaged_files_are_sentences(exported: Any, tmp_path: Path, data: st.DataObject):
    content = bytearray(exported.SerializeToString())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    for _ in range(data.draw(st.integers(1, 4))):
        # In the graph rather than in its weights.
        if content:
            content[data.draw(st.integers(0, min(len(content), 9000) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "m.onnx"
    path.write_bytes(bytes(content))
    try:
        open_checkpoint(path, None)
    except UserError as error:
        assert "m.onnx" in str(error) and "\n" not in str(error)
