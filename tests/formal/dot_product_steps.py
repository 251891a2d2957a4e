"""The steps of the proof that a dot-4 element sums four products in each lane (test_dot_product.py says how)."""

from amaranth.hdl import Assert, Assume, Cat, Const, Module, ResetSignal, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from gateware.array.element import DotProduct
from gateware.array.layouts import DOT

X_WIDTH = 9  # -128..128: every operand of eight bits is among them
LARGEST_X = 128


def delayed(m: Module, value: Value, cycles: int) -> Value:
    for _ in range(cycles):
        register = Signal(value.shape(), reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value


def once_filled(m: Module, cycles: int) -> Value:
    """Whether what was at the inputs in the first cycle has come through `cycles` registers."""
    return delayed(m, Const(1, 1), cycles)


def spacing(full_range: bool) -> int:
    return 16 if full_range else 17


def least(full_range: bool) -> int:
    """The least packed operand."""
    return -128 if full_range else -127


class SpiedProducts(DotProduct):
    """Shows what its multipliers multiply."""

    def __init__(self, pack: int, full_range: bool, x_width: int) -> None:
        width = 25 if pack == 2 else 8
        self.operands = [Signal(signed(width), name=f"spied_operand_{k}") for k in range(DOT)]
        self.shared = [Signal(signed(x_width), name=f"spied_x_{k}") for k in range(DOT)]
        super().__init__(pack, x_width, full_range)

    def _multiply(self, m: Module, k: int, operand: Value, shared: Value) -> Value:
        m.d.comb += [self.operands[k].eq(operand), self.shared[k].eq(shared)]
        return super()._multiply(m, k, operand, shared)


class Operands(wiring.Component):
    """Step 1a: product k is of the operands of place k, packed with the form's spacing.

    `order` is which place they are brought to.
    """

    def __init__(
        self, pack: int, full_range: bool, order: tuple[int, ...] = (0, 1, 2, 3), x_width: int = X_WIDTH
    ) -> None:
        self.dut, self.order = SpiedProducts(pack, full_range, x_width), order
        super().__init__({"x": In(self.dut.x.shape()), "w": In(self.dut.w.shape())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self.dut
        for k, place in enumerate(self.order):
            w = [self.w[lane][k] for lane in range(dut.pack)]
            m.d.comb += [dut.x[place].eq(self.x[k]), *(dut.w[lane][place].eq(w[lane]) for lane in range(dut.pack))]
            packed = (w[1] << spacing(dut.full_range)) + w[0] if dut.pack == 2 else w[0]
            shared = delayed(m, self.x[k], 2)
            operand = delayed(m, packed[: len(dut.operands[k])].as_signed(), 2)
            with m.If(once_filled(m, 2)):
                m.d.comb += Assert((dut.shared[k] == shared) & (dut.operands[k] == operand))
        return m


class PackedProduct(wiring.Component):
    """Step 1b, for values of x from `first` on, one a cycle, and every pair of packed operands."""

    def __init__(self, full_range: bool, first: int, least_w: int) -> None:
        self.full_range, self.first, self.least_w = full_range, first, least_w
        super().__init__({"w": In(data.ArrayLayout(signed(8), 2))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [Assume(~ResetSignal()), *(Assume(self.w[lane] >= self.least_w) for lane in range(2))]
        x = Signal(signed(X_WIDTH), init=self.first)
        m.d.sync += x.eq(x + 1)
        operand, product = Signal(signed(25)), Signal(signed(43))
        h, l = Signal(signed(18)), Signal(signed(18))
        m.d.comb += [operand.eq((self.w[1] << spacing(self.full_range)) + self.w[0])]
        m.d.comb += [product.eq(DotProduct._multiply(self, m, 0, operand, x)), h.eq(self.w[1] * x), l.eq(self.w[0] * x)]
        m.d.comb += Assert(product == (h << spacing(self.full_range)) + l)
        m.d.comb += Assert(h[0] == self.w[1][0] & x[0])
        return m


class FreeProducts(DotProduct):
    """Its products are whatever is driven to `products`, and `totals[k]` is what product k is added to."""

    def __init__(self, pack: int, full_range: bool, x_width: int = X_WIDTH) -> None:
        self.products = [Signal(signed(43), name=f"free_product_{k}") for k in range(DOT)]
        self.totals = [Signal(signed(36), name=f"total_{k}") for k in range(DOT)]
        super().__init__(pack, x_width, full_range)

    def _multiply(self, m: Module, k: int, operand: Value, shared: Value) -> Value:
        return self.products[k]

    def _add(self, m: Module, k: int, product: Value, total: Value) -> Value:
        m.d.comb += self.totals[k].eq(total)
        return super()._add(m, k, product, total)


class SumOfProducts(wiring.Component):
    """Step 2: the sum starts from ``-offset`` and grows by one product a cycle; it ends, whole, at the output.

    `order` is which product is added when.
    """

    def __init__(self, pack: int, full_range: bool, order: tuple[int, ...] = (0, 1, 2, 3)) -> None:
        self.pack, self.full_range, self.order = pack, full_range, order
        super().__init__({"products": In(data.ArrayLayout(signed(43), DOT))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = FreeProducts(self.pack, self.full_range)
        m.d.comb += Assert(dut.totals[0] == -dut.offset)
        s = spacing(self.full_range)
        end: Value = Cat(dut.p[0][:s], dut.p[1]) if self.pack == 2 else Cat(dut.p[0])
        for k in range(DOT):
            m.d.comb += dut.products[k].eq(self.products[self.order[k]])
            following = end if k == DOT - 1 else dut.totals[k + 1][: 36 if self.pack == 2 else 18]
            expected = delayed(m, self.products[k], 2) + delayed(m, dut.totals[k], 1)
            with m.If(once_filled(m, 2)):
                m.d.comb += Assert(following == expected[: len(following)])
        return m


class PackedSum(wiring.Component):
    """Step 3: a packed product more, and the packed sum is still that of the lanes' sums, modulo its 36 bits."""

    def __init__(self, full_range: bool, wrong_spacing: bool = False) -> None:
        self.spacing = spacing(full_range)
        self.other_spacing = self.spacing + wrong_spacing
        super().__init__({"h": In(signed(18)), "l": In(signed(18))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        packed, high, low = Signal(signed(36)), Signal(signed(20)), Signal(signed(36))
        m.d.sync += [
            packed.eq(packed + (self.h << self.other_spacing) + self.l),
            high.eq(high + self.h),
            low.eq(low + self.l),
        ]
        m.d.comb += Assert(packed == ((high << self.spacing) + low)[:36].as_signed())
        return m


class FieldsOfTheSum(wiring.Component):
    """Step 4, the sum being the first product and the others 0, and `odd` whether each one's high part is odd.

    `most` is what the magnitudes of four x may sum to, `precondition` whether the one sum is excluded that the full
    range's form excludes, `late` a mistake: the parity's operands one cycle late.
    """

    def __init__(
        self,
        full_range: bool,
        least_w: int,
        *,
        most: int = DOT * LARGEST_X,
        x_width: int = X_WIDTH,
        precondition: bool = True,
        late: bool = False,
    ) -> None:
        self.full_range, self.bound, self.x_width, self.precondition, self.late = (
            full_range,
            -most * least_w,
            x_width,
            precondition,
            late,
        )
        super().__init__({"high": In(signed(18)), "low": In(signed(18)), "odd": In(DOT)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = FreeProducts(2, self.full_range, self.x_width)
        m.d.comb += [Assume(~ResetSignal()), Assume(self.odd.xor() == self.high[0])]
        for total in (self.high, self.low):
            m.d.comb += Assume((total >= -self.bound) & (total <= self.bound))
        if self.precondition and self.full_range:
            m.d.comb += Assume(self.low != -self.bound)
        # A product is there two cycles after its operands.
        product = (self.high << spacing(self.full_range)) + self.low
        m.d.comb += dut.products[0].eq(delayed(m, product, 2))
        for k in range(DOT):
            m.d.comb += [dut.x[k].eq(delayed(m, self.odd[k], k + self.late)), dut.w[1][k].eq(1)]
        low, high = (delayed(m, total, DotProduct.LATENCY) for total in (self.low, self.high))
        with m.If(once_filled(m, DotProduct.LATENCY)):
            m.d.comb += Assert(dut.p[0] + dut.offset == low)
            m.d.comb += Assert(dut.p[1] + dut.carry == high)
        return m
