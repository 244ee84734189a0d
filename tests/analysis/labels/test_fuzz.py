"""Files of labels that are spoiled in any way cost lines, not a stack trace, and no frame is taken that is not one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from foreign_labels import Run, cp2k_cell, cp2k_text, cp2k_xyz, outcar_text, qe_text, text_of
from fuzz import corpus, inputs

from ionmelt.frame import FORCES_KEY

# Name of the file that is spoiled, its good texts, and the files beside it.
Files = Callable[[Sequence[Atoms]], tuple[str, list[str], dict[str, str]]]


def of_extxyz(frames: Sequence[Atoms]) -> tuple[str, list[str], dict[str, str]]:
    whole = "".join(text_of(frame) for frame in frames)
    six = whole.replace("stress", "virial").replace("forces", "force")
    return "a.xyz", [whole, six], {}


def of_cp2k(frames: Sequence[Atoms]) -> tuple[str, list[str], dict[str, str]]:
    beside = {"s-pos-1.xyz": cp2k_xyz(frames), "s-1.cell": cp2k_cell(frames, 1)}
    return "md.out", [cp2k_text(frames)], beside


def of_cp2k_positions(frames: Sequence[Atoms]) -> tuple[str, list[str], dict[str, str]]:
    return "s-pos-1.xyz", [cp2k_xyz(frames)], {"md.out": cp2k_text(frames), "s-1.cell": cp2k_cell(frames, 1)}


def of_cp2k_cell(frames: Sequence[Atoms]) -> tuple[str, list[str], dict[str, str]]:
    return "s-1.cell", [cp2k_cell(frames, 1)], {"md.out": cp2k_text(frames), "s-pos-1.xyz": cp2k_xyz(frames)}


def of_vasp(frames: Sequence[Atoms]) -> tuple[str, list[str], dict[str, str]]:
    # VASP sorts atoms by its POTCARs; these are as `outcar_text` lists them.
    return "OUTCAR", [outcar_text(frames, [True] * len(frames))], {}


def of_espresso(frames: Sequence[Atoms]) -> tuple[str, list[str], dict[str, str]]:
    return "pw.out", [qe_text(frames[0])], {f"pw{i}.out": qe_text(frame) for i, frame in enumerate(frames[1:], 1)}


KINDS: dict[str, Files] = {
    "extxyz": of_extxyz, "cp2k": of_cp2k, "cp2k-positions": of_cp2k_positions, "cp2k-cell": of_cp2k_cell,
    "vasp": of_vasp, "espresso": of_espresso,
}  # fmt: skip


def judge(run: Run, frames: Sequence[Atoms], files: dict[str, str]) -> None:
    """Import; a mistake must be lines for a person, and what is taken must have the label of a frame that is there."""
    code, lines, table, taken = run(files, max_failed_fraction=0.9)
    assert code in (0, 2), lines
    assert lines
    for line in lines:
        assert line.isprintable(), line
        assert len(line) < 2000, line
    assert table is None or (table["converged"] == table["reason"].is_null()).all()
    for frame in taken:
        numbers = frame.info["REF_energy"], frame.arrays[FORCES_KEY], frame.positions, frame.cell.array
        assert all(np.isfinite(values).all() for values in numbers)
        assert len(frame) == len(frames[0])
        gaps = [abs(frame.info["REF_energy"] - other.info["REF_energy"]) for other in frames]
        sizes = [
            np.abs(np.sort(frame.arrays[FORCES_KEY].ravel()) - np.sort(other.arrays[FORCES_KEY].ravel())).max()
            for other in frames
        ]
        # The limit of the net force leaves 0.17 eV/A to one number, and the work 0.5 eV or less between two frames.
        assert any(gap < 1.0 and size < 0.4 for gap, size in zip(gaps, sizes, strict=True)), (gaps, sizes)


@pytest.mark.long
@pytest.mark.budget(36000, hangs_s=36000)
@pytest.mark.parametrize("kind", KINDS)
def test_spoiled_files(run: Run, frames: list[Atoms], kind: str, tmp_path: Path) -> None:
    some = frames[:8]
    name, good, beside = KINDS[kind](some)
    for number, text in inputs(good):
        try:
            judge(run, some, {name: text} | beside)
        except BaseException as error:
            raise AssertionError(f"{kind}, input {number}, which is {tmp_path / name}") from error


@pytest.mark.parametrize(
    "path", [path for kind in KINDS for path in corpus(kind)], ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_files_that_were_handled_wrongly_once(run: Run, frames: list[Atoms], path: Path) -> None:
    some = frames[:8]
    name, _, beside = KINDS[path.parent.name](some)
    judge(run, some, {name: path.read_bytes().decode()} | beside)
