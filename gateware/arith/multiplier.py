"""A fully pipelined integer multiplier, in LUTs or for DSP inference."""

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from sim.reference.rounding import ceil_div

__all__ = ["Multiplier"]

STYLES = ("lut", "plain")


class Multiplier(wiring.Component):
    """The exact product of two integers, one a cycle.

    ``p`` at cycle ``t + latency`` is ``a * b`` of cycle ``t``. There is no handshake and no reset: a unit carries its
    own valid bits beside the multiplier, and freezes both with ``en``.

    The ``"lut"`` style multiplies in radix 4: digits of ``b`` in 0..3 (the last one in -2..1 when ``b`` is signed)
    select 0, a, 2a or 3a, and 3a is computed once, in the first stage. A row is then one adder whose one operand is
    the registered partial sum and whose other operand is a function of five signals, so that a six-input LUT with
    its carry holds one bit of it: ``ceil(b_width / 2)`` rows of ``a_width + 2`` LUTs, and as many for 3a.
    Booth's digits -2..2 would save 3a but need a carry into every row and, for an unsigned ``b``, one row more.

    The ``"plain"`` style is ``a * b`` between registers, from which synthesis infers DSP blocks.

    Parameters
    ----------
    a_width, b_width : int
        Bits of the operands. The ``"lut"`` style is smaller when ``b`` is the narrower one.
    a_signed, b_signed : bool
        Whether the operands are two's complement.
    style : str
        ``"lut"`` or ``"plain"``.
    rows_per_stage : int
        Adder rows between two pipeline registers, ``"lut"`` style only.
    enable : bool
        Whether there is a clock enable.

    Attributes
    ----------
    latency : int
        Cycles from operands to product: 3 for ``"plain"``, ``1 + ceil((rows - 1) / rows_per_stage)`` for ``"lut"``
        with ``rows = ceil(b_width / 2)`` (at least 2).

    Members
    -------
    a, b : In
        The operands.
    p : Out
        The product, ``a_width + b_width`` bits, signed if any operand is.
    en : In(1), only with ``enable``
        The pipeline advances while this is high.

    Raises
    ------
    ValueError
        For a width below 1, an unknown style or ``rows_per_stage`` below 1.
    """

    def __init__(
        self,
        a_width: int,
        b_width: int,
        a_signed: bool = True,
        b_signed: bool = True,
        *,
        style: str = "lut",
        rows_per_stage: int = 2,
        enable: bool = False,
    ) -> None:
        require_range("Multiplier", "a_width", a_width, 1)
        require_range("Multiplier", "b_width", b_width, 1)
        require_range("Multiplier", "rows_per_stage", rows_per_stage, 1)
        if style not in STYLES:
            raise ValueError(
                f"Multiplier: style must be one of {', '.join(STYLES)}, not {style!r}; choose one of them."
            )
        self.a_shape = Shape(a_width, a_signed)
        self.b_shape = Shape(b_width, b_signed)
        self.p_shape = Shape(a_width + b_width, a_signed or b_signed)
        self.style = style
        self.rows_per_stage = rows_per_stage
        self.enable = enable
        self.rows = (b_width + 1) // 2
        self.latency = 3 if style == "plain" else 1 + max(1, ceil_div(self.rows - 1, rows_per_stage))
        members = {"a": In(self.a_shape), "b": In(self.b_shape), "p": Out(self.p_shape)}
        if enable:
            members["en"] = In(1)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module | EnableInserter:
        m = Module()
        if self.style == "plain":
            self._elaborate_plain(m)
        else:
            self._elaborate_rows(m)
        return EnableInserter(self.en)(m) if self.enable else m

    def _elaborate_plain(self, m: Module) -> None:
        # Operand, product and output registers: the A/B, M and P registers of a DSP48E1.
        a = Signal(self.a_shape, reset_less=True)
        b = Signal(self.b_shape, reset_less=True)
        product = Signal(self.p_shape, reset_less=True)
        result = Signal(self.p_shape, reset_less=True)
        m.d.sync += [a.eq(self.a), b.eq(self.b), product.eq(a * b), result.eq(product)]
        m.d.comb += self.p.eq(result)

    def _elaborate_rows(self, m: Module) -> None:
        a_width = self.a_shape.width
        # Sums of one row lie in [-2 * 2^a_width, 4 * 2^a_width).
        row_shape = Shape(a_width + 2 + (not self.a_shape.signed and self.b_shape.signed), self.p_shape.signed)
        multiplicand = Signal(self.a_shape, name="a_0", reset_less=True)
        tripled = Signal(Shape(a_width + 2, self.a_shape.signed), name="a3_0", reset_less=True)
        digits = Signal(Shape(2 * self.rows, self.b_shape.signed), name="b_0", reset_less=True)
        m.d.sync += [multiplicand.eq(self.a), tripled.eq((self.a << 1) + self.a), digits.eq(self.b)]

        # `upper` is what the next row adds to, `lower` the product bits that are final.
        upper: Value | None = None
        lower: Value | None = None
        row = 0
        stage = 0
        while row < self.rows:
            # The first row only selects, so the first stage has room for it beside its adders.
            last = min(self.rows, row + self.rows_per_stage + (row == 0))
            for index in range(row, last):
                digit = digits[2 * (index - row) : 2 * (index - row) + 2]
                negative = self.b_shape.signed and index == self.rows - 1
                total = Signal(row_shape, name=f"row_{index}")
                m.d.comb += total.eq(self._row(upper, digit, multiplicand, tripled, negative))
                lower = total[:2] if lower is None else Cat(lower, total[:2])
                upper = total[2:].as_signed() if row_shape.signed else total[2:]
            assert upper is not None and lower is not None
            stage += 1
            if last < self.rows:
                next_multiplicand = Signal(self.a_shape, name=f"a_{stage}", reset_less=True)
                next_tripled = Signal(tripled.shape(), name=f"a3_{stage}", reset_less=True)
                next_digits = Signal(2 * (self.rows - last), name=f"b_{stage}", reset_less=True)
                next_lower = Signal(2 * last, name=f"lower_{stage}", reset_less=True)
                next_upper = Signal(upper.shape(), name=f"upper_{stage}", reset_less=True)
                m.d.sync += [
                    next_multiplicand.eq(multiplicand),
                    next_tripled.eq(tripled),
                    next_digits.eq(digits[2 * (last - row) :]),
                    next_lower.eq(lower),
                    next_upper.eq(upper),
                ]
                multiplicand, tripled, digits = next_multiplicand, next_tripled, next_digits
                lower, upper = next_lower, next_upper
            row = last
        result = Signal(self.p_shape, reset_less=True)
        m.d.sync += result.eq(Cat(lower, upper))
        m.d.comb += self.p.eq(result)

    @staticmethod
    def _row(upper: Value | None, digit: Value, multiplicand: Value, tripled: Value, negative: bool) -> Value:
        """The partial sum plus ``digit`` times the multiplicand; ``negative``: the digit's upper bit weighs -2."""
        if not negative:
            multiple = Mux(digit[1], Mux(digit[0], tripled, multiplicand << 1), Mux(digit[0], multiplicand, 0))
            return multiple if upper is None else upper + multiple
        # -x is ~x + 1; the one enters as a carry from an extra bit below.
        operand = Cat(multiplicand, multiplicand[-1] if multiplicand.shape().signed else Const(0, 1)).as_signed()
        multiple = Mux(digit[1], Mux(digit[0], ~operand, ~(operand << 1)), Mux(digit[0], operand, 0))
        base = Const(1, signed(2)) if upper is None else Cat(Const(1, 1), upper).as_signed()
        return (base + Cat(digit[1], multiple).as_signed())[1:].as_signed()
