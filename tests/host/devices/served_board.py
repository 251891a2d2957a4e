"""An emulated board in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["served_board"]

ROOT = Path(__file__).resolve().parents[3]
END_SECONDS = 30


@contextmanager
def served_board(*options: str) -> Iterator[str]:
    """The name of a small board, as its process says it; at the end the process must end by itself."""
    command = [sys.executable, "-m", "sim.emulator.serve", "--board", "tiny", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield line.partition("--device ")[2].strip()
        finally:
            process.terminate()
            try:
                assert process.wait(END_SECONDS) == 0
            finally:
                process.kill()
