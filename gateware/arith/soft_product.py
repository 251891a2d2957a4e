"""Small products made of adders alone. `*` would take a DSP block, and the array needs every DSP block."""

from amaranth.hdl import Mux, Value

__all__ = ["constant_product", "soft_product", "sum_of"]


def sum_of(terms: list[Value]) -> Value:
    """The exact sum, by a balanced tree of adders."""
    while len(terms) > 1:
        pairs = [first + second for first, second in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(pairs) * 2 :]
    return terms[0]


def constant_product(value: Value, factor: int) -> Value:
    """``value * factor``, combinational: an adder for each set bit of the factor but one. Raises ValueError below 1."""
    if factor < 1:
        raise ValueError(f"constant_product: factor must be at least 1, not {factor}.")
    return sum_of([value << place for place in range(factor.bit_length()) if factor >> place & 1])


def soft_product(a: Value, b: Value, bits: int) -> Value:
    """``a * b`` modulo 2 to the ``bits``, combinational: an adder for each bit of ``a`` but one.

    ``a`` may be signed; its upper bits weigh as two's complement has it.
    """
    width = min(len(a), bits)
    terms = [Mux(a[place], (b << place)[:bits], 0) for place in range(width)]
    if a.shape().signed and len(a) < bits:
        # The sign's weight is negative: its multiple at the place above makes it so, modulo the result's width.
        terms += [Mux(a[-1], (b << place)[:bits], 0) for place in range(len(a), bits)]
    return sum_of(terms)[:bits]
