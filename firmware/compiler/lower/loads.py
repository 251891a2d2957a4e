"""Builds the loads of a program from what they mean."""

from __future__ import annotations

from collections.abc import Mapping

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.layers import Gelu, Norm, Operand
from firmware.compiler.lower.operations import Access, Operation
from firmware.compiler.lower.records import SHIFT_LIMIT, records
from firmware.compiler.place.maps import PARITIES, merged_strides
from firmware.compiler.place.memory import Memory
from firmware.compiler.place.ring import Ring
from firmware.program.allocation import Allocation
from gateware.config import LANES, AcceleratorConfig
from gateware.isa import DST_COLUMN_BITS, Engine, LoadTarget, Transform, loop_registers

__all__ = ["Loads"]

GROUPS_A_LOAD = 4  # row groups of a load with a transform
PLAIN_GROUPS_A_LOAD = 8


class Loads:
    """Appends operations to a list; keeps the buffers' rings.

    Parameters
    ----------
    config : the machine
    memory : DRAM
    norms : all of the model, in order
    """

    def __init__(self, config: AcceleratorConfig, memory: Memory, norms: list[Norm]) -> None:
        self.config, self.memory = config, memory
        self.operations: list[Operation] = []
        self.a = Ring(config.a_depth, "A")
        self.b = Ring(config.b_depth, "B")
        self.constants = Ring(config.const_depth, "constants")
        self.layer = ""
        self.norms = norms
        self._norm: str | None = None  # whose constants LayerNorm holds
        self._score_blocks = 0
        self.marks: list[str] = []

    def begin(self, layer: str) -> None:
        """What follows belongs to that layer: a mark in the log."""
        self.layer = layer
        self.operations.append(Operation(Engine.EXEC, {}, layer=layer, mark=len(self.marks)))
        self.marks.append(layer)

    def _add(self, engine: Engine, registers: dict[str, int | Mapping[str, int]], accesses: list[Access]) -> None:
        self.operations.append(Operation(engine, registers, accesses, self.layer))

    def _load(
        self,
        engine: Engine,
        source: tuple[int, list[tuple[int, int]]],
        destination: tuple[int, list[tuple[int, int]]],
        registers: dict[str, int | Mapping[str, int]],
        accesses: list[Access],
        rows: tuple[int, int] | None = None,
    ) -> None:
        settings: dict[str, int | Mapping[str, int]] = {"SRC_BASE": source[0], "DST_BASE": destination[0] % (1 << 22)}
        settings.update(loop_registers("SRC", source[1]))
        settings.update(loop_registers("DST", destination[1]))
        settings.update(registers)
        self._add(engine, settings, accesses)
        self.operations[-1].rows = rows

    # What is made offline: weights in order of use, constants.

    def weights_to_b(self, base: int, beats: int, place: int) -> None:
        """Loads consecutive beats into B."""
        self._load(
            Engine.LOADB,
            (base, [(beats, 1)]),
            (place, [(beats, 1)]),
            {"CONFIG": {"target": LoadTarget.B}},
            [Access("B", (place, place + beats), write=True)],
        )

    def constants_to_chip(self, base: int, count: int, what: str) -> int:
        """Loads records into the constant memory; returns where they are."""
        place = self.constants.take(count, what)
        self._load(
            Engine.LOADB,
            (base, [(count, 1)]),
            (place, [(count, 1)]),
            {"CONFIG": {"target": LoadTarget.CONSTANTS}},
            [Access("constants", (place, place + count), write=True)],
        )
        return place

    def norm_ahead(self, after: Operand) -> None:
        """Once a norm's rows are on their way, the constants of the one after it: they must not wait for the weights
        that come first.
        """
        if isinstance(after, Norm):
            position = self.norms.index(after)
            if position + 1 < len(self.norms):
                self.norm_constants(self.norms[position + 1])

    def norm_constants(self, norm: Norm) -> None:
        """LayerNorm's constants, unless it has them already."""
        if self._norm == norm.name:
            return
        channels = len(norm.bias)
        if channels > self.config.ln_channels:
            raise CompileError(
                f"{norm.name}: LayerNorm of {channels} channels, and the machine holds {self.config.ln_channels}; "
                "enlarge ln_channels in the configuration."
            )
        self._norm = norm.name
        octets = records(norm.name, norm.bias, norm.rescale.factor, channels, self.config.multiplier_bits)
        base = self.memory.place(octets, norm.name)
        self._load(
            Engine.LOADB,
            (base, [(channels, 1)]),
            (0, [(channels, 1)]),
            {"CONFIG": {"target": LoadTarget.LAYERNORM}},
            [Access("norm", (0, channels), write=True)],
        )

    # Tensors into the buffers.

    def _transform(self, source: Norm | Gelu | None, channels: int) -> dict[str, int | Mapping[str, int]]:
        if isinstance(source, Norm):
            return {}
        if isinstance(source, Gelu):
            factor = source.rescale.factor.normalised(self.config.multiplier_bits)
            multiplier, shift = int(factor.multiplier), int(factor.shift)
            x0 = source.gelu.step
            if x0 > 255 or not 0 <= shift <= SHIFT_LIMIT:
                raise CompileError(
                    f"{source.name}: ShiftGELU with |x0| = {x0} and a shift of {shift}, and the machine takes |x0| to "
                    f"255 and shifts of 0 to {SHIFT_LIMIT}; quantise again with other calibration images."
                )
            return {
                "GELU_CONFIG": {"x0": x0, "shift": shift},
                "MULTIPLIER_LO": multiplier & 0xFFFFFF,
                "MULTIPLIER_HI": multiplier >> 24 & 0xFF,
            }
        return {}

    def rows_to_a(
        self,
        home: Allocation,
        first: int,
        last: int,
        place: int,
        stride: int,
        source: Norm | Gelu | None = None,
        lower: bool = False,
    ) -> None:
        """Loads rows first .. last-1 of a stored tensor, transformed or not, as blocks of rows at `place`; of a norm of
        16 bits the high bytes, or the low ones.
        """
        g0, g1 = first // LANES, -(-last // LANES)
        step = GROUPS_A_LOAD if source else PLAIN_GROUPS_A_LOAD
        for group in range(g0, g1, step):
            count = min(step, g1 - group)
            offset = LANES * group - first  # of the load's first row in the region; negative where a group is cut
            low, high = max(0, offset), min(last - first, offset + LANES * count)
            r = self.config.rows
            written = Access("A", (place + low // r * stride, place + ((high - 1) // r + 1) * stride), write=True)
            registers: dict[str, int | Mapping[str, int]] = {
                "A_BASE": place,
                "A_BLOCK_STRIDE": stride,
                "CONFIG": {
                    "target": LoadTarget.A,
                    "transform": _kind(source),
                    "row_limit": last - first,
                    **_widths(home, source, lower),
                },
            }
            self._rows(
                home, group, count, source, registers, written, (offset << DST_COLUMN_BITS, LANES << DST_COLUMN_BITS)
            )

    def _rows(
        self,
        home: Allocation,
        group: int,
        count: int,
        source: Norm | Gelu | None,
        registers: dict[str, int | Mapping[str, int]],
        written: Access,
        destination: tuple[int, int],
    ) -> None:
        merged = source.merged_side if isinstance(source, Norm) else None
        rows = (LANES * group, min(home.rows if merged is None else merged**2, LANES * (group + count)))
        base, channels = destination[0], home.columns
        parities, apart, between = 1, 0, LANES
        if merged is not None:
            parities, (apart, between) = PARITIES, merged_strides(2 * merged)
        begin = between * group
        accesses = [
            written,
            *(
                Access(home.name, (start, min(home.rows, start + between * count)), (0, home.columns))
                for start in (begin + parity * apart for parity in range(parities))
            ),
        ]
        channels *= parities
        steps = -(-channels // 4)
        if source is None:
            self._load(
                Engine.LOADT,
                (home.base + 4 * group, [(4 * count, 1), (home.slabs, home.slab)]),
                (base, [(4, 1), (count, destination[1]), (home.slabs, 4)]),
                registers,
                accesses,
            )
            return
        if home.columns * home.size % 16:
            raise CompileError(
                f"{home.name}: rows of {home.columns} channels of {home.size} bytes are no multiple of 16 bytes, as a "
                "transform while loading needs; change the model's width."
            )
        if isinstance(source, Norm):
            self.norm_constants(source)
            accesses.append(Access("norm", (0, channels)))
        else:
            held = group % (self.config.max_rows // LANES)
            registers["MAX_GROUP"] = held
            accesses += self.modulo("maxima", (LANES * group, LANES * (group + count)))
        registers["GROUPS"] = {"groups": count, "channels": channels}
        registers.update(self._transform(source, channels))
        levels = [(4, 1), (home.slabs, home.slab), (parities, apart), (count, between)]
        if merged is None:
            del levels[2]
        self._load(
            Engine.LOADT,
            (home.base + begin, levels),
            (base, [(steps, 1), (count, destination[1])]),
            registers,
            accesses,
            rows,
        )

    def modulo(self, space: str, rows: tuple[int, int], write: bool = False, event: str = "done") -> list[Access]:
        """Accesses to something that is kept for `max_rows` rows, row r at place r modulo that."""
        depth = self.config.max_rows
        if rows[1] - rows[0] > depth:
            raise CompileError(
                f"{self.layer}: the {space} of {rows[1] - rows[0]} rows at a time, and the machine keeps those of "
                f"{depth}; enlarge max_rows in the configuration."
            )
        first, last = rows[0] % depth, (rows[1] - 1) % depth + 1
        spans = [(first, last)] if first < last else [(first, depth), (0, last)]
        return [Access(space, span, write=write, event=event) for span in spans]

    def row_map(self, table: int, rows: tuple[int, int]) -> None:
        """Loads the places of rows first .. last-1 from a table of one beat a row, at most `max_rows` of them."""
        depth = self.config.max_rows
        for access in self.modulo("row map", rows, write=True):
            first, last = access.rows
            source = table + rows[0] + (first - rows[0]) % depth
            self._load(
                Engine.LOADB,
                (source, [(last - first, 1)]),
                (first, [(last - first, 1)]),
                {"CONFIG": {"target": LoadTarget.ROW_MAP}},
                [access],
            )

    def slabs_to_b(
        self,
        home: Allocation,
        rows: tuple[int, int],
        columns: tuple[int, int],
        place: int,
        stride: int,
        transposed: bool = False,
    ) -> None:
        """Loads beat columns (the first a multiple of 4) of rows (the first a multiple of 4) into B.

        As it stands, a row group is a tile and a beat column a step; transposed, a beat column (four columns of int8)
        is a tile and a row group a step.
        """
        first, last = columns
        slabs, groups = -(-(last - first) // 4), -(-(rows[1] - rows[0]) // LANES)
        tiles, within = (4 * slabs, (stride, 1)) if transposed else (groups, (1, stride))
        self._load(
            Engine.LOADB,
            (home.column_base(first) + rows[0], [(4 * groups, 1), (slabs, home.slab)]),
            (place, [(4, within[0]), (groups, within[1]), (slabs, 4 * within[0])]),
            {
                "CONFIG": {
                    "target": LoadTarget.B,
                    "transform": Transform.TRANSPOSE if transposed else Transform.IDENTITY,
                }
            },
            [
                Access("B", (place, place + tiles * stride), write=True),
                Access(home.name, rows, (4 * first, 4 * last)),
            ],
        )

    def slabs_to_a(
        self, home: Allocation, rows: tuple[int, int], columns: tuple[int, int], place: int, stride: int
    ) -> None:
        """Loads the beat columns (a multiple of 4 first) of rows (a multiple of 4 first) into A."""
        first, last = columns
        count = rows[1] - rows[0]
        slabs, groups = -(-(last - first) // 4), -(-count // LANES)
        blocks = -(-count // self.config.rows)
        self._load(
            Engine.LOADT,
            (home.column_base(first) + rows[0], [(4 * groups, 1), (slabs, home.slab)]),
            (0, [(4, 1), (groups, LANES << DST_COLUMN_BITS), (slabs, 4)]),
            {
                "A_BASE": place,
                "A_BLOCK_STRIDE": stride,
                "CONFIG": {"target": LoadTarget.A, "transform": Transform.IDENTITY, "row_limit": count},
            },
            [
                Access("A", (place, place + blocks * stride), write=True),
                Access(home.name, rows, (4 * first, 4 * last)),
            ],
        )


def _kind(source: Norm | Gelu | None) -> Transform:
    if isinstance(source, Norm):
        return Transform.LAYERNORM
    return Transform.SHIFTGELU if isinstance(source, Gelu) else Transform.IDENTITY


def _widths(home: Allocation, source: Norm | Gelu | None, low: bool) -> dict[str, int]:
    """What LayerNorm reads and gives, where it is not 16 and 8 bits."""
    if not isinstance(source, Norm):
        return {}
    widths = {"narrow": int(home.size == 1), "wide": int(source.wide), "low": int(low)}
    return {name: value for name, value in widths.items() if value}
