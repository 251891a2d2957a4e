"""Program files: everything that a device and its host need to run one model on one machine.

A safetensors file. Tensors: `program` (uint32 words), `memory` (uint8, the bytes that stand in memory beforehand),
`segments` (int64, a row (beat address, beats) for each run of them), `logit_scales` (float32). The header's metadata
holds the rest, as JSON where it has a structure.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from firmware.compiler.compiler import Compiled
from firmware.compiler.place.memory import Home
from firmware.program.check import ADDRESS_LIMIT, check_program
from firmware.program.layout import BEAT
from gateware.config import AcceleratorConfig, changed, config, settings
from gateware.isa import ISA_VERSION
from sim.reference.architecture import spelled_out
from sim.reference.errors import UserError, replaced_when_complete
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import sorted_header
from sim.reference.preprocess import Preprocessing
from sim.reference.scales import quantise

__all__ = ["Program", "load_program", "program_of"]

FORMAT = "ivit program"
VERSION = "3"
NUMBERS = ("start", "log", "beats", "patch", "alternate_start", "alternate_image")  # of the header
TENSORS = {"program": np.uint32, "memory": np.uint8, "segments": np.int64, "logit_scales": np.float32}


@dataclass(frozen=True)
class Program:
    """A compiled model.

    Parameters
    ----------
    board : configuration preset
    settings : what the board's configuration has other than the preset
    arithmetic : its arithmetic's name
    architecture : the model's, spelled out
    preprocessing, class_names, image_scale, logit_scales : what the host needs of the model
    words : instructions; `start` is their beat address
    alternate_start, alternate_image : beat addresses of the same instructions for an image at another place, and of it
    memory, segments : bytes that stand in memory beforehand, and where
    homes : of every stored tensor; `image` and `output` among them
    marks, log : layers of the log's slots, and its beat address
    beats : of memory that a run touches
    patch : side of a patch
    """

    board: str
    settings: tuple[str, ...]
    arithmetic: str
    architecture: str
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    image_scale: float
    logit_scales: npt.NDArray[np.float32]
    words: npt.NDArray[np.uint32]
    start: int
    memory: npt.NDArray[np.uint8]
    segments: npt.NDArray[np.int64]
    homes: dict[str, Home]
    image: str
    output: str
    marks: tuple[str, ...]
    log: int
    beats: int
    patch: int
    alternate_start: int
    alternate_image: int

    @property
    def config(self) -> AcceleratorConfig:
        """The machine."""
        return changed(config(self.board, self.arithmetic), self.settings)

    @property
    def image_home(self) -> Home:
        return self.homes[self.image]

    @property
    def output_home(self) -> Home:
        return self.homes[self.output]

    def pieces(self) -> list[tuple[int, bytes]]:
        """(beat address, bytes) of what stands in memory beforehand, the program included."""
        found, position = [], 0
        for base, beats in self.segments.tolist():
            found.append((base, self.memory[position : position + beats * BEAT].tobytes()))
            position += beats * BEAT
        return found

    def quantised(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """Preprocessed images (count, 3, side, side) as the integers that enter the network."""
        return quantise(images, np.float32(self.image_scale), 8).astype(np.int8)

    def _metadata(self) -> dict[str, str]:
        header: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "isa": str(ISA_VERSION),
            "board": self.board,
            "settings": json.dumps(self.settings),
            "arithmetic": self.arithmetic,
            "fingerprint": f"{self.config.fingerprint:08x}",
            "architecture": self.architecture,
            "preprocessing": json.dumps(self.preprocessing.to_dict()),
            "class_names": json.dumps(self.class_names),
            "image_scale": repr(self.image_scale),
            "homes": json.dumps({name: dataclasses.asdict(home) for name, home in self.homes.items()}),
            "marks": json.dumps(self.marks),
        }
        header |= {name: str(getattr(self, name)) for name in ("image", "output", *NUMBERS)}
        header["checksum"] = _checksum(self._tensors(), header)
        return header

    def _tensors(self) -> dict[str, npt.NDArray[Any]]:
        values = (self.words, self.memory, self.segments, self.logit_scales)
        return dict(zip(TENSORS, values, strict=True))

    def save(self, path: Path) -> None:
        """Writes the file; it appears only when it is complete."""
        with replaced_when_complete(path) as temporary:
            temporary.write_bytes(sorted_header(save(self._tensors(), self._metadata())))


def program_of(model: IntegerVit, compiled: Compiled, machine: AcceleratorConfig) -> Program:
    """The program file of a compiled model."""
    runs: list[tuple[int, npt.NDArray[np.uint8]]] = []
    for base, octets in sorted(compiled.initial, key=lambda item: item[0]):
        if runs and runs[-1][0] + len(runs[-1][1]) // BEAT == base:
            runs[-1] = (runs[-1][0], np.concatenate([runs[-1][1], octets]))
        else:
            runs.append((base, octets))
    return Program(
        board=machine.name,
        settings=settings(machine),
        arithmetic=machine.arithmetic.name,
        architecture=spelled_out(model.model.shape),
        preprocessing=model.model.preprocessing,
        class_names=model.model.class_names,
        image_scale=float(model.model.image_scale),
        logit_scales=model.model.logit_scales,
        words=compiled.words,
        start=compiled.program,
        memory=np.concatenate([octets for _, octets in runs]),
        segments=np.array([(base, len(octets) // BEAT) for base, octets in runs], np.int64),
        homes=compiled.homes,
        image=compiled.plan.image,
        output=compiled.plan.output,
        marks=compiled.marks,
        log=compiled.log,
        beats=compiled.beats,
        patch=compiled.plan.patch,
        alternate_start=compiled.alternate_program,
        alternate_image=compiled.alternate_image,
    )


def _checksum(tensors: dict[str, npt.NDArray[Any]], header: dict[str, Any]) -> str:
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
        raise UserError(f"{path} is truncated, damaged or no program file ({reason}); compile it anew.") from error
    if header.get("format") != FORMAT or header.get("version") != VERSION or header.get("isa") != str(ISA_VERSION):
        raise UserError(
            f"{path} has format {header.get('format')!r}, version {header.get('version')!r}, instruction set "
            f"{header.get('isa')!r}, but {FORMAT!r}, {VERSION!r}, {str(ISA_VERSION)!r} is expected; compile it anew."
        )
    wrong = [n for n, t in TENSORS.items() if n not in tensors or tensors[n].dtype != t]
    if wrong or set(tensors) - set(TENSORS):
        raise UserError(f"{path}: the tensor {(wrong or sorted(set(tensors) - set(TENSORS)))[0]!r} is not as expected.")
    if _checksum(tensors, header) != header.get("checksum"):
        raise UserError(f"{path}: the checksum differs from the header's; the file is damaged, compile it anew.")
    try:
        program = _parsed(header, tensors)
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UserError(f"{path}: its header cannot be understood ({type(error).__name__}: {error}).") from error
    check_program(program, path, header)
    return program


def _parsed(header: dict[str, str], tensors: dict[str, npt.NDArray[Any]]) -> Program:
    preprocessing = json.loads(header["preprocessing"])
    homes = {name: Home(**fields) for name, fields in json.loads(header["homes"]).items()}
    for home in homes.values():
        for name in ("base", "rows", "columns", "size"):
            if type(getattr(home, name)) is not int or not 0 <= getattr(home, name) < ADDRESS_LIMIT:
                raise ValueError(f"{home.name} has {name} = {getattr(home, name)!r}")
        if type(home.name) is not str or home.size not in (1, 2, 4):
            raise ValueError(f"{home.name} has elements of {home.size} bytes")
    return Program(
        board=header["board"],
        settings=tuple(map(str, json.loads(header["settings"]))),
        arithmetic=header["arithmetic"],
        architecture=header["architecture"],
        preprocessing=Preprocessing(
            resize=int(preprocessing["resize"]),
            crop=int(preprocessing["crop"]),
            mean=tuple(map(float, preprocessing["mean"])),  # type: ignore[arg-type]
            std=tuple(map(float, preprocessing["std"])),  # type: ignore[arg-type]
        ),
        class_names=tuple(map(str, json.loads(header["class_names"]))),
        image_scale=float(header["image_scale"]),
        logit_scales=tensors["logit_scales"],
        words=tensors["program"],
        memory=tensors["memory"],
        segments=tensors["segments"],
        homes=homes,
        image=header["image"],
        output=header["output"],
        marks=tuple(map(str, json.loads(header["marks"]))),
        **{name: int(header[name]) for name in NUMBERS},
    )
