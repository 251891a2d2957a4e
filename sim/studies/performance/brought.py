"""What a checkpoint can bring beside the paper's models: an architecture each, at its own size and at a small one."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BROUGHT", "Brought"]

SMALL_VIT = "vit:image=32,patch=8,dim=48,depth=2,heads=2,classes=10"  # heads of 24 channels
SMALL_SWIN = "swin:image=28,patch=2,dim=32,depths=2-1,heads=1-2,window=7,classes=10"


@dataclass(frozen=True)
class Brought:
    """A row of the table.

    Parameters
    ----------
    what : the variation
    sources : who publishes it so, and against whose code the float model was compared
    published : the architecture at a published size, whose cycles are predicted or were measured
    small : the same variation, small enough to be measured on every board
    """

    what: str
    sources: str
    published: str
    small: str


BROUGHT = (
    Brought("class token, LayerScale (DeiT III)", "timm, Hugging Face, ONNX", "vit_small_patch16_224", SMALL_VIT),
    Brought(
        "two tokens (DeiT, distilled)",
        "timm, Hugging Face",
        "deit_small_distilled_patch16_224",
        f"{SMALL_VIT},distilled=1",
    ),
    Brought(
        "patches of 14 (DINOv2)",
        "timm, Hugging Face",
        "vit:image=224,patch=14,dim=384,depth=12,heads=6,classes=384",
        "vit:image=56,patch=14,dim=48,depth=2,heads=2,classes=48",
    ),
    Brought(
        "registers (DINOv2)",
        "timm, Hugging Face, ONNX",
        "vit:image=224,patch=14,dim=384,depth=12,heads=6,classes=384,registers=4",
        f"{SMALL_VIT},registers=4",
    ),
    Brought("mean of the patches", "timm, ONNX", "vit_small_patch16_224:pool=mean", f"{SMALL_VIT},pool=mean"),
    Brought(
        "mean, then the norm (`fc_norm`)",
        "timm, ONNX",
        "vit_small_patch16_224:pool=mean_norm",
        f"{SMALL_VIT},pool=mean_norm",
    ),
    Brought(
        "no class token",
        "timm",
        "vit_small_patch16_224:pool=mean,class_token=0",
        f"{SMALL_VIT},pool=mean,class_token=0",
    ),
    Brought(
        "another width of the MLPs",
        "timm, Hugging Face, ONNX",
        "vit:image=224,patch=16,dim=768,depth=8,heads=8,classes=1000,hidden=2304",
        f"{SMALL_VIT},hidden=80",
    ),
    Brought(
        "CLIP's image tower, B/32",
        "timm, Hugging Face, open_clip, ONNX",
        "vit:image=224,patch=32,dim=768,depth=12,heads=12,classes=512,pre_norm=1,activation=quick_gelu,epsilon=1e-5",
        f"{SMALL_VIT},pre_norm=1,activation=quick_gelu,epsilon=1e-5",
    ),
    Brought(
        "CLIP's image tower, B/16",
        "timm, Hugging Face, open_clip",
        "vit:image=224,patch=16,dim=768,depth=12,heads=12,classes=512,pre_norm=1,activation=quick_gelu,epsilon=1e-5",
        "vit:image=64,patch=8,dim=48,depth=2,heads=2,classes=10,pre_norm=1,activation=quick_gelu,epsilon=1e-5",
    ),
    Brought(
        "SigLIP's image tower, B/16",
        "timm, Hugging Face",
        "vit:image=224,patch=16,dim=768,depth=12,heads=12,classes=768,class_token=0,pool=attention,activation=gelu_tanh",
        f"{SMALL_VIT},class_token=0,pool=attention,activation=gelu_tanh",
    ),
    Brought("Swin, windows of 7", "timm, Hugging Face", "swin_tiny_patch4_window7_224", SMALL_SWIN),
    Brought(
        "Swin, windows of 8, a last map of 8",
        "timm",
        "swin:image=256,patch=4,dim=96,depths=2-2-6-2,heads=3-6-12-24,window=8,classes=1000",
        "swin:image=32,patch=2,dim=32,depths=2-1,heads=1-2,window=8,classes=10",
    ),
    Brought(
        "Swin, windows of 12, a last map of 12",
        "timm",
        "swin_base_patch4_window12_384",
        "swin:image=48,patch=2,dim=32,depths=2-1,heads=1-2,window=12,classes=10",
    ),
    Brought(
        "Swin, a last map of 6, heads of 8 channels",
        "timm",
        "swin:image=192,patch=4,dim=96,depths=2-2-6-2,heads=12-12-12-24,window=6,classes=1000",
        "swin:image=24,patch=2,dim=32,depths=2-1,heads=4-4,window=6,classes=10",
    ),
)
