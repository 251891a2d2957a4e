"""A compiler launcher that compiles Verilator's own sources once: they are the same in every simulation.

python object_cache.py FOLDER COMPILER ARGUMENT...

Verilator's runtime (`verilated*.cpp`, with `-c`) is compiled once for the same arguments and content. All else goes to
the compiler as it is: also cocotb's main program, which includes the design's class.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["launcher"]

RUNTIME = "verilated"  # what the names of Verilator's own sources begin with


def launcher(folder: Path) -> str:
    """What stands before the compiler, as make's OBJCACHE."""
    return f"{sys.executable} {Path(__file__).resolve()} {folder}"


def _shared(command: list[str]) -> tuple[Path, Path] | None:
    """Source and object of a compilation that others repeat."""
    sources = [word for word in command if Path(word).name.startswith(RUNTIME) and word.endswith(".cpp")]
    if "-c" not in command or "-o" not in command or len(sources) != 1:
        return None
    return Path(sources[0]), Path(command[command.index("-o") + 1])


def main(folder: Path, command: list[str]) -> int:
    """Compiles, or copies what was compiled before; the compiler's exit status."""
    shared = _shared(command)
    if shared is None:
        return subprocess.run(command, check=False).returncode
    source, object_file = shared
    key = hashlib.sha256("\0".join(word for word in command if word != str(object_file)).encode())
    key.update(source.read_bytes())
    kept = folder / f"{source.stem}-{key.hexdigest()[:16]}.o"
    if not kept.exists():
        status = subprocess.run(command, check=False).returncode
        if status or not object_file.exists():
            return status
        folder.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=folder)
        os.close(handle)
        shutil.copyfile(object_file, partial)
        os.replace(partial, kept)
    else:
        shutil.copyfile(kept, object_file)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
