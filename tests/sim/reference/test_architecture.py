"""ARCH: names, dimensions spelled out, and what follows from them."""

import pytest

from sim.reference.architecture import NAMES, parse_architecture, spelled_out
from sim.reference.errors import UserError
from sim.reference.swin_shape import SwinShape
from sim.reference.vit_shape import VitShape

VIT = "vit:image=16,patch=8,dim=32,depth=2,heads=2,classes=5"
SWIN = "swin:image=64,patch=4,dim=32,depths=2-2,heads=1-2,window=4,classes=10"


@pytest.mark.parametrize(
    ("name", "parameters", "giga_macs"),
    [
        ("deit_tiny_patch16_224.fb_in1k", 5_717_416, 1.254),
        ("deit_small", 22_050_664, 4.60),
        ("vit_base_patch16_224", 86_567_656, 17.56),
        ("vit_base_patch16_384", 86_859_496, 55.48),
        ("vit_base_patch32_224", 88_224_232, 4.41),
        ("deit_tiny_distilled_patch16_224", 5_910_800, 1.261),
        ("deit_base_distilled_patch16_384", 87_630_032, 55.59),
        ("swin_tiny", 28_288_354, 4.49),
        ("swin_small_patch4_window7_224", 49_606_258, 8.74),
        ("swin_base_patch4_window7_224.ms_in1k", 87_768_224, 15.43),
        ("swin_base_patch4_window12_384", 87_903_584, 47.08),
    ],
)
def test_named_models_have_their_published_sizes(name: str, parameters: int, giga_macs: float):
    shape = parse_architecture(name)
    assert shape.parameters() == parameters
    assert shape.macs() / 1e9 == pytest.approx(giga_macs, rel=2e-3)


@pytest.mark.parametrize(
    "text",
    [
        VIT,
        SWIN,
        VIT + ",distilled=1",
        VIT + ",class_token=0,registers=4,hidden=48,pre_norm=1,pool=mean_norm,activation=quick_gelu,epsilon=1e-05",
        SWIN + ",activation=gelu_tanh,epsilon=1e-12",
    ],
)
def test_dimensions_spelled_out_are_read_back(text: str):
    assert spelled_out(parse_architecture(text)) == text


def test_every_name_is_read_back():
    for name, shape in NAMES.items():
        assert parse_architecture(name) == parse_architecture(spelled_out(shape)) == shape


def test_another_number_of_classes():
    assert parse_architecture("deit_tiny:classes=10") == VitShape(224, 16, 192, 12, 3, 10)
    assert parse_architecture("deit_tiny:pool=mean,depth=3") == VitShape(224, 16, 192, 3, 3, 1000, pool="mean")
    assert parse_architecture("swin_tiny_patch4_window7_224:classes=3").weight_shapes()["head.weight"] == (3, 768)


def test_padding_of_heads_counts_for_nothing():
    padded, plain = (VitShape(32, 8, 48, 2, heads, 10) for heads in (2, 3))
    assert padded.weight_shapes()["blocks.0.attn.qkv.weight"] == (3 * 2 * 32, 48)
    assert (padded.parameters(), padded.macs()) == (plain.parameters(), plain.macs())


def test_the_stages_of_a_swin():
    shape = SwinShape(64, 4, 32, (2, 2), (1, 2), 4, 10)
    assert parse_architecture(SWIN) == shape
    assert [shape.shift(stage, block) for stage in (0, 1) for block in (0, 1)] == [0, 2, 0, 2]
    # The last map is no larger than a window: one window, never rolled.
    tiny = NAMES["swin_tiny_patch4_window7_224"]
    assert isinstance(tiny, SwinShape) and [tiny.shift(stage, 1) for stage in tiny.stages] == [3, 3, 3, 0]
    small = SwinShape(32, 4, 32, (2, 2), (1, 2), 8, 10)
    assert (small.stage_window(0), small.stage_window(1)) == (8, 4)
    assert small.weight_shapes()["layers.1.blocks.0.attn.relative_position_bias_table"] == (49, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resnet50", "Unknown architecture 'resnet50'"),
        ("", "Unknown architecture ''"),
        ("vit:image=16", "lacks patch, dim"),
        (VIT + ",dim=32", "'dim=32' is not understood"),
        (VIT.replace("dim=32", "dim=-32"), "'dim=-32' is not understood"),
        (VIT.replace("dim=32", "dim=0"), "dim must be at least 1, not 0"),
        (VIT.replace("patch=8", "patch=7"), "image must be a multiple of patch, not 16 with patch 7"),
        (VIT.replace("heads=2", "heads=3"), "dim must be a multiple of heads"),
        (VIT + ",distilled=2", "distilled must be 0 or 1, not 2"),
        ("deit_tiny:heads=2,heads=2", "'heads=2' is not understood; expected NAME:classes=10"),
        (VIT + ",epsilon=-1", "'epsilon=-1' is not understood"),
        (VIT + ",epsilon=2", "epsilon must be 0 to 1, not 2"),
        (VIT + ",pool=last", "pool must be one of token, mean, mean_norm, attention, not 'last'"),
        (VIT + ",pool=Token", "'pool=Token' is not understood"),
        (VIT + ",activation=relu", "activation must be one of gelu, gelu_tanh, quick_gelu, not 'relu'"),
        (SWIN + ",activation=relu", "activation must be one of gelu, gelu_tanh, quick_gelu, not 'relu'"),
        (VIT + ",pre_norm=2", "pre_norm must be 0 or 1, not 2"),
        (VIT + ",class_token=0", "without class token must have pool=mean or pool=mean_norm"),
        (VIT + ",distilled=1,registers=1", "distillation token must have pool=token and no registers"),
        ("deit_tiny:classes=x", "'classes=x' is not understood"),
        ("deit_tiny:classes=0", "classes must be at least 1, not 0"),
        (SWIN.replace("2-2", "2-x"), "'depths=2-x' is not understood"),
        (SWIN.replace("2-2", "2"), "depths and heads must name the same stages"),
        (SWIN.replace("2-2", "-".join("1" * 9)), "is not understood"),
        (SWIN.replace("2-2", "2-0"), "depths must be at least 1, not 0"),
        (SWIN.replace("1-2", "1-3"), "dim of stage 1 must be a multiple of heads"),
        (SWIN.replace("window=4", "window=5"), "Stage 0 has 16 tokens a side, which windows of 5 do not divide"),
        (SWIN.replace("image=64", "image=62"), "image must be a multiple of stage 0's patch side, not 62"),
    ],
)
def test_bad_architectures(text: str, message: str):
    with pytest.raises(UserError, match=message):
        parse_architecture(text)
