"""From the machine's memory port to LiteDRAM's native port: words in time for their commands, beats cut in pieces."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect

from gateware.config import BEAT_BITS, BEAT_BYTES
from gateware.memory.port import MemoryPort
from gateware.stream.fifo import StreamFifo
from gateware.stream.register import StreamRegister

__all__ = ["NativeAdapter", "NativePort"]

WORDS = 16  # write words that wait for their commands


class NativePort(wiring.Signature):
    """LiteDRAM's native port as its user drives it.

    The controller takes a write's word in the cycle of ``wdata_ready``, some cycles after the command, whether
    ``wdata_valid`` or not; it gives a read's word with ``rdata_valid``, whether ``rdata_ready`` or not.

    Parameters
    ----------
    width : int
        Bits of a word.
    address_bits : int
        Bits of a word's address.
    """

    def __init__(self, width: int, address_bits: int) -> None:
        self.width, self.address_bits = width, address_bits
        super().__init__(
            {
                "cmd_valid": Out(1),
                "cmd_ready": In(1),
                "cmd_we": Out(1),
                "cmd_addr": Out(address_bits),
                "wdata_valid": Out(1),
                "wdata_ready": In(1),
                "wdata_we": Out(width // 8),
                "wdata_data": Out(width),
                "rdata_valid": In(1),
                "rdata_ready": Out(1),
                "rdata_data": In(width),
            }
        )


class NativeAdapter(wiring.Component):
    """A memory port's user on a native port of the same width or of a power of two less.

    A write's command goes out when its word has come: the controller does not wait for words. A beat of several
    native words takes so many commands in a row, the lowest word first, without a pause between beats. Commands wait
    a cycle in a register, for the controller's ``cmd_ready`` comes late in the cycle. Reads add no cycle where a beat
    is one word, one where it is several.

    Parameters
    ----------
    width : int
        Bits of the native port: 128 or a power of two below it, at least 8.
    address_bits : int
        Bits of a beat address, on both sides.

    Members
    -------
    memory : In(MemoryPort)
    native : Out(NativePort)
    quiet : Out(1)
        No write waits for its word to be taken.

    Raises
    ------
    ValueError
        For a width that does not divide a beat.
    """

    def __init__(self, width: int, address_bits: int) -> None:
        if width not in (8, 16, 32, 64, 128):
            raise ValueError(f"NativeAdapter: width must be 8, 16, 32, 64 or 128, not {width}.")
        self.width, self.address_bits, self.pieces = width, address_bits, BEAT_BITS // width
        self.native_bits = address_bits + self.pieces.bit_length() - 1
        super().__init__(
            {
                "memory": In(MemoryPort(address_bits)),
                "native": Out(NativePort(width, self.native_bits)),
                "quiet": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory, native = self.memory, self.native
        words_shape = self.memory.signature.members["wdata"].signature.members["payload"].shape
        m.submodules.words = words = StreamFifo(words_shape, WORDS)
        connect(m, wiring.flipped(memory.wdata), words.i)

        # Words that have come and belong to no command yet. The controller takes a word three cycles after its command
        # at the earliest, when the queue shows it.
        unclaimed = Signal(range(WORDS + 2))
        came, claimed = Signal(), Signal()
        m.d.comb += [
            came.eq(memory.wdata.valid & memory.wdata.ready),
            claimed.eq(memory.cmd.valid & memory.cmd.ready & memory.cmd.payload.we),
        ]
        m.d.sync += unclaimed.eq(unclaimed + came - claimed)

        m.submodules.commands = commands = StreamRegister(
            self.memory.signature.members["cmd"].signature.members["payload"].shape
        )
        allowed = Signal()
        m.d.comb += [
            allowed.eq(~memory.cmd.payload.we | (unclaimed != 0)),
            commands.i.valid.eq(memory.cmd.valid & allowed),
            commands.i.payload.eq(memory.cmd.payload),
            memory.cmd.ready.eq(commands.i.ready & allowed),
            native.cmd_valid.eq(commands.o.valid),
            native.cmd_we.eq(commands.o.payload.we),
            native.wdata_valid.eq(words.o.valid),
            native.rdata_ready.eq(1),
            self.quiet.eq((words.level == 0) & ~words.o.valid),
        ]
        if self.pieces == 1:
            m.d.comb += [
                native.cmd_addr.eq(commands.o.payload.address),
                commands.o.ready.eq(native.cmd_ready),
                native.wdata_data.eq(words.o.payload.data),
                native.wdata_we.eq(words.o.payload.mask),
                words.o.ready.eq(native.wdata_ready),
                memory.rdata.payload.eq(native.rdata_data),
                memory.rdata.valid.eq(native.rdata_valid),
            ]
        else:
            self._cut(m, commands.o, words.o)
        return m

    def _cut(self, m: Module, commands: stream.Interface, words: stream.Interface) -> None:
        """Commands, words and answers in pieces."""
        memory, native = self.memory, self.native
        last = self.pieces - 1
        issued, written, gathered = (Signal(range(self.pieces), name=n) for n in ("issued", "written", "gathered"))
        m.d.comb += [
            native.cmd_addr.eq(Cat(issued, commands.payload.address)),
            commands.ready.eq(native.cmd_ready & (issued == last)),
            native.wdata_data.eq(words.payload.data.word_select(written, self.width)),
            native.wdata_we.eq(words.payload.mask.word_select(written, BEAT_BYTES // self.pieces)),
            words.ready.eq(native.wdata_ready & (written == last)),
        ]
        with m.If(native.cmd_valid & native.cmd_ready):
            m.d.sync += issued.eq(issued + 1)
        with m.If(native.wdata_ready):
            m.d.sync += written.eq(written + 1)
        beat = Signal(BEAT_BITS, reset_less=True)
        m.d.comb += memory.rdata.payload.eq(beat)
        m.d.sync += memory.rdata.valid.eq(native.rdata_valid & (gathered == last))
        with m.If(native.rdata_valid):
            m.d.sync += [gathered.eq(gathered + 1), beat.eq(Cat(beat, native.rdata_data)[self.width :])]
