"""Systems of DeePMD-kit, of one composition and mixed."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.units import Hartree
from foreign_labels import Run, assert_same

from ionmelt.dataset import deepmd
from ionmelt.frame import FORCES_KEY


def write_system(folder: Path, frames: list[Atoms], mixed: bool) -> None:
    """Write frames as DeePMD-kit's documentation says: eV, A, virial = -stress V; in two sets."""
    names = ["F", "Li", "B"]
    folder.mkdir(parents=True)
    (folder / "type_map.raw").write_text("\n".join(names))
    types = [names.index(symbol) for symbol in frames[0].get_chemical_symbols()]
    (folder / "type.raw").write_text("\n".join(map(str, [0] * (len(types) + 1) if mixed else types)))
    for number, frames_of_set in enumerate((frames[:7], frames[7:])):
        set_folder = folder / f"set.{number:03d}"
        set_folder.mkdir()
        pad = 1 if mixed else 0  # a mixed system is filled up with atoms of type -1
        arrays = {
            "coord": [np.ravel([*f.positions, *[np.zeros(3)] * pad]) for f in frames_of_set],
            "force": [np.ravel([*f.arrays[FORCES_KEY], *[np.zeros(3)] * pad]) for f in frames_of_set],
            "box": [f.cell.array.ravel() for f in frames_of_set],
            "energy": [f.info["REF_energy"] for f in frames_of_set],
            "virial": [-f.info["REF_stress"].ravel() * f.get_volume() for f in frames_of_set],
        }
        if mixed:
            arrays["real_atom_types"] = [np.array([*types, -1]) for _ in frames_of_set]
        for key, values in arrays.items():
            np.save(set_folder / f"{key}.npy", np.array(values))


@pytest.mark.parametrize("mixed", [False, True])
def test_systems_of_deepmd(run: Run, frames: list[Atoms], mixed: bool, tmp_path: Path) -> None:
    write_system(tmp_path / "data/sys", frames, mixed)
    for folder in ("data/sys", "data"):
        code, lines, table, got = run([Path(folder)])
        assert code == 0, lines
        assert table is not None
        assert table["source"][0].endswith("sys/set.000: frame 0")
        for mine, frame in zip(got, frames, strict=True):
            assert_same(mine, frame)
    np.save(tmp_path / "data/sys/set.000/energy.npy", np.zeros(3))
    code, lines, _, _ = run([Path("data/sys")])
    assert code == 2
    assert "sys/set.000: unreadable: no set of DeePMD's: energy.npy has 3 frames, coord.npy 7" in lines[-1]
    (tmp_path / "data/sys/type_map.raw").unlink()
    code, lines, _, _ = run([Path("data/sys")])
    assert code == 2
    assert "type_map.raw is missing: which element is 0?" in lines[-1]


def test_fields_of_extxyz_are_refused_where_they_would_do_nothing(
    run: Run, frames: list[Atoms], tmp_path: Path
) -> None:
    """The message on a wrong energy would else lead in a circle: energy_unit is asked for, and changes nothing."""
    write_system(tmp_path / "sys", frames, False)
    for folder in (tmp_path / "sys").glob("set.*"):
        np.save(folder / "energy.npy", np.load(folder / "energy.npy") / Hartree)
    code, lines, _, _ = run([Path("sys")])
    assert code == 2
    assert (
        "labels.frames: these files are read in the units of their programs, and no field can tell others" in lines[1]
    )
    code, lines, _, _ = run([Path("sys")], energy_unit="Ha", stress_sign="compression")
    assert code == 2
    said = "is for extxyz; the files are deepmd-npy, whose names and units are known"
    assert lines == [f"error: labels.{name}: {said}" for name in ("energy_unit", "stress_sign")]


def test_the_data_that_we_write_for_deepmd_come_back(run: Run, frames: list[Atoms], tmp_path: Path) -> None:
    deepmd.write_deepmd(tmp_path / "view", frames, ["Li", "B", "F"])
    code, lines, _, got = run([Path("view")])
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        assert_same(mine, frame)
