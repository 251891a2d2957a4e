"""The authors' checkpoint: imported without a changed integer, refused with the key's name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from firmware import import_ivit
from firmware.quantiser.ivit_checkpoint import import_checkpoint, load_checkpoint
from sim.reference.architecture import parse_architecture
from sim.reference.errors import UserError
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import IntegerModel, load_model
from sim.reference.model_shape import NormLayer
from sim.reference.preprocess import Preprocessing
from sim.reference.scales import norm_bias, norm_scales, raised_gamma
from tests.firmware.quantiser import small_vit
from tests.firmware.quantiser.authors_state import authors_state
from tests.vectors.golden import SOURCES, golden_model

ARCH = "vit:image=32,patch=8,dim=128,depth=2,heads=2,classes=10"
SWIN = "swin:image=64,patch=4,dim=32,depths=2-2,heads=1-2,window=4,classes=10"
State = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def state() -> State:
    return golden_model("e2e_vit_small").state


@pytest.mark.parametrize("source", SOURCES)
def test_every_integer_and_scale_arrives_unchanged(source: str):
    golden = golden_model("e2e_vit_small", source)
    tensors = import_checkpoint(golden.state, parse_architecture(ARCH), "checkpoint")
    arrived = [name for name in tensors if name in golden.state]
    assert len(arrived) == len(tensors) - 2
    for name in arrived:
        np.testing.assert_array_equal(tensors[name], golden.state[name].reshape(tensors[name].shape))
    expected = golden.tensors["qact_pos"]
    np.testing.assert_array_equal(tensors["pos_embed_integer"].reshape(-1)[: len(expected)], expected)


@pytest.mark.parametrize("prefix", ["", "sd/"])
@pytest.mark.parametrize(("name", "arch"), [("e2e_vit_small", ARCH), ("e2e_swin_small", SWIN)])
def test_an_npz_of_the_authors_keys(tmp_path: Path, name: str, arch: str, prefix: str):
    state = golden_model(name).state
    file = small_vit.write_weights(tmp_path / "c.npz", {f"{prefix}{key}": array for key, array in state.items()})
    assert import_ivit.main([str(file), "--arch", arch, "-o", str(tmp_path / "m.model")]) == 0
    model, expected = load_model(tmp_path / "m.model"), import_checkpoint(state, parse_architecture(arch), "state")
    assert model.arithmetic == "official" and model.tensors.keys() == expected.keys()
    for key, tensor in expected.items():
        np.testing.assert_array_equal(model.tensors[key], tensor, err_msg=key)


def put(key: str, value: object) -> Callable[[State], None]:
    def change(state: State) -> None:
        state[key] = np.full_like(state[key], value)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("blocks.1.attn.qkv.weight_integer"), "'blocks.1.attn.qkv.weight_integer' is missing"),
        (lambda s: s.pop("norm.bias_integer"), "'norm.bias_integer' is missing"),
        (lambda s: s.update(other=np.zeros(1)), "'other' is no key of this architecture"),
        (lambda s: s.update(cls_token=np.zeros((1, 1, 64))), "'cls_token' has shape"),
        (put("blocks.0.attn.qact2.act_scaling_factor", 0), "'blocks.0.attn.qact2.act_scaling_factor' is 0"),
        (put("blocks.0.attn.qact2.act_scaling_factor", -1), "zero or negative"),
        (put("blocks.0.attn.qact2.act_scaling_factor", np.inf), "NaN or infinity"),
        (put("head.fc_scaling_factor", 0), "'head.fc_scaling_factor' holds 0"),
        (put("norm.norm_scaling_factor", 0), "'norm.norm_scaling_factor' holds 0"),
        (put("head.weight_integer", 128), "'head.weight_integer' holds 128, beyond -128..127"),
        (put("head.weight_integer", 0.5), "'head.weight_integer' holds 0.5, but integers"),
        (put("head.bias_integer", np.nan), "'head.bias_integer' holds NaN"),
        (put("head.bias_integer", 2.0**31 - 128), "32-bit accumulator"),
        (put("blocks.1.norm2.bias_integer", -(2.0**32)), "the gamma beside it is not near 0"),
        (put("blocks.1.norm2.bias_integer", np.inf), "'blocks.1.norm2.bias_integer' holds NaN or infinity"),
    ],
)
def test_what_is_wrong_is_named(state: State, change: Callable[[State], None], message: str):
    wrong = dict(state)
    change(wrong)
    with pytest.raises(UserError) as caught:
        import_checkpoint(wrong, parse_architecture(ARCH), "file")
    assert message in str(caught.value)
    assert str(caught.value).startswith("file: ")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "layers.0.downsample.reduction.bias",
            0,
            "'layers.0.downsample.reduction.bias' is no key of this architecture",
        ),
        ("layers.0.blocks.1.attn_mask", 0, "'layers.0.blocks.1.attn_mask' is not that of this architecture"),
        ("layers.1.blocks.0.attn.relative_position_index", 1, "relative_position_index' is not that of this"),
        ("layers.1.blocks.0.attn.relative_position_bias_table", np.nan, "bias_table' holds NaN"),
        ("layers.1.blocks.0.attn.qact_table.act_scaling_factor", 0, "qact_table.act_scaling_factor' is 0"),
        ("layers.0.downsample.reduction.weight_integer", 200, "holds 200, beyond -128..127"),
    ],
)
def test_what_is_wrong_in_a_swin_is_named(key: str, value: float, message: str, rng: np.random.Generator):
    shape = parse_architecture(SWIN)
    state, _ = authors_state(shape, rng)
    state[key] = np.full_like(state.get(key, np.zeros(64, np.float32)), value)
    with pytest.raises(UserError) as caught:
        import_checkpoint(state, shape, "file")
    assert message in str(caught.value)
    assert str(caught.value).startswith("file: ")


def test_another_window_is_noticed(rng: np.random.Generator):
    state, _ = authors_state(parse_architecture(SWIN), rng)
    with pytest.raises(UserError, match="check the ARCH argument"):
        import_checkpoint(state, parse_architecture(SWIN.replace("window=4", "window=8")), "file")


def test_a_whole_swin_t_is_imported_and_runs(rng: np.random.Generator):
    shape = parse_architecture("swin_tiny_patch4_window7_224")
    state, expected = authors_state(shape, rng)
    tensors = import_checkpoint(state, shape, "file")
    assert tensors.keys() == expected.keys() == shape.layout().keys()
    for name, tensor in expected.items():
        assert tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(tensors[name], tensor, err_msg=name)
    vit = IntegerVit(IntegerModel(shape, "official", Preprocessing.default(224), tensors))
    found = vit.run(
        rng.integers(-128, 128, (1, 3, 224, 224)), capture=("layers.0.blocks.1.attn.qact2", "qact2", "head")
    )
    assert found["layers.0.blocks.1.attn.qact2"].shape == (64, 3, 49, 49)
    assert found["qact2"].shape == (1, 49, 768)
    assert found["head"].shape == (1, 1000) and found["head"].std() > 1000


@pytest.mark.parametrize("arch", [ARCH, SWIN])
@pytest.mark.parametrize(("gamma", "beta"), [(1e-7, 0.4), (-1e-7, 0.4), (0, -0.4), (0, 0), (1e-42, 0)])
def test_a_gamma_near_0_is_raised_as_the_quantiser_raises_it(
    tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str], arch: str, gamma: float, beta: float
):
    shape = parse_architecture(arch)
    state, expected = authors_state(shape, rng)
    name = next(layer.name for layer in shape.layers() if isinstance(layer, NormLayer))
    state[f"{name}.weight"][5], state[f"{name}.bias"][5] = gamma, beta
    # As the authors' code computes them: in float32, and kept in float32 however large.
    unit = np.sqrt(np.float32(len(state[f"{name}.weight"]))) / np.float32(2**30)
    with np.errstate(all="ignore"):
        state[f"{name}.bias_integer"][5] = np.floor(np.float32(beta) / np.float32(gamma) / unit)
        state[f"{name}.norm_scaling_factor"][5] = unit * np.float32(gamma)
    small_vit.write_weights(tmp_path / "c.npz", state)
    output = tmp_path / "m.model"
    assert import_ivit.main([str(tmp_path / "c.npz"), "--arch", arch, "-o", str(output)]) == 0
    raised, channels = raised_gamma(state[f"{name}.weight"], state[f"{name}.bias"])
    warning = capsys.readouterr().err
    assert warning.startswith(f"warning: {name}: gamma of channel 5 is too near 0")
    assert warning.endswith(f"was raised to {raised[5]:.3g}.\n")
    assert channels == [5] and abs(raised[5]) >= 1e-4
    expected[f"{name}.bias_integer"] = norm_bias(raised, state[f"{name}.bias"])
    expected[f"{name}.norm_scaling_factor"] = norm_scales(raised)
    tensors = load_model(output).tensors
    for key, tensor in expected.items():
        np.testing.assert_array_equal(tensors[key], tensor, err_msg=key)


def test_another_depth_is_noticed(state: State):
    for depth in (1, 3):
        with pytest.raises(UserError, match=r"blocks\.[12]"):
            import_checkpoint(state, parse_architecture(ARCH.replace("depth=2", f"depth={depth}")), "file")


def test_without_torch_one_sentence_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    (tmp_path / "c.pth.tar").write_bytes(b"\x80\x02")
    with pytest.raises(UserError, match="pip install torch"):
        load_checkpoint(tmp_path / "c.pth.tar")
