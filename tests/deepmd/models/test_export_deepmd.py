"""EXPORT_MODEL of a DeePMD model: the input of LAMMPS that lies beside it runs as it is, and is the model."""

import re
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
import tiny_training as tiny
from ase.units import bar

from ionmelt.models import export, train
from ionmelt.models.calculators import load_calculator

# torch and deepmd warn of each other when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
LMP = str(Path(sys.executable).with_name("lmp"))
# Before a run: forces in full, and the pressure of the forces alone
MORE = """\
compute virial all pressure NULL virial
thermo_style custom step pe c_virial
thermo_modify format float %.10g
dump forces all custom 1 forces.dump id type fx fy fz
dump_modify forces sort id format float %.10g
run 0
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the state of a small salt, and the folder of a model that a user is given."""
    folder = tmp_path_factory.mktemp("export")
    split = tiny.make_dataset(tmp_path_factory.mktemp("data"), ions=True)
    model = tiny.trained_once(train, tiny.DEEPMD, split, tmp_path_factory.mktemp("train"))
    state = tiny.make_state(folder / "state")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert export.main(["--id", "m", "--model", str(model), "--out", "out", "--state", str(state)]) == 0
    return state, folder / "out"


def lammps(folder: Path, name: str, *arguments: str) -> str:
    """Run an input of LAMMPS in a folder; return what it says."""
    command = [LMP, "-in", name, "-log", "none", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_the_input_beside_the_model_runs_as_it_is(exported: tuple[Path, Path]) -> None:
    said = lammps(exported[1], "in.lif", "-var", "steps", "20")
    rows = re.findall(r"^ +(\d+) +(\S+) +(\S+) +(\S+) +(\S+) *$", said, re.M)
    assert [int(row[0]) for row in rows] == [0, 10, 20]
    values = np.array(rows, dtype=float)
    assert np.isfinite(values).all()
    assert values[0, 1] == pytest.approx(1200)
    page = (exported[1] / "README.md").read_text()
    assert "`lmp -in in.lif` runs lif, whose atoms are in `lif.data`, at 1200 K:\n" in page
    assert (
        "atom_modify map yes\nnewton on\nread_data lif.data\npair_style deepmd model.pth\npair_coeff * * F Li\n" in page
    )


def test_lammps_finds_the_numbers_of_the_model(exported: tuple[Path, Path]) -> None:
    state, folder = exported
    text = (folder / "in.lif").read_text()
    start = text.index("timestep")
    (folder / "in.forces").write_text(text[:start] + MORE)
    said = lammps(folder, "in.forces")
    (energy, pressure_bar) = re.findall(r"^ +0 +(\S+) +(\S+)", said, re.M)[0]
    atoms = ase.io.read(state / "start.extxyz")
    atoms.calc = load_calculator(folder)
    assert float(energy) == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
    pressure = -np.trace(atoms.get_stress(voigt=False)) / 3 / bar
    assert float(pressure_bar) == pytest.approx(pressure, rel=1e-3, abs=1.0)
    forces = np.loadtxt(folder / "forces.dump", skiprows=9)
    assert [("F", "Li")[int(kind) - 1] for kind in forces[:, 1]] == atoms.get_chemical_symbols()
    np.testing.assert_allclose(forces[:, 2:], atoms.get_forces(), atol=1e-4)
