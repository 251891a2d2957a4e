"""Two blocks of scores, and the maximum of each of their rows."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.delay import delay_line, delayed
from gateware.contracts import Shared, watched
from gateware.softmax.layouts import score_signature, words

__all__ = ["ScoreMemory", "score_memory"]


def score_memory(address_bits: int) -> Shared:
    """The score memory as operations share it, by words; a word's address is its column, row and block."""
    return Shared("scores", 1 << address_bits)


class ScoreMemory(wiring.Component):
    """Score words in block RAM, row maxima in LUT memory, kept up to date while the scores arrive.

    One word in and one word out a cycle, in any order of rows. Word 0 of a row begins a new maximum. A maximum counts
    a word from `LATENCY` cycles after its write on.

    Parameters
    ----------
    rows, max_length : int
        Of a block; ``max_length`` a multiple of 4. The memory has ``2 * 2^k * 2^j`` words of 36 bits, with
        ``2^k >= rows`` and ``2^j >= max_length / 4``.

    Members
    -------
    scores : In(score_signature)
    half, row, word : In
        What to read.
    read : In(1)
        Read the word; it is in ``data`` and ``mask`` one cycle later and until the next read.
    data, mask : Out
    maximum : Out(signed(8))
        Maximum of ``row`` of ``half``, in the same cycle; -128 where everything is masked.

    Attributes
    ----------
    counting : Signal
        Where contracts are watched: a word is on its way to ``maximum``.
    """

    LATENCY = 4

    def __init__(self, rows: int, max_length: int) -> None:
        self.rows, self.max_length = rows, max_length
        self.counting = Signal()
        port = score_signature(rows, max_length)
        super().__init__(
            {
                "scores": In(port),
                "half": In(1),
                "row": In(range(rows)),
                "word": In(range(words(max_length))),
                "read": In(1),
                "data": Out(port.members["data"].shape),
                "mask": Out(4),
                "maximum": Out(signed(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        scores = self.scores
        depth = 1 << len(Cat(self.half, self.row, self.word))
        m.submodules.ram = ram = memory.Memory(shape=36, depth=depth, init=[], attrs={"ram_style": "block"})
        writer, reader = ram.write_port(), ram.read_port()
        m.d.comb += [
            writer.addr.eq(Cat(scores.word, scores.row, scores.half)),
            writer.data.eq(Cat(scores.data, scores.mask)),
            writer.en.eq(scores.valid),
            reader.addr.eq(Cat(self.word, self.row, self.half)),
            reader.en.eq(self.read),
            Cat(self.data, self.mask).eq(reader.data),
        ]

        # Masked scores and those past the end become -128, which never raises a maximum. The sign bit is inverted, so
        # that scores compare as unsigned numbers and -128 is 0.
        full_words, columns = scores.length[2:], scores.length[:2]
        candidates: list[Value] = []
        for column in range(4):
            candidate = Signal(8, name=f"candidate_{column}", reset_less=True)
            inside = (scores.word < full_words) | ((scores.word == full_words) & (columns > column))
            value = scores.data[column].as_unsigned() ^ 0x80
            m.d.sync += candidate.eq(Mux(inside & ~scores.mask[column], value, 0))
            candidates.append(candidate)
        for level in (1, 2):
            greater = [
                Signal(8, name=f"greater_{level}_{index}", reset_less=True) for index in range(len(candidates) // 2)
            ]
            for target, left, right in zip(greater, candidates[::2], candidates[1::2], strict=True):
                m.d.sync += target.eq(Mux(left > right, left, right))
            candidates = list(greater)
        steps = self.LATENCY - 1
        valids = delay_line(m, scores.valid, steps, "valid", reset=True)
        rows = delay_line(m, Cat(scores.row, scores.half), steps, "row")
        valid, row, first = valids[-1], rows[-1], delayed(m, scores.word == 0, steps, "first")
        if watched(platform):
            wanted = Cat(self.row, self.half)
            on_the_way = [here & (place == wanted) for here, place in zip(valids, rows, strict=True)]
            m.d.comb += self.counting.eq(Cat(on_the_way).any())

        # Read, compare and write within one cycle: the next word may be of the same row.
        m.submodules.maxima = maxima = memory.Memory(
            shape=8, depth=1 << len(row), init=[], attrs={"ram_style": "distributed"}
        )
        updater, before, after = maxima.write_port(), maxima.read_port(domain="comb"), maxima.read_port(domain="comb")
        m.d.comb += [
            before.addr.eq(row),
            updater.addr.eq(row),
            updater.data.eq(candidates[0]),
            updater.en.eq(valid & (first | (candidates[0] > before.data))),
            after.addr.eq(Cat(self.row, self.half)),
            self.maximum.eq((after.data ^ 0x80).as_signed()),
        ]
        return m
