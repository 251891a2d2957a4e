"""The records that go into Shiftmax, through it, and out of it."""

from amaranth.hdl import Shape, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from gateware.config import in_halves

__all__ = ["descriptor_layout", "job_layout", "pair_layout", "probability_layout", "score_signature", "words"]


def words(max_length: int) -> int:
    """Words of four columns in the longest row."""
    return max_length // 4


def score_signature(rows: int, max_length: int) -> wiring.Signature:
    """A write port of the scores, seen from who writes: in every cycle with ``valid`` the four columns
    ``4 * word .. 4 * word + 3`` of one row, the lowest column first; a set bit of ``mask`` masks its column. Columns of
    the row from ``length`` on take no part in its maximum.
    """
    return wiring.Signature(
        {
            "valid": Out(1),
            "half": Out(1),
            "row": Out(range(rows)),
            "word": Out(range(words(max_length))),
            "data": Out(data.ArrayLayout(signed(8), 4)),
            "mask": Out(4),
            "length": Out(range(max_length + 1)),
        }
    )


def job_layout(rows: int, max_length: int, x0_bits: int) -> data.StructLayout:
    """One block: which half of the score memory, rows, scores a row, ``|x0|`` of the scores' scale."""
    return data.StructLayout(
        {"half": 1, "rows": range(rows + 1), "length": range(max_length + 1), "x0": x0_bits},
    )


def probability_layout(rows: int, max_length: int, bits: int) -> data.StructLayout:
    """Four probabilities of a row; with more than 8 bits, elements have nine. With more than 10 they come as two words,
    ``p = high * 256 + low``: first the one of the ``low`` parts, -128 to 127, then the one of the high parts, 0 to 128.
    ``last`` is the job's last word.
    """
    element = signed(8) if bits == 8 else Shape(9, signed=in_halves(bits))
    return data.StructLayout(
        {
            "row": range(rows),
            "word": range(words(max_length)),
            "data": data.ArrayLayout(element, 4),
            "low": 1,
            "last": 1,
        }
    )


def pair_layout(mantissa_bits: int) -> data.ArrayLayout:
    """Two neighbouring exponentials ``(mantissa << shift) >> 1``."""
    return data.ArrayLayout(data.StructLayout({"mantissa": mantissa_bits, "shift": 4}), 2)


def descriptor_layout(rows: int, max_length: int) -> data.StructLayout:
    """A row on its way: its number, its last word, and whether it is the job's last."""
    return data.StructLayout({"row": range(rows), "last_word": range(words(max_length)), "last": 1})
