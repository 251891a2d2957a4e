"""Shared libraries out of what Verilator writes, in folders named after the content that they were made from."""

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sim.verilator.object_cache import launcher

__all__ = ["CACHE", "BuildError", "compiled_library", "compiler", "content_key", "machine", "once", "run_tool"]

CACHE = Path(__file__).resolve().parents[2] / "build" / "emulator"
COMPILERS = 2
DEFINES = ["-DVM_COVERAGE=0", "-DVM_SC=0", "-DVL_TIME_CONTEXT", "-DVM_TRACE_FST=0", "-DVM_TRACE_SAIF=0"]


class BuildError(RuntimeError):
    """A library could not be built; the message names the tool and ends with what it said."""


def run_tool(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    """What a program prints. Raises BuildError."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise BuildError(f"{command[0]} cannot be started ({error.strerror}); install it.") from None
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise BuildError(f"{Path(command[0]).name} failed with status {done.returncode} in {folder}:\n{end}")
    return done.stdout


def compiler() -> str:
    """The C++ compiler."""
    return os.environ.get("CXX", "g++")


def machine(*flags: str) -> bytes:
    """What a compiled file depends on beside its source: compiler, flags and processor."""
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = "".join(
            next((line for line in lines if line.startswith(key)), "") for key in ("model name", "flags")
        )
    version = run_tool([compiler(), "--version"], Path.cwd()).splitlines()[0]
    return "\n".join([version, processor, *flags]).encode()


def content_key(*parts: bytes) -> str:
    """A name for a content."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def once(folder: Path) -> Iterator[Path | None]:
    """An empty folder to build in, which becomes `folder` at the end; None if `folder` is there already.

    Two processes that want the same one wait for each other; one that dies leaves nothing under the name.
    """
    if folder.exists():
        yield None
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            yield None
            return
        partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}.partial-"))
        try:
            yield partial
            os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def compiled_library(
    folder: Path,
    name: str,
    own: Path,
    runtime: Sequence[str],
    flags: Sequence[str],
    environment: dict[str, str],
    tool: str,
) -> None:
    """`folder`/`name` out of the folder's obj, which Verilator wrote and which goes away.

    Parameters
    ----------
    folder, name : where, and the library's file name
    own : a C++ source with the library's interface; its folder is looked in for headers
    runtime : of Verilator's own sources
    flags : for the compiler
    environment, tool : Verilator's
    """
    root = environment.get("VERILATOR_ROOT") or run_tool([tool, "--getenv", "VERILATOR_ROOT"], folder).strip()
    include = Path(root) / "include"
    headers = [f"-I{path}" for path in (include, include / "vltstd", "obj", ".", own.parent)]
    common = [*(include / name for name in runtime)]

    def compiled(source: Path) -> str:
        # What runs once, at the start, is not worth the compiler's effort.
        effort = ["-O0"] if "Slow" in source.name else []
        object_file = f"{source.stem}.o"
        # Verilator's own sources are the same for every design.
        cached = launcher(CACHE / "objects").split() if source in common else []
        command = [*cached, compiler(), *flags, "-w", *headers, *DEFINES, *effort, "-c", str(source), "-o", object_file]
        run_tool(command, folder)
        return object_file

    # Two at a time: somebody waits for the library, often a second process that would build the same.
    with ThreadPoolExecutor(COMPILERS) as pool:
        objects = list(pool.map(compiled, [*sorted((folder / "obj").glob("*.cpp")), *common, own]))
    run_tool([compiler(), "-shared", "-Wl,-Bsymbolic", *objects, "-lpthread", "-o", name], folder)
    for object_file in objects:
        (folder / object_file).unlink()
    shutil.rmtree(folder / "obj")
