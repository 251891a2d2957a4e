"""The A buffer: one bank a row of the array, written by rotated beats or by single words."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.arith.delay import delay_line, delayed
from gateware.arith.soft_product import constant_product, soft_product
from gateware.config import BEAT_BITS, LANE_BYTES, LANES
from gateware.contracts import NUMBER_BITS, Ended, Shared, require, watched, writes
from sim.reference.rounding import ceil_div

__all__ = ["K_BITS", "OperandA", "beat_write_layout", "operand_a", "word_write_layout"]

ROW_BITS = 12
K_BITS = 10


def operand_a(depth: int, rows: int) -> Shared:
    """The buffer as operations share it, by addresses; a bank is a lane."""
    return Shared("operand A", depth, rows)


def beat_write_layout(depth: int) -> data.StructLayout:
    """A beat on its way into A: lane l goes to row ``row + l``, step ``k``, of the region at ``base``."""
    address = (depth - 1).bit_length()
    return data.StructLayout(
        {
            "beat": BEAT_BITS,
            "k": K_BITS,
            "row": signed(ROW_BITS),
            "row_limit": ROW_BITS,
            "base": address,
            "stride": address,
        }
    )


def word_write_layout(rows: int, depth: int, x_width: int) -> data.StructLayout:
    """One word (four elements) for one bank."""
    return data.StructLayout(
        {
            "word": data.ArrayLayout(signed(x_width), LANE_BYTES),
            "bank": range(rows),
            "address": (depth - 1).bit_length(),
        }
    )


def _divider_constants(rows: int) -> tuple[int, int]:
    """(m, s) with ``(row * m) >> s == row // rows`` for every row that lane 0 may have."""
    for shift in range(4, 24):
        multiplier = ceil_div(1 << shift, rows)
        if all((row * multiplier) >> shift == row // rows for row in range(-LANES, 1 << (ROW_BITS - 1))):
            return multiplier, shift
    raise AssertionError(f"no reciprocal of {rows}")  # 2^23 / rows is exact enough for every rows up to 64


class OperandA(wiring.Component):
    """``rows`` banks of ``depth`` words of four elements; a read gives one word of every bank.

    Row r of a region lies in bank ``r mod rows`` at ``base + (r div rows) * stride + k``. A beat (four rows, one
    step) or a word is written a cycle, words first; it can be read 7 cycles after it was taken. A read takes 2 cycles.

    Parameters
    ----------
    rows, depth : int
        Banks, words a bank.
    x_width : int
        Bits of an element: 8, or 9; int8 is extended.
    read_domain : str
        Of ``address`` and ``data``, and whose cycles a read takes.

    Members
    -------
    beat : In(stream of beat_write_layout(depth))
    word : In(stream of word_write_layout(rows, depth, x_width))
    address : In
        Read address, common to all banks.
    data : Out(rows x 4 x signed(x_width))
        What stood at the address two cycles ago.

    Attributes
    ----------
    beat_number, word_number : Signal
        Where contracts are watched: the operations of ``beat`` and ``word``.
    ended : list of Ended
        There, the operations that write beats and words, as they are said to be over.
    """

    WRITE_LATENCY = 7

    def __init__(self, rows: int, depth: int, x_width: int = 8, read_domain: str = "sync") -> None:
        require_range("OperandA", "rows", rows, LANES, 64)
        require_range("OperandA", "depth", depth, 2, 1 << 16)
        require_range("OperandA", "x_width", x_width, 8, 9)
        self.rows, self.depth, self.x_width, self.read_domain = rows, depth, x_width, read_domain
        self.word_layout = data.ArrayLayout(signed(x_width), LANE_BYTES)
        self.beat_number, self.word_number = Signal(NUMBER_BITS), Signal(NUMBER_BITS)
        self.ended = [Ended("beat"), Ended("word")]
        super().__init__(
            {
                "beat": In(stream.Signature(beat_write_layout(depth))),
                "word": In(stream.Signature(word_write_layout(rows, depth, x_width))),
                "address": In(range(depth)),
                "data": Out(data.ArrayLayout(self.word_layout, rows)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        address_bits = (self.depth - 1).bit_length()
        multiplier, shift = _divider_constants(self.rows)
        entry, word_here = self._entry(m)
        inside, lanes_layout = entry.shape(), data.ArrayLayout(self.word_layout, LANES)

        # Row to block and bank.
        valids = delay_line(m, self.beat.valid | word_here, 4, "valid", reset=True)
        valid = valids[-1]
        first = Signal(inside, reset_less=True)
        product = Signal(signed(ROW_BITS + multiplier.bit_length() + 1), reset_less=True)
        m.d.sync += [
            first.eq(entry),
            product.eq(constant_product(entry.row, multiplier)),
        ]
        second = Signal(inside, reset_less=True)
        block = Signal(signed(ROW_BITS), reset_less=True)
        # Blocks from that of row -LANES to that of the last row.
        block_bits = ((1 << ROW_BITS - 1) // self.rows).bit_length() + 1
        m.d.sync += [second.eq(first), block.eq(product >> shift)]
        start, limit_room = Signal(range(self.rows), reset_less=True), Signal(signed(ROW_BITS + 1), reset_less=True)
        lanes, single = Signal(lanes_layout, reset_less=True), Signal(reset_less=True)
        offset, stride = Signal(address_bits, reset_less=True), Signal(address_bits, reset_less=True)
        base_k = Signal(address_bits, reset_less=True)
        negative = Signal(signed(ROW_BITS), reset_less=True)
        m.d.sync += [
            start.eq((second.row - constant_product(block, self.rows))[: start.shape().width]),
            limit_room.eq(second.row_limit - second.row),
            negative.eq(second.row),
            lanes.eq(second.lanes),
            single.eq(second.single),
            offset.eq(soft_product(block[:block_bits].as_signed(), second.stride, address_bits)),
            stride.eq(second.stride),
            base_k.eq(second.base + second.k),
        ]
        address, address_next = Signal(address_bits, reset_less=True), Signal(address_bits, reset_less=True)
        start_rotated, enables = Signal.like(start, reset_less=True), Signal(LANES)
        counts = Cat((limit_room > lane) & (negative + lane >= 0) for lane in range(LANES))
        m.d.sync += [
            start_rotated.eq(start),
            address.eq(base_k + offset),
            address_next.eq(base_k + offset + stride),
            enables.eq(Mux(single, 1, counts)),
        ]

        # Place p of `rotated` holds lane (p - start) mod 4; bank b takes lane (b - start) mod rows, if there is one.
        rotated = Signal(lanes_layout, reset_less=True)
        for place in range(LANES):
            m.d.sync += rotated[place].eq(Array(lanes[(place - s) % LANES].as_value() for s in range(LANES))[start[:2]])
        addresses = (address, address_next)
        landed = [
            self._elaborate_bank(m, bank, rotated, start_rotated, enables, valid, addresses)
            for bank in range(self.rows)
        ]
        if watched(platform):
            hits, overs = (Cat(bank[index] for bank in landed) for index in range(2))
            self._watch(m, platform, word_here, valids, hits, overs, addresses)
        return m

    def _entry(self, m: Module) -> tuple[data.View, Signal]:
        """The beat or the word that enters, and whether it is a word."""
        address_bits = (self.depth - 1).bit_length()
        # A word enters as a beat with one lane, whose row is its bank. It waits a cycle, so that the beat that would
        # meet it is held up by a register.
        word, word_here = Signal(self.word.payload.shape(), reset_less=True), Signal()
        m.d.sync += [word.eq(self.word.payload), word_here.eq(self.word.valid)]
        m.d.comb += [self.word.ready.eq(1), self.beat.ready.eq(~word_here)]
        inside = data.StructLayout(
            {
                "lanes": data.ArrayLayout(self.word_layout, LANES),
                "single": 1,
                "k": K_BITS,
                "row": signed(ROW_BITS),
                "row_limit": ROW_BITS,
                "base": address_bits,
                "stride": address_bits,
            }
        )
        beat, entry = self.beat.payload, Signal(inside)
        m.d.comb += [
            entry.single.eq(word_here),
            entry.row.eq(Mux(word_here, word.bank, beat.row)),
            entry.row_limit.eq(beat.row_limit),
            entry.stride.eq(beat.stride),
        ]
        elements = data.ArrayLayout(data.ArrayLayout(signed(8), LANE_BYTES), LANES)(beat.beat)
        for lane in range(LANES):
            for element in range(LANE_BYTES):
                m.d.comb += entry.lanes[lane][element].eq(elements[lane][element])
        with m.If(word_here):
            m.d.comb += [entry.lanes[0].eq(word.word), entry.base.eq(word.address), entry.k.eq(0)]
        with m.Else():
            m.d.comb += [entry.base.eq(beat.base), entry.k.eq(beat.k)]
        return entry, word_here

    def _elaborate_bank(
        self,
        m: Module,
        bank: int,
        rotated: data.View,
        start_rotated: Value,
        enables: Value,
        valid: Value,
        addresses: tuple[Signal, Signal],
    ) -> tuple[Signal, Signal]:
        """A bank, and what is written there: whether something is, and whether it lies in the block after."""
        m.submodules[f"bank_{bank}"] = ram = memory.Memory(
            shape=self.word_layout, depth=self.depth, init=[], attrs={"ram_style": "block"}
        )
        writer, reader = ram.write_port(), ram.read_port(domain=self.read_domain)
        lane_of = [(bank - s) % self.rows for s in range(self.rows)]
        wraps = [bank < s for s in range(self.rows)]
        hit = Signal(name=f"hit_{bank}")
        m.d.comb += hit.eq(Array(enables[lane] if lane < LANES else 0 for lane in lane_of)[start_rotated] & valid)
        over = Signal(name=f"over_{bank}")
        m.d.comb += over.eq(Array(wraps)[start_rotated])
        plain, wrapped = rotated[bank % LANES], rotated[(bank + self.rows) % LANES]
        write_data = Signal(self.word_layout, name=f"write_data_{bank}", reset_less=True)
        write_address = Signal(len(addresses[0]), name=f"write_address_{bank}", reset_less=True)
        write_enable = Signal(name=f"write_enable_{bank}")
        m.d.sync += [
            write_data.eq(plain if bank >= LANES - 1 else Mux(over, wrapped.as_value(), plain.as_value())),
            write_address.eq(Mux(over, addresses[1], addresses[0])),
            write_enable.eq(hit),
        ]
        m.d.comb += [
            writer.en.eq(write_enable),
            writer.addr.eq(write_address),
            writer.data.eq(write_data),
            reader.addr.eq(self.address),
        ]
        out = Signal(self.word_layout, name=f"out_{bank}", reset_less=True)
        m.d[self.read_domain] += out.eq(reader.data)
        m.d.comb += self.data[bank].eq(out)
        return hit, over

    def _watch(
        self,
        m: Module,
        platform: object,
        word_here: Signal,
        valids: list[Signal],
        hits: Value,
        overs: Value,
        addresses: tuple[Signal, Signal],
    ) -> None:
        """What reaches the banks, of which operation. Beside each register on the way goes the operation's number."""
        waiting, number = Signal(NUMBER_BITS), Signal(NUMBER_BITS)
        m.d.sync += waiting.eq(self.word_number)
        m.d.comb += number.eq(Mux(word_here, waiting, self.beat_number))
        numbers = delay_line(m, number, len(valids), "number")
        banks = operand_a(self.depth, self.rows)
        landing = delayed(m, valids[-1], 1, "landing", reset=True)
        for end in self.ended:
            under_way = zip([*valids, landing], numbers, strict=True)
            late = Cat(here & (number == end.number) for here, number in under_way).any()
            require(
                m, platform, self, f"an operation that writes a {end.who} ends when it can be read", ~(end.told & late)
            )
        for name, address, lanes in zip(("lower", "upper"), addresses, (hits & ~overs, hits & overs), strict=True):
            place = Signal(len(address), name=f"address_{name}")
            written = Signal(self.rows, name=f"written_{name}")
            m.d.sync += [place.eq(address), written.eq(lanes)]
            writes(m, platform, banks, "a load or VEC", written.any(), numbers[-1], place, written)
