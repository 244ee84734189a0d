"""Labelled frames of LiBF4 as other programs write them, for the tests of the import."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from ase import Atoms
from ase.units import Bohr, GPa, Hartree, Rydberg

from ionmelt.frame import FORCES_KEY, make_frame
from ionmelt.liquid.ions import library

ASSETS = Path(__file__).resolve().parents[1] / "assets"


THEORY = "0123456789ab"


EDGE_A = 8.0


Write = Callable[..., Path]


Run = Callable[..., tuple[int, list[str], pl.DataFrame | None, list[Atoms]]]


def ion(name: str, count: int = 1, **given: Any) -> dict[str, Any]:
    """Return an ion as the plan's labels.json holds it."""
    ion_library = library(ASSETS)
    entry = (
        {key: ion_library[name][key] for key in ("smiles", "types", "hydrogen_types")} if name in ion_library else {}
    )
    return {"name": name, "charge": 0, "types": None, "hydrogen_types": None, **entry, "count": count, **given}


LIBF4 = {"id": "libf4", "ions": [ion("li", 2), ion("bf4", 2)]}


def text_of(
    frame: Atoms,
    order: Sequence[int] | None = None,
    names: tuple[str, str, str] = ("energy", "forces", "stress"),
    energy: float = 1.0,
    force: float = 1.0,
    stress: float = 1.0,
    info: str = "",
    positions: np.ndarray | None = None,
) -> str:
    """Return a frame as extended XYZ of another program: other names, units (factors), order of atoms."""
    order = range(len(frame)) if order is None else order
    at = frame.positions if positions is None else positions
    tensor = " ".join(f"{x * stress:.12g}" for x in frame.info["REF_stress"].T.ravel())
    lattice = " ".join(f"{x:.8f}" for x in frame.cell.array.ravel())
    lines = [
        str(len(frame)),
        f'Lattice="{lattice}" Properties=species:S:1:pos:R:3:{names[1]}:R:3 '
        f'{names[0]}={frame.info["REF_energy"] * energy:.12f} {names[2]}="{tensor}" pbc="T T T" {info}',
    ]
    for i in order:
        numbers = " ".join(f"{x:.10f}" for x in (*at[i], *frame.arrays[FORCES_KEY][i] * force))
        lines.append(f"{frame.get_chemical_symbols()[i]} {numbers}")
    return "\n".join(lines) + "\n"


def assert_same(got: Atoms, frame: Atoms, order: Sequence[int] | None = None) -> None:
    """Assert that an imported frame is the original one, whichever of equal ions and atoms comes first."""
    assert (got.arrays["ion"] == frame.arrays["ion"]).all()
    assert (got.arrays["molecule"] == frame.arrays["molecule"]).all()
    assert (got.numbers == frame.numbers).all()
    gap = got.positions[:, None] - frame.positions
    gap -= np.rint(gap / frame.cell.lengths()) * frame.cell.lengths()
    nearest = np.linalg.norm(gap, axis=-1).argmin(axis=1)
    assert sorted(nearest) == list(range(len(frame)))
    np.testing.assert_allclose(got.arrays[FORCES_KEY], frame.arrays[FORCES_KEY][nearest], atol=2e-8)
    np.testing.assert_allclose(got.info["REF_energy"], frame.info["REF_energy"], atol=1e-8)
    np.testing.assert_allclose(got.info["REF_stress"], frame.info["REF_stress"], atol=1e-10)


def shown(frames: list[Atoms], **kwargs: Any) -> dict[str, str]:
    return {"a.xyz": "".join(text_of(frame, **kwargs) for frame in frames)}


def with_stress(frame: Atoms, stress: str) -> str:
    return re.sub(r'stress="[^"]*"', f'stress="{stress}"', text_of(frame))


def free_atom(element: str, energy: float, kind: str = "config_type=IsolatedAtom") -> str:
    head = f'1\nProperties=species:S:1:pos:R:3:forces:R:3 {kind} energy={energy} pbc="F F F"\n'
    return f"{head}{element} 0 0 0 0 0 0\n"


def shifted(frames: list[Atoms], by: dict[int, float]) -> dict[str, str]:
    texts = []
    for number, frame in enumerate(frames):
        moved = frame.copy()
        moved.info["REF_energy"] += by.get(number, 0.0)
        texts.append(text_of(moved))
    return {"a.xyz": "".join(texts)}


def moved(frame: Atoms, by: float) -> Atoms:
    copy = frame.copy()
    copy.info["REF_energy"] += by
    return copy


def reversed_signs(text: str) -> str:
    """Return frames with gradients for forces, and compression positive."""
    lines = []
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 7 and parts[0] in ("Li", "B", "F"):
            line = " ".join([*parts[:4], *(f"{-float(x):.10f}" for x in parts[4:])])
        line = re.sub(
            r'stress="([^"]*)"', lambda m: 'stress="' + " ".join(f"{-float(x):.12g}" for x in m[1].split()) + '"', line
        )
        lines.append(line)
    return "\n".join(lines) + "\n"


def far_apart(frames: list[Atoms]) -> list[Atoms]:
    """Return frames that are no neighbours but alike: every one is turned to other axes than the one before."""
    chosen = []
    for number, frame in enumerate(frames):
        turn = np.roll(np.eye(3), number % 3, axis=1)
        turned = make_frame(
            frame.numbers, frame.positions @ turn, frame.cell.array, frame.arrays["molecule"], frame.arrays["ion"]
        )
        turned.info |= {"REF_energy": frame.info["REF_energy"], "REF_stress": turn.T @ frame.info["REF_stress"] @ turn}
        turned.arrays[FORCES_KEY] = frame.arrays[FORCES_KEY] @ turn
        chosen.append(turned)
    return chosen


def qe_text(frame: Atoms, converged: bool = True) -> str:
    """Return what pw.x prints of a single point, as far as it matters."""
    alat = frame.cell.lengths()[0] / Bohr
    lines = ["", "     Program PWSCF v.7.2 starts on 24Nov2026 at 10: 0: 0 ", ""]
    lines += [f"     lattice parameter (alat)  =      {alat:.4f}  a.u."]
    lines += [
        f"     number of atoms/cell      =           {len(frame)}",
        "     number of atomic types    =            3",
    ]
    lines += [f"     celldm(1)=  {alat:.10f}  celldm(2)=   0.000000  celldm(3)=   0.000000", ""]
    lines += ["     crystal axes: (cart. coord. in units of alat)"]
    for i, vector in enumerate(frame.cell.array / (alat * Bohr)):
        lines.append(f"               a({i + 1}) = ( {vector[0]:10.6f} {vector[1]:10.6f} {vector[2]:10.6f} )  ")
    lines += ["", "   Cartesian axes", "", "     site n.     atom                  positions (alat units)"]
    for i, (symbol, at) in enumerate(zip(frame.get_chemical_symbols(), frame.positions / (alat * Bohr), strict=True)):
        lines.append(
            f"     {i + 1:5d}           {symbol:2s}  tau({i + 1:4d}) = ( {at[0]:.10f} {at[1]:.10f} {at[2]:.10f}  )"
        )
    said = "has been achieved in  11" if converged else "NOT achieved after 100"
    lines += ["", f"     convergence {said} iterations", ""]
    lines += [f"!    total energy              = {frame.info['REF_energy'] / Rydberg:19.10f} Ry", ""]
    lines += ["     Forces acting on atoms (cartesian axes, Ry/au):", ""]
    for i, force in enumerate(frame.arrays[FORCES_KEY] * Bohr / Rydberg):
        lines.append(f"     atom {i + 1:4d} type  1   force = {force[0]:16.10f}{force[1]:16.10f}{force[2]:16.10f}")
    stress = -frame.info["REF_stress"] * Bohr**3 / Rydberg
    lines += ["", "     Computing stress (Cartesian axis) and pressure", ""]
    lines += ["          total   stress  (Ry/bohr**3)                   (kbar)     P=        0.00"]
    lines += [" ".join(f"{x:16.12f}" for x in (*row, *row)) for row in stress]
    return "\n".join([*lines, "", "     JOB DONE.", ""])


def outcar_text(frames: Sequence[Atoms], reached: Sequence[bool]) -> str:
    """Return an OUTCAR of several ionic steps, as far as it matters."""
    lines = [" vasp.6.4.2 20Jul23 (build Nov 24 2026 10:00:00) complex", ""]
    lines += [f" POTCAR:    PAW_PBE {element} 08Apr2002" for element in ("Li", "F", "B", "F", "B", "F")] * 2
    lines += ["   ions per type =               2   1   1   4   1   3", ""]
    for number, (frame, good) in enumerate(zip(frames, reached, strict=True)):
        xx, yy, zz, xy, yz, zx = (
            -frame.info["REF_stress"][i] / GPa * 10 for i in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0))
        )
        lines += [f"----------------- Iteration {number + 1:6d}(   1)  ---------------------", ""]
        if good:
            lines += ["------------------------ aborting loop because EDIFF is reached ----------------------", ""]
        lines += [f"  in kB   {xx:.8f} {yy:.8f} {zz:.8f} {xy:.8f} {yz:.8f} {zx:.8f}"]
        lines += ["      direct lattice vectors                 reciprocal lattice vectors"]
        lines += [
            " ".join(f"{x:14.9f}" for x in (*a, *b))
            for a, b in zip(frame.cell.array, frame.cell.reciprocal(), strict=True)
        ]
        lines += ["", " POSITION                                       TOTAL-FORCE (eV/Angst)", " " + "-" * 80]
        rows = np.hstack([frame.positions, frame.arrays[FORCES_KEY]])
        lines += [" ".join(f"{x:15.9f}" for x in row) for row in rows]
        lines += [" " + "-" * 80, "", "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)", "  " + "-" * 50]
        lines += [f"  free  energy   TOTEN  = {frame.info['REF_energy']:18.8f} eV", ""]
        lines += [
            f"  energy  without entropy=  {frame.info['REF_energy'] + 5:18.8f}  energy(sigma->0) =  {frame.info['REF_energy'] + 2.5:18.8f}",
            "",
        ]
    return "\n".join([*lines, " General timing and accounting informations for this job:", ""])


def cp2k_text(
    frames: Sequence[Atoms], forces: bool = True, stress: bool = True, more: str = "", lengths: bool = False
) -> str:
    """Return an output of dynamics as CP2K 2023 writes it, as far as it matters."""
    lines = ["  **** **** ******  **  PROGRAM STARTED AT               2026-11-28 10:00:00.000", "", more]
    for name, vector in zip("abc", frames[0].cell.array, strict=True):
        lines.append(
            f" CELL| Vector {name} [angstrom]: {vector[0]:12.6f}{vector[1]:12.6f}{vector[2]:12.6f}   |{name}| = 1"
        )
    for step, frame in enumerate(frames):
        lines += ["", "  *** SCF run converged in     9 steps ***", ""]
        lines += [f" ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]: {frame.info['REF_energy'] / Hartree:30.15f}", ""]
        if forces:
            lines += [
                " ATOMIC FORCES in [a.u.]",
                "",
                " # Atom   Kind   Element          X              Y              Z",
            ]
            for i, force in enumerate(frame.arrays[FORCES_KEY] * Bohr / Hartree):
                lines.append(
                    f" {i + 1:6d} {1:6d}      {frame.get_chemical_symbols()[i]:2s} "
                    + " ".join(f"{x:15.10f}" for x in force)
                )
            lines += [" SUM OF ATOMIC FORCES           0.00000000     0.00000000     0.00000000     0.00000000", ""]
        if stress:
            lines += [
                " STRESS| Analytical stress tensor [GPa]",
                " STRESS|                        x                   y                   z",
            ]
            for name, row in zip("xyz", -frame.info["REF_stress"] / GPa, strict=True):
                lines.append(f" STRESS|      {name} " + " ".join(f"{x:20.11E}" for x in row))
        lines += ["", f" MD| Step number {step:50d}"]
        if lengths:
            lines.append(" MD| Cell lengths [ang] " + " ".join(f"{x:.8E}" for x in frame.cell.lengths()))
            lines.append(" MD| Cell angles [deg]       9.00000000E+01  9.00000000E+01  9.00000000E+01")
    return "\n".join(
        [*lines, "", "  **** **** ******  **  PROGRAM ENDED AT                 2026-11-28 11:00:00.000", ""]
    )


def cp2k_xyz(frames: Sequence[Atoms], what: str = "pos", names: Sequence[str] | None = None) -> str:
    """Return PROJECT-pos-1.xyz or PROJECT-frc-1.xyz of frames."""
    text = ""
    for step, frame in enumerate(frames):
        values = frame.positions if what == "pos" else frame.arrays[FORCES_KEY] * Bohr / Hartree
        text += f"{len(frame):8d}\n i = {step:8d}, time = {step / 2:12.3f}, E = {frame.info['REF_energy'] / Hartree:20.10f}\n"
        for name, row in zip(names or frame.get_chemical_symbols(), values, strict=True):
            text += f"{name:>4s} " + " ".join(f"{x:20.10f}" for x in row) + "\n"
    return text


def cp2k_cell(frames: Sequence[Atoms], every: int) -> str:
    """Return PROJECT-1.cell of frames, of which every so many are printed."""
    head = "#   Step   Time [fs]       Ax [Angstrom]       Ay [Angstrom]"
    rows = [f"{i:8d} {i / 2:.3f} " + " ".join(f"{x:.10f}" for x in f.cell.array.ravel()) + f" {f.get_volume():.10f}"
            for i, f in enumerate(frames) if i % every == 0]  # fmt: skip
    return "\n".join([head, *rows]) + "\n"


LIF = {"id": "lif", "ions": [ion("li", 1), ion("f", 1, smiles="[F-]", charge=-1)]}
