"""Dimensions of a ViT or DeiT."""

from __future__ import annotations

from dataclasses import dataclass

from sim.reference.errors import UserError

__all__ = ["MLP_RATIO", "VitShape"]

MLP_RATIO = 4


@dataclass(frozen=True)
class VitShape:
    """Dimensions of a ViT or DeiT with a class token.

    Parameters
    ----------
    image, patch : side of the square image and of a patch, pixels
    dim, depth, heads : channels, blocks, attention heads
    classes : outputs of the head
    """

    image: int
    patch: int
    dim: int
    depth: int
    heads: int
    classes: int

    def __post_init__(self) -> None:
        for name in ("image", "patch", "dim", "depth", "heads", "classes"):
            value = getattr(self, name)
            if value < 1:
                raise UserError(f"{name} must be at least 1, not {value}.")
        if self.image % self.patch:
            raise UserError(f"image must be a multiple of patch, not {self.image} with patch {self.patch}.")
        if self.dim % self.heads:
            raise UserError(f"dim must be a multiple of heads, not {self.dim} with {self.heads} heads.")

    @property
    def tokens(self) -> int:
        """Tokens of a frame, the class token included."""
        return (self.image // self.patch) ** 2 + 1

    @property
    def hidden(self) -> int:
        """Channels of the MLP's hidden layer."""
        return MLP_RATIO * self.dim

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """timm's name and shape of each weight."""
        dim, hidden = self.dim, self.hidden
        shapes: dict[str, tuple[int, ...]] = {
            "cls_token": (1, 1, dim),
            "pos_embed": (1, self.tokens, dim),
            "patch_embed.proj.weight": (dim, 3, self.patch, self.patch),
            "patch_embed.proj.bias": (dim,),
        }
        linears = {
            "attn.qkv": (3 * dim, dim),
            "attn.proj": (dim, dim),
            "mlp.fc1": (hidden, dim),
            "mlp.fc2": (dim, hidden),
        }
        for index in range(self.depth):
            block = f"blocks.{index}."
            for norm in ("norm1", "norm2"):
                shapes |= {f"{block}{norm}.weight": (dim,), f"{block}{norm}.bias": (dim,)}
            for name, (rows, columns) in linears.items():
                shapes |= {f"{block}{name}.weight": (rows, columns), f"{block}{name}.bias": (rows,)}
        shapes |= {"norm.weight": (dim,), "norm.bias": (dim,)}
        return shapes | {"head.weight": (self.classes, dim), "head.bias": (self.classes,)}
