"""Loads tensors from memory into the operand buffers, some of them through LayerNorm or ShiftGELU."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.layers import Gelu, Norm, Transformed
from firmware.compiler.lower.constants import ConstantLoads, modulo
from firmware.compiler.lower.operations import Access, Operations, Space
from firmware.compiler.lower.records import SHIFT_LIMIT
from firmware.compiler.lower.registers import Descriptor, GeluConfig, Groups, LoadConfig, LoadRegisters
from firmware.compiler.place.maps import PARITIES, merged_strides
from firmware.compiler.span import Span, Strided
from firmware.program.allocation import Allocation
from firmware.program.layout import SLAB_COLUMNS
from gateware.config import BEAT_BYTES, LANE_BYTES, LANES, AcceleratorConfig
from gateware.isa import DST_COLUMN_BITS, Engine, LoadTarget, Transform, low_and_high
from sim.reference.rounding import ceil_div

__all__ = ["OperandLoads"]

GROUPS_A_LOAD = 4  # row groups of a load with a transform
PLAIN_GROUPS_A_LOAD = 8
GELU_X0_LIMIT = 255
GROUP_STRIDE = LANES << DST_COLUMN_BITS  # from one row group to the next in a destination in A
GROUP_BEATS = SLAB_COLUMNS  # of a row group in a slab


@dataclass(frozen=True)
class _Part:
    """The rows of one load into A.

    Parameters
    ----------
    tensor : what is loaded
    groups : its row groups; of a merged map those of the merged rows
    offset : of the first of these rows behind the first of the region in A; negative where a group is cut
    to : the region's place and its blocks' stride
    config : of the load
    written : what it touches of A
    """

    tensor: Allocation
    groups: Span
    offset: int
    to: Strided
    config: LoadConfig
    written: Access

    @property
    def rows(self) -> Span:
        """The rows, with those that pad the last group."""
        return Span(LANES * self.groups.start, LANES * self.groups.stop)

    def read(self, rows: Span) -> Access:
        """The access to those rows that the tensor has."""
        return Access(
            self.tensor.name, Span(rows.start, min(self.tensor.rows, rows.stop)), Span(0, self.tensor.columns)
        )

    def source(self, row: int, *levels: tuple[int, int]) -> Descriptor:
        """Whole rows from one on, group by group as the levels say."""
        slabs = (self.tensor.slabs, self.tensor.slab)
        return Descriptor(self.tensor.base + row, ((GROUP_BEATS, 1), slabs, *levels))

    def destination(self, *levels: tuple[int, int]) -> Descriptor:
        return Descriptor(self.offset << DST_COLUMN_BITS, levels)


class OperandLoads:
    """Appends loads of rows and columns of tensors.

    Parameters
    ----------
    config : the machine
    operations : what loads are appended to
    constants : LayerNorm's are loaded before its rows
    """

    def __init__(self, config: AcceleratorConfig, operations: Operations, constants: ConstantLoads) -> None:
        self.config, self.operations, self.constants = config, operations, constants

    def rows_to_a(
        self, tensor: Allocation, rows: Span, to: Strided, transform: Transformed | None = None, lower: bool = False
    ) -> None:
        """Rows of a tensor, as it is loaded, as blocks of rows; of a norm of 16 bits the high bytes, or the low ones.

        Raises
        ------
        CompileError : the rows are no whole beats, as a transform needs, or its constants do not fit
        """
        step = GROUPS_A_LOAD if transform else PLAIN_GROUPS_A_LOAD
        for groups in Span(rows.start // LANES, ceil_div(rows.stop, LANES)).parts(step):
            offset = LANES * groups.start - rows.start
            config = _load_config(tensor, rows.size, transform, lower)
            part = _Part(tensor, groups, offset, to, config, self._written(rows, offset, groups.size, to))
            if transform is None:
                self._plain(part)
                continue
            if tensor.columns * tensor.size % BEAT_BYTES:
                raise CompileError(
                    f"{tensor.name}: rows of {tensor.columns} channels of {tensor.size} bytes are not a multiple of 16 "
                    "bytes, which LayerNorm and ShiftGELU need; change the model's width."
                )
            if isinstance(transform, Norm):
                self._through_norm(part, transform)
            else:
                self._through_gelu(part, transform)

    def _written(self, rows: Span, offset: int, groups: int, to: Strided) -> Access:
        """The blocks of A that a load of row groups touches."""
        first, last = max(0, offset), min(rows.size, offset + LANES * groups) - 1
        blocks = Span(first // self.config.rows, last // self.config.rows + 1)
        return Access(Space.A, Span(to.base + blocks.start * to.stride, to.base + blocks.stop * to.stride), write=True)

    def _plain(self, part: _Part) -> None:
        """Loads rows unchanged: all groups of a slab are consecutive beats."""
        tensor, groups = part.tensor, part.groups.size
        slabs = (tensor.slabs, tensor.slab)
        registers = LoadRegisters(
            source=Descriptor(tensor.base + part.rows.start, ((GROUP_BEATS * groups, 1), slabs)),
            destination=part.destination((GROUP_BEATS, 1), (groups, GROUP_STRIDE), (tensor.slabs, SLAB_COLUMNS)),
            a_base=part.to.base,
            a_block_stride=part.to.stride,
            config=part.config,
        )
        self.operations.add(Engine.LOADT, registers, [part.written, part.read(part.rows)])

    def _through_norm(self, part: _Part, norm: Norm) -> None:
        """Rows through LayerNorm; with patch merging four rows of the tensor are one."""
        groups, last, side = part.groups, part.tensor.rows, norm.merged_side
        parities, apart, between = 1, 0, LANES
        if side is not None:
            parities, last, (apart, between) = PARITIES, side**2, merged_strides(2 * side)
        self.constants.norm(norm)
        channels, begin = part.tensor.columns * parities, between * groups.start
        read = Span(begin, begin + between * groups.size)
        accesses = [
            part.written,
            *(part.read(read.moved(parity * apart)) for parity in range(parities)),
            Access(Space.NORM, Span(0, channels)),
        ]
        levels = [(groups.size, between)] if side is None else [(parities, apart), (groups.size, between)]
        registers = _registers(part, part.source(begin, *levels), channels)
        rows = Span(part.rows.start, min(last, part.rows.stop))
        self.operations.add(Engine.LOADT, registers, accesses, rows)

    def _through_gelu(self, part: _Part, gelu: Gelu) -> None:
        """Rows through ShiftGELU, which has kept their maxima."""
        factor = gelu.rescale.factor.normalised(self.config.multiplier_bits)
        shift, x0 = int(factor.shift), gelu.gelu.step
        if x0 > GELU_X0_LIMIT or not 0 <= shift <= SHIFT_LIMIT:
            raise CompileError(
                f"{gelu.name}: ShiftGELU has |x0| = {x0} and a shift of {shift}, but the machine takes |x0| up to "
                f"{GELU_X0_LIMIT} and shifts of 0 to {SHIFT_LIMIT}; quantise again with other calibration images."
            )
        low, high = low_and_high(int(factor.multiplier))
        groups = part.groups
        registers = dataclasses.replace(
            _registers(part, part.source(part.rows.start, (groups.size, LANES)), part.tensor.columns),
            max_group=groups.start % (self.config.max_rows // LANES),
            gelu_config=GeluConfig(x0=x0, shift=shift),
            multiplier_lo=low,
            multiplier_hi=high,
        )
        maxima = modulo(self.config, self.operations.layer, Space.MAXIMA, part.rows)
        rows = Span(part.rows.start, min(part.tensor.rows, part.rows.stop))
        self.operations.add(Engine.LOADT, registers, [part.written, part.read(part.rows), *maxima], rows)

    def slabs_to_b(self, tensor: Allocation, rows: Span, columns: Span, to: Strided, transposed: bool = False) -> None:
        """Beat columns (the first a multiple of 4) of rows (the first a multiple of 4) into B.

        As it stands, a row group is a tile and a beat column a step; transposed, a beat column (four columns of int8)
        is a tile and a row group a step.
        """
        slabs, groups = ceil_div(columns.size, SLAB_COLUMNS), ceil_div(rows.size, LANES)
        tiles, column, group = groups, 1, to.stride
        if transposed:
            tiles, column, group = SLAB_COLUMNS * slabs, to.stride, 1
        levels = ((SLAB_COLUMNS, column), (groups, group), (slabs, SLAB_COLUMNS * column))
        registers = LoadRegisters(
            source=_slabs(tensor, rows.start, columns.start, groups, slabs),
            destination=Descriptor(to.base, levels),
            config=LoadConfig(target=LoadTarget.B, transform=Transform.TRANSPOSE if transposed else Transform.IDENTITY),
        )
        written = Access(Space.B, Span(to.base, to.base + tiles * to.stride), write=True)
        self.operations.add(Engine.LOADB, registers, [written, _read(tensor, rows, columns)])

    def slabs_to_a(self, tensor: Allocation, rows: Span, columns: Span, to: Strided) -> None:
        """Beat columns (a multiple of 4 first) of rows (a multiple of 4 first) into A."""
        slabs, groups = ceil_div(columns.size, SLAB_COLUMNS), ceil_div(rows.size, LANES)
        levels = ((SLAB_COLUMNS, 1), (groups, GROUP_STRIDE), (slabs, SLAB_COLUMNS))
        registers = LoadRegisters(
            source=_slabs(tensor, rows.start, columns.start, groups, slabs),
            destination=Descriptor(0, levels),
            a_base=to.base,
            a_block_stride=to.stride,
            config=LoadConfig(target=LoadTarget.A, row_limit=rows.size),
        )
        blocks = ceil_div(rows.size, self.config.rows)
        written = Access(Space.A, Span(to.base, to.base + blocks * to.stride), write=True)
        self.operations.add(Engine.LOADT, registers, [written, _read(tensor, rows, columns)])


def _load_config(tensor: Allocation, rows: int, transform: Transformed | None, lower: bool) -> LoadConfig:
    """Of so many rows into A."""
    match transform:
        case None:
            return LoadConfig(target=LoadTarget.A, row_limit=rows)
        case Gelu():
            return LoadConfig(target=LoadTarget.A, transform=Transform.SHIFTGELU, row_limit=rows)
        case Norm():
            return LoadConfig(
                target=LoadTarget.A,
                transform=Transform.LAYERNORM,
                row_limit=rows,
                narrow=tensor.size == 1,
                wide=transform.wide,
                low=lower,
            )


def _registers(part: _Part, source: Descriptor, channels: int) -> LoadRegisters:
    """Of rows of so many channels through a transform."""
    return LoadRegisters(
        source=source,
        destination=part.destination((ceil_div(channels, LANE_BYTES), 1), (part.groups.size, GROUP_STRIDE)),
        a_base=part.to.base,
        a_block_stride=part.to.stride,
        config=part.config,
        groups=Groups(groups=part.groups.size, channels=channels),
    )


def _slabs(tensor: Allocation, row: int, column: int, groups: int, slabs: int) -> Descriptor:
    """So many row groups of so many slabs, from a row and a beat column on."""
    return Descriptor(tensor.column_base(column) + row, ((GROUP_BEATS * groups, 1), (slabs, tensor.slab)))


def _read(tensor: Allocation, rows: Span, columns: Span) -> Access:
    """The access to rows and beat columns of int8."""
    return Access(tensor.name, rows, Span(LANE_BYTES * columns.start, LANE_BYTES * columns.stop))
