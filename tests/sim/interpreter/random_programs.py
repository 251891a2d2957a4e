"""Legal programs of random operations: loads of every kind, matmuls in every mode, attention, in pairs that overlap."""

from __future__ import annotations

import numpy as np

from firmware.program.layout import slab_beats
from gateware.config import in_halves
from gateware.isa import Engine, LoadTarget, PostMode, Transform
from sim.reference.rescale import Dyadic
from sim.reference.rounding import ceil_div
from tests.sim.interpreter.interpreter_bench import ROW, factors, int8, product_steps
from tests.sim.interpreter.random_rounds import RandomRounds, Registers

# Semaphores beside those of loads and buffers.
RESULT, NORM_LOADED, NORM_READ, MAXIMA_READ, SCORED, SOFTMAX = 5, 6, 7, 8, 9, 10
SIZES = {PostMode.RAW: 4, PostMode.Q8: 1, PostMode.Q16: 2, PostMode.RESIDUAL: 2}
LEAST = -(2**31) + 1
SCATTERED_ROWS = 64  # of a matrix that rows are scattered over
MASK = -24576  # as a bias


class RandomProgram(RandomRounds):
    """Rounds of every kind, in any order."""

    def rounds_of(self, kinds: list[str]) -> int:
        """Emits rounds, and the program; returns its address."""
        for kind in kinds:
            getattr(self, kind)()
            self.rounds += 1
        program = self.bench.program
        program.end()
        return self.bench.place(program.words().view(np.uint8))

    def matmul(self) -> None:
        """Any mode, of any shape, anywhere in a matrix."""
        self.begin()
        rows, steps, tiles = self.shape()
        mode = PostMode(self.draw(0, 3))
        stride = self.operands(rows, steps, tiles)
        as_int8 = self.draw(0, 1) if mode in (PostMode.Q16, PostMode.RESIDUAL) else 0
        scatter = self.draw(0, 1) if mode is PostMode.Q8 else 0
        limit = 127 if mode is PostMode.Q8 or as_int8 else 32767
        registers: Registers = {
            "A_BLOCK_STRIDE": stride,
            "POST": {
                "mode": mode,
                "clamp_packed": self.draw(0, 1) if limit == 127 else 0,
                "int8": as_int8,
                "scatter": scatter,
            },
            "CONST_BASE": self.constants(4 * tiles, limit, 30000.0 * steps**0.5),
            **(self.scattered(rows, tiles) if scatter else self.results(rows, tiles, SIZES[mode])),
        }
        if mode is PostMode.RESIDUAL:
            branch, skip = (factors(self.rng, 1, 32768, 20000, self.config.multiplier_bits) for _ in range(2))
            row = self.draw(0, 6)
            matrix = self.rng.integers(-32768, 32768, (row + rows, 8 * (tiles // 2 + 2)))
            registers |= {
                "SKIP_BASE": self.bench.matrix(matrix, 2) + 2 * self.draw(0, 1),
                "SKIP_SLAB": slab_beats(row + rows),
                "SKIP_ROW": row,
                **_residual(branch, skip),
            }
        self.execute((rows, steps, tiles), registers, **self.free())

    def scattered(self, rows: int, tiles: int) -> Registers:
        """A part of the row map that belongs to this half of the buffers, and a place for rows all over a matrix."""
        part = self.config.max_rows // 2
        first = self.half * part + self.draw(0, part - rows)
        beats = np.zeros((rows, 4), "<u4")
        beats[:, 0] = self.rng.permutation(SCATTERED_ROWS)[:rows]
        self.bench.load(
            Engine.LOADB,
            (self.bench.place(beats.reshape(-1).view(np.uint8)), [(rows, 1)]),
            (first, [(rows, 1)]),
            self.loaded(),
            CONFIG={"target": LoadTarget.ROW_MAP},
        )
        slab, column = slab_beats(SCATTERED_ROWS), self.draw(0, 3)
        out = self.bench.room((1 + tiles // 4 + 1) * slab) + column
        return {"OUT_BASE": out, "OUT_SLAB": slab, "OUT_ROW": first + self.config.max_rows * self.draw(0, 1)}

    def layernorm(self) -> None:
        """Rows of a matrix through LayerNorm to A, then a product."""
        self.begin()
        channels, groups = 16 * self.draw(1, min(4, self.config.ln_channels // 16)), self.draw(1, 3)
        steps, tiles = channels // 4, self.draw(1, 8)
        rows, narrow = 4 * groups, self.draw(0, 1)
        limit = 128 if narrow else 32768
        x = self.rng.integers(-limit, limit, (rows, channels)) >> self.rng.integers(0, 8, (rows, 1))
        base = self.bench.matrix(x, 2 - narrow)
        if self.norms:
            self.bench.program.wait(Engine.LOADB, NORM_READ)
        bias = self.rng.integers(LEAST, 2**31, channels)
        wide = self.draw(0, 1)
        factor = factors(self.rng, channels, 2**31, 32767 if wide else 127, self.config.multiplier_bits)
        self.bench.load_constants(bias, factor, target=LoadTarget.LAYERNORM, done=NORM_LOADED)
        self.bench.program.wait(Engine.LOADT, NORM_LOADED)
        slabs = channels * (2 - narrow) // 16
        self.bench.load(
            Engine.LOADT,
            (base, [(4, 1), (slabs, slab_beats(rows)), (groups, 4)]),
            (0, [(steps, 1), (groups, 4 * ROW)]),
            self.loaded(),
            A_BASE=self.place(self.config.a_depth),
            A_BLOCK_STRIDE=steps,
            CONFIG={
                "target": LoadTarget.A,
                "transform": Transform.LAYERNORM,
                "narrow": narrow,
                "wide": wide,
                "low": self.draw(0, 1),
                "row_limit": rows,
            },
            GROUPS={"groups": groups, "channels": channels},
        )
        self.bench.program.signal(Engine.LOADT, NORM_READ)
        self.norms += 1
        self.weights(steps, tiles)
        self.product(rows, steps, tiles)

    def product(self, rows: int, steps: int, tiles: int) -> None:
        """Q16 of what the loads of this round brought."""
        registers: Registers = {
            "POST": {"mode": PostMode.Q16},
            "CONST_BASE": self.constants(4 * tiles, 32767, 30000.0 * steps**0.5),
            **self.results(rows, tiles, 2),
        }
        self.execute((rows, steps, tiles), registers, **self.free())

    def shiftgelu(self) -> None:
        """A product whose rows' maxima are tracked, back through ShiftGELU into A, and a product of that."""
        self.begin()
        steps, tiles = self.draw(1, 8), 4 * self.draw(1, 2)
        groups = self.draw(1, 3)
        rows, channels = 4 * groups, 4 * tiles
        stride = self.operands(rows, steps, tiles)
        slab = slab_beats(rows)
        out = self.bench.room(tiles // 4 * slab)
        registers: Registers = {
            "A_BLOCK_STRIDE": stride,
            "POST": {"mode": PostMode.Q8, "track_max": 1, "max_first": 1},
            "CONST_BASE": self.constants(channels, 127, 30000.0 * steps**0.5),
            "OUT_BASE": out,
            "OUT_SLAB": slab,
        }
        if self.tracked:
            self.bench.program.wait(Engine.EXEC, MAXIMA_READ)
        self.execute((rows, steps, tiles), registers, written=RESULT, **self.free())
        self.tracked += 1
        # The second round.
        self.rounds += 1
        self.begin()
        program, bits = self.bench.program, self.config.multiplier_bits
        program.wait(Engine.LOADT, RESULT)
        factor = factors(self.rng, 1, 127 * 128, 127, bits)
        multiplier, shift = int(factor.multiplier[0]), int(factor.shift[0])
        again, more = channels // 4, self.draw(1, 8)
        self.bench.load(
            Engine.LOADT,
            (out, [(4, 1), (channels // 16, slab), (groups, 4)]),
            (0, [(again, 1), (groups, 4 * ROW)]),
            self.loaded(),
            A_BASE=self.place(self.config.a_depth),
            A_BLOCK_STRIDE=again,
            CONFIG={"target": LoadTarget.A, "transform": Transform.SHIFTGELU, "row_limit": rows},
            GROUPS={"groups": groups, "channels": channels},
            MAX_GROUP=0,
            GELU_CONFIG={"x0": self.draw(1, 255), "shift": shift},
            MULTIPLIER_LO=multiplier & 0xFFFFFF,
            MULTIPLIER_HI=multiplier >> 24 & 0xFF,
        )
        program.signal(Engine.LOADT, MAXIMA_READ)
        self.weights(again, more)
        self.product(rows, again, more)

    def biased(self, rows: int, words: int, length: int) -> Registers:
        """What makes of scores a residual in int8: a bias for each of them, or what masks it."""
        row = self.draw(0, 6)
        table = self.rng.integers(-300, 300, (row + rows, 8 * ceil_div(words, 2)))
        masked = self.rng.random(table.shape) < self.draw(0, 9) / 10
        masked[np.arange(len(table)), self.rng.integers(0, length, len(table))] = False
        branch = factors(self.rng, 1, 128, 127, self.config.multiplier_bits)
        return {
            "POST": {"mode": PostMode.RESIDUAL, "to_scores": 1, "int8": 1},
            "SKIP_BASE": self.bench.matrix(np.where(masked, MASK, table), 2),
            "SKIP_SLAB": slab_beats(row + rows),
            "SKIP_ROW": row,
            **_residual(branch, Dyadic(np.array([1]), np.array([0]))),
        }

    def attention(self) -> None:
        """Scores of a block or two, Shiftmax, and the product with V, which comes transposed or not."""
        self.begin()
        r, steps = self.config.rows, self.draw(1, 8)
        blocks, words = self.draw(1, 2), self.draw(1, 8)
        rows, length = (blocks - 1) * r + self.draw(1, r), 4 * words - self.draw(0, 3)
        wide = in_halves(self.config.probability_bits)
        self.bench.load_a(int8(self.rng, rows, 4 * steps), self.place(self.config.a_depth), steps, self.loaded())
        self.weights(steps, words)
        v_place, v_tiles = self.place(self.config.b_depth) + words * steps, self.draw(1, 4)
        values = int8(self.rng, 4 * v_tiles, 4 * words)
        self.bench.load(
            Engine.LOADB,
            (self.bench.place(values.astype(np.int8).reshape(-1).view(np.uint8)), [(v_tiles * words, 1)]),
            (v_place, [(v_tiles * words, 1)]),
            self.loaded(),
            CONFIG={"target": LoadTarget.B, "transform": self.draw(0, 1) * Transform.TRANSPOSE},
        )
        constants = self.constants(4 * words, 127, 30000.0 * steps**0.5)
        registers: Registers = {
            "POST": {"mode": PostMode.Q8, "to_scores": 1},
            "CONST_BASE": constants,
            "SCORE_LENGTH": length,
        }
        if self.draw(0, 1):
            registers |= self.biased(rows, words, length)
        self.execute((rows, steps, words), registers, written=SCORED)
        program = self.bench.program
        program.wait(Engine.VEC, SCORED)
        p_place = self.place(self.config.a_depth) + blocks * steps
        for block in range(blocks):
            height = r if block < blocks - 1 else rows - (blocks - 1) * r
            place = p_place + block * words * (1 + wide)
            self.bench.registers(
                Engine.VEC,
                {
                    "X0": self.draw(1, 2**self.config.softmax_x0_bits - 1),
                    "LENGTH": length,
                    "ROWS": height,
                    "A_BASE": place,
                    "A_LOW": words,
                },
            )
            program.run(Engine.VEC, done=SOFTMAX)
            program.wait(Engine.EXEC, SOFTMAX)
            registers = {
                "A_BASE": place,
                "B_BASE": v_place,
                "STEPS": product_steps(self.config, words),
                "POST": {"mode": PostMode.Q8},
                "CONST_BASE": constants,
                "CONST_TILE_STRIDE": 0,
                **self.results(height, v_tiles, 1),
            }
            last = self.free() if block == blocks - 1 else {}
            self.execute((height, words, v_tiles), {**registers, "B_TILE_STRIDE": words}, **last)


KINDS = ("matmul", "layernorm", "shiftgelu", "attention")


def _residual(branch: Dyadic, skip: Dyadic) -> Registers:
    """The factors of a residual."""
    registers: Registers = {"SHIFTS": {"branch": int(branch.shift[0]), "skip": int(skip.shift[0])}}
    for name, factor in (("BRANCH", branch), ("SKIP", skip)):
        multiplier = int(factor.multiplier[0])
        registers |= {f"{name}_LO": multiplier & 0xFFFFFF, f"{name}_HI": multiplier >> 24 & 0xFF}
    return registers
