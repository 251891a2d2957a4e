"""How many cycles a network's matrix products keep an array busy."""

from dataclasses import dataclass

from gateware.config import in_halves
from sim.reference.rounding import ceil_div

__all__ = ["DEIT_TINY", "Product", "Transformer", "array_cycles"]

COLUMNS = 4  # of an output tile, with any grid
DOT = 4  # products an element sums in a step


@dataclass(frozen=True)
class Product:
    """``count`` matrix products of ``rows x inner`` by ``inner x columns``."""

    rows: int
    inner: int
    columns: int
    count: int = 1
    probabilities: bool = False  # the left operand is attention's probabilities


@dataclass(frozen=True)
class Transformer:
    """A ViT with a class token, as its matrix products."""

    tokens: int
    dim: int
    depth: int
    heads: int
    patch_inputs: int
    classes: int

    def products(self) -> list[Product]:
        """All matrix products of one frame, with the operands as they lie on the array: V is made transposed."""
        tokens, dim, head = self.tokens, self.dim, self.dim // self.heads
        return [
            Product(tokens - 1, self.patch_inputs, dim),
            Product(tokens, dim, 2 * dim, self.depth),  # Q, K
            Product(dim, dim, tokens, self.depth),  # V^T
            Product(tokens, head, tokens, self.depth * self.heads),  # Q K^T
            Product(tokens, tokens, head, self.depth * self.heads, probabilities=True),  # A V
            Product(tokens, dim, dim, self.depth),  # projection
            Product(tokens, dim, 4 * dim, self.depth),  # fc1
            Product(tokens, 4 * dim, dim, self.depth),  # fc2
            Product(1, dim, self.classes),
        ]


DEIT_TINY = Transformer(tokens=197, dim=192, depth=12, heads=3, patch_inputs=3 * 16 * 16, classes=1000)


def array_cycles(network: Transformer, rows: int, probability_bits: int) -> int:
    """Cycles of one frame on an array of ``rows x 4`` outputs that never waits for anything.

    A tile takes a cycle for each four products of its outputs, and at least ``rows``, for its rows leave one a cycle.
    Probabilities of 16 bits are multiplied in two halves, so A V takes twice as long.
    """
    total = 0
    for product in network.products():
        halves = 2 if product.probabilities and in_halves(probability_bits) else 1
        tiles = ceil_div(product.rows, rows) * ceil_div(product.columns, COLUMNS)
        total += product.count * tiles * max(rows, halves * ceil_div(product.inner, DOT))
    return total
