"""Program files: everything that a device and its host need to run one model on one machine.

A safetensors file. Tensors: `program` (uint32 words), `memory` (uint8, the bytes that stand in memory beforehand),
`segments` (int64, a row (beat address, beats) for each run of them), and for each output `scales.KIND` (float32, one a
column). The header's metadata holds the rest, as JSON where it has a structure.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from firmware.program.allocation import Allocation
from firmware.program.check import ADDRESS_LIMIT, check_program
from firmware.program.program import Program, ProgramOutput
from gateware.isa import ISA_VERSION
from sim.reference.errors import UserError, replaced_when_complete
from sim.reference.model_file import sorted_header
from sim.reference.outputs import OUTPUTS
from sim.reference.preprocess import Preprocessing

__all__ = ["checksum", "load_program", "save_program"]

FORMAT = "ivit program"
VERSION = "4"
NUMBERS = ("start", "log", "beats", "patch", "alternate_start", "alternate_image")  # of the header
TENSORS = {"program": np.uint32, "memory": np.uint8, "segments": np.int64}
SCALES = {f"scales.{kind}": kind for kind in OUTPUTS}
TYPES = TENSORS | dict.fromkeys(SCALES, np.float32)
ALLOCATIONS = "homes"  # of the header: what the file calls them
SIZES = (1, 2, 4)  # bytes of an element


def save_program(program: Program, path: Path) -> None:
    """Writes the file; it appears only when it is complete."""
    tensors = _tensors(program)
    with replaced_when_complete(path) as temporary:
        temporary.write_bytes(sorted_header(save(tensors, _metadata(program, tensors))))


def _tensors(program: Program) -> dict[str, npt.NDArray[Any]]:
    values: tuple[npt.NDArray[Any], ...] = (program.words, program.memory, program.segments)
    scales: dict[str, npt.NDArray[Any]] = {f"scales.{kind}": output.scales for kind, output in program.outputs.items()}
    return dict(zip(TENSORS, values, strict=True)) | scales


def _metadata(program: Program, tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, str]:
    allocations = {name: dataclasses.asdict(allocation) for name, allocation in program.allocations.items()}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "isa": str(ISA_VERSION),
        "board": program.board,
        "settings": json.dumps(program.settings),
        "arithmetic": program.arithmetic,
        "fingerprint": f"{program.config.fingerprint:08x}",
        "architecture": program.architecture,
        "model": program.model,
        "preprocessing": json.dumps(program.preprocessing.to_dict()),
        "class_names": json.dumps(program.class_names),
        "image_scale": repr(program.image_scale),
        ALLOCATIONS: json.dumps(allocations),
        "marks": json.dumps(program.marks),
    }
    header["outputs"] = json.dumps({kind: output.tensor for kind, output in program.outputs.items()})
    header |= {name: str(getattr(program, name)) for name in ("image", *NUMBERS)}
    return header | {"checksum": checksum(tensors, header)}


def checksum(tensors: Mapping[str, npt.NDArray[Any]], header: Mapping[str, str]) -> str:
    """SHA-256 over everything in a program file but the checksum."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype.str} {tensors[name].shape}\n".encode())
        digest.update(tensors[name].tobytes())
    for name in sorted(set(header) - {"checksum"}):
        digest.update(f"{name}={header[name]}\n".encode())
    return digest.hexdigest()


def load_program(path: Path) -> Program:
    """Reads and checks a program file.

    Raises
    ------
    UserError : it is absent, damaged, of another kind or version, or for a machine that this version does not build
    """
    if not path.is_file():
        raise UserError(f"{path} is not a file; a program file is expected.")
    try:
        with safe_open(path, framework="numpy") as file:
            header = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(f"{path} is truncated, damaged or no program file ({reason}); compile it again.") from error
    if header.get("format") != FORMAT or header.get("version") != VERSION or header.get("isa") != str(ISA_VERSION):
        raise UserError(
            f"{path} has format {header.get('format')!r}, version {header.get('version')!r}, instruction set "
            f"{header.get('isa')!r}, but {FORMAT!r}, {VERSION!r}, {str(ISA_VERSION)!r} is expected; compile it again."
        )
    wrong = [name for name in {**TENSORS, **tensors} if name not in TYPES or not _has_type(tensors, name)]
    if wrong:
        raise UserError(f"{path}: the tensor {wrong[0]!r} is not as expected.")
    if checksum(tensors, header) != header.get("checksum"):
        raise UserError(f"{path}: the checksum differs from the header's; the file is damaged, compile it again.")
    try:
        program = _parsed(header, tensors)
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UserError(f"{path}: its header cannot be understood ({type(error).__name__}: {error}).") from error
    check_program(program, path, header)
    return program


def _has_type(tensors: Mapping[str, npt.NDArray[Any]], name: str) -> bool:
    return name in tensors and tensors[name].dtype == TYPES[name]


def _parsed(header: dict[str, str], tensors: dict[str, npt.NDArray[Any]]) -> Program:
    return Program(
        board=header["board"],
        settings=tuple(map(str, json.loads(header["settings"]))),
        arithmetic=header["arithmetic"],
        architecture=header["architecture"],
        model=header["model"],
        preprocessing=Preprocessing.from_dict(json.loads(header["preprocessing"])),
        class_names=tuple(map(str, json.loads(header["class_names"]))),
        image_scale=float(header["image_scale"]),
        outputs={
            kind: ProgramOutput(str(tensor), tensors[f"scales.{kind}"])
            for kind, tensor in json.loads(header["outputs"]).items()
        },
        words=tensors["program"],
        memory=tensors["memory"],
        segments=tensors["segments"],
        allocations={name: _allocation(fields) for name, fields in json.loads(header[ALLOCATIONS]).items()},
        image=header["image"],
        marks=tuple(map(str, json.loads(header["marks"]))),
        **{name: int(header[name]) for name in NUMBERS},
    )


def _allocation(fields: dict[str, Any]) -> Allocation:
    """Raises ValueError or TypeError for one that no program has: sizes are checked before anything is made of them."""
    allocation = Allocation(**fields)
    for name in ("base", "rows", "columns", "size"):
        if type(getattr(allocation, name)) is not int or not 0 <= getattr(allocation, name) < ADDRESS_LIMIT:
            raise ValueError(f"{allocation.name} has {name} = {getattr(allocation, name)!r}")
    if type(allocation.name) is not str or allocation.size not in SIZES:
        raise ValueError(f"{allocation.name} has elements of {allocation.size} bytes")
    return allocation
