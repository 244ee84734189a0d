"""A tiny labelled dataset for the tests of the trainings: ions of LiF under a pair potential."""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import ase.io
import numpy as np
import polars as pl
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones
from used_files import BIN, all_imports

from ionmelt import frame_file
from ionmelt.dataset import split as split_module
from ionmelt.dataset.settings import DatasetSettings, Split
from ionmelt.dataset.summary import DatasetSummary, TrainingData
from ionmelt.files import sha256
from ionmelt.frame import make_frame, set_label
from ionmelt.models import prediction as models_prediction
from ionmelt.models.calculators import load_calculator
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.topology import Topology

THEORY = "0123456789ab"
TRAININGS = BIN / "ionmelt" / "models" / "frameworks"
# Models that train in seconds.
MACE = {
    "framework": "mace", "channels": 4, "max_L": 0, "r_max_A": 3.0, "interactions": 2, "correlation": 2, "epochs": 8,
    "batch_size": 4, "learning_rate": 0.02, "energy_weight": 1.0, "forces_weight": 10.0, "stress_weight": 100.0,
    "dtype": "float64", "max_ell": 2,
}  # fmt: skip
DEEPMD = {
    "framework": "deepmd", "descriptor": "se_e2_a", "rcut_A": 3.0, "rcut_smth_A": 0.5, "neurons": [4, 8], "axis_neurons": 4,
    "fitting_neurons": [16, 16], "steps": 400, "batch_size": 2, "learning_rate": 0.01, "start_pref_e": 0.02,
    "limit_pref_e": 0.02, "start_pref_f": 100, "limit_pref_f": 100, "start_pref_v": 0.02, "limit_pref_v": 0.02,
}  # fmt: skip
DESCRIPTORS = {
    "se_e2_a": DEEPMD,
    "se_atten": DEEPMD | {"descriptor": "se_atten", "attention_layers": 1, "steps": 200},
    "dpa3": DEEPMD | {
        "descriptor": "dpa3", "rcut_smth_A": 0.5, "layers": 2, "node_width": 8, "edge_width": 8, "angle_width": 4, "angle_rcut_A": 2.5,
        "steps": 100,
    },
}  # fmt: skip
NEQUIP = {
    "framework": "nequip", "layers": 2, "l_max": 1, "parity": False, "features": 4, "r_max_A": 3.0, "radial_depth": 1,
    "radial_width": 8, "zbl": False, "epochs": 12, "batch_size": 4, "learning_rate": 0.02, "energy_weight": "auto",
    "forces_weight": "auto", "stress_weight": "auto", "dtype": "float64",
}  # fmt: skip


def reference(atoms: Atoms) -> Atoms:
    """Return a copy of the atoms with the calculator that labels are made with."""
    copy = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    copy.calc = LennardJones(sigma=1.8, epsilon=0.3, rc=3.9, smooth=True)
    return copy


def make_frames(count: int, seed: int = 1) -> list[Atoms]:
    """Return labelled frames of 8 or 6 atoms, three to a group."""
    rng = np.random.default_rng(seed)
    grid = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    frames = []
    for i in range(count):
        symbols = "LiFFLiFLiLiF" if i % 4 else "LiFFLiFLi"
        edge = 4.3 + 0.4 * rng.random()
        atoms = Atoms(
            symbols, (grid[: 8 if i % 4 else 6] + 0.25) * edge / 2, cell=[edge, edge * 1.02, edge * 1.04], pbc=True
        )
        atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        made = make_frame(
            atoms.numbers, atoms.positions, atoms.cell.array, np.arange(len(atoms)),
            np.where(atoms.numbers == 3, "li", "f"), liquid="lif", kind="eq", recipe="eq", group=f"g{i // 3}",
        )  # fmt: skip
        work = reference(made)
        energy = work.get_potential_energy() - 50.0 * len(work)
        set_label(made, energy, work.get_forces(), work.get_stress(voigt=False), THEORY, True, None)
        frames.append(made)
    return frames


def single_ions() -> list[Atoms]:
    """Return a labelled frame of each ion alone, which sees nothing."""
    frames = []
    for symbol, charge, group in (("Li", 1, "g1"), ("F", -1, "g2")):
        atoms = Atoms(symbol, [[4.0, 4.0, 4.0]], cell=[8.0] * 3)
        made = make_frame(
            atoms.numbers, atoms.positions, atoms.cell.array, [0], [symbol.lower()], liquid="lif", kind="eq", recipe="ions",
            group=group, charge=charge,
        )  # fmt: skip
        set_label(made, -50.0, np.zeros((1, 3)), np.zeros((3, 3)), THEORY, True, None)
        frames.append(made)
    return frames


LIF = (("Li", 1, 6.94), ("F", -1, 18.998))  # ions of one atom: element, charge (e), mass (u)


def make_state(folder: Path, liquid: str = "lif", salt: Sequence[tuple[str, int, float]] = LIF) -> Path:
    """Write the state folder of a small molten salt: 8 pairs of ions, as EQUILIBRATE leaves it; returns the folder."""
    folder.mkdir(parents=True)
    ions = [
        {"name": name, "smiles": "", "charge": charge, "count": 8, "elements": [name], "bonds": [], "masses_u": [mass], "types": None}
        for name, charge, mass in salt
    ]  # fmt: skip
    topology = Topology(liquid, ions)
    topology.save(folder / "topology.json")
    grid = np.array([[x, y, z] for x in range(4) for y in range(2) for z in range(2)])
    grid = grid[np.argsort(grid.sum(1) % 2, kind="stable")]
    positions = (grid + 0.25) * 2.15 + np.random.default_rng(1).normal(scale=0.05, size=grid.shape)
    atoms = Atoms(topology.elements, positions, cell=[8.6, 4.3, 4.3], pbc=True)
    (folder / "topology.pdb").write_text(topology.pdb(atoms.positions, atoms.cell.array))
    ase.io.write(folder / "start.extxyz", atoms, format="extxyz")
    conditions = {
        "id": f"{liquid}-1200K-r1", "liquid": liquid, "replica": 1, "temperature_K": 1200.0, "pressure_bar": 1.0, "force_field": "clandp",
        "engine": "openmm", "cutoff_A": 4.0, "n_atoms": 16, "phases_ps": {}, "density_kg_m3": 1800.0, "samples": 10,
        "standard_error_kg_m3": 1.0, "n_effective": 10.0, "correlation_time_ps": 1.0, "drift_kg_m3": 0.0, "converged": True,
        "reason": None,
    }  # fmt: skip
    (folder / "equilibration.json").write_text(json.dumps(conditions))
    return folder


RUN = {
    "id": "run", "liquid": "libf4", "replica": 1, "model": "tiny", "model_key": "tiny", "dataset": None, "model_seed": None,
    "framework": "any", "seed": 3, "temperature_K": 1200, "pressure_bar": 1.0, "timestep_fs": 1.0, "npt_ps": 0.06, "nvt_ps": 0.06, "start_volume": 1.0, "hydrogen_mass_u": None,
    "thermostat_fs": 20, "barostat_fs": 200, "save_every_fs": 5, "max_trajectory_mb": 10, "segment_ps": 0.02, "engine": "auto",
    "batch": 1,
}  # fmt: skip


def make_dataset(folder: Path, count: int = 36, ions: bool = False) -> Path:
    """Write frames, single `ions` among them if asked for, and split them; returns the folder that holds datasets/eq and dataset.json."""
    frames = make_frames(count) + (single_ions() if ions else [])
    frame_file.write_frames(folder / "a.labelled.extxyz", frames)
    rows = [
        {
            "frame_id": f.info["frame_id"],
            "energy_ev": f.info["REF_energy"],
            "theory_id": THEORY,
            "converged": True,
            "reason": None,
        }
        for f in frames
    ]
    pl.DataFrame(rows, schema_overrides={"reason": pl.String}).write_parquet(folder / "a.labels.parquet")
    settings = DatasetSettings(
        id="dataset",
        datasets={"eq": ("eq",)},
        sizes={},
        split=Split(valid=0.15, test=0.1, near=0, seed=1),
        max_failed_fraction=0,
    )
    with contextlib.ExitStack() as stack:
        if importlib.util.find_spec("featomic") is None:  # environments of trainings do not describe frames
            stack.enter_context(mock.patch.object(split_module, "write_domains"))
        split_module.split_dataset(
            settings, [folder / "a.labelled.extxyz"], [folder / "a.labels.parquet"], folder / "split"
        )
    return folder / "split"


IDENTITY = {
    "id": "m-eq-s1", "model": "m", "dataset": "eq", "seed": 1, "theory_id": THEORY, "labels_theory": "a spring", "mode": None, "weights": None,
}  # fmt: skip


def training_settings(settings: dict[str, Any]) -> Any:
    """Return the settings of a training of the dataset eq, as the task reads them."""
    kind = FRAMEWORKS[settings["framework"]].training_settings
    assert kind is not None
    return kind.model_validate(IDENTITY | settings)


def arguments(work: Path, split: Path) -> list[str]:
    """Return the command line of a training on a split, of the settings in a folder."""
    return [
        "--id", "m-eq-s1", "--settings", str(work / "settings.json"), "--dataset", str(split / "datasets" / "eq"),
        "--summary", str(split / "datasets" / "eq" / "dataset.json"), "--out", "model",
    ]  # fmt: skip


def write_settings(path: Path, settings: dict[str, Any]) -> Path:
    """Write the settings of a model of the dataset eq."""
    path.write_text(json.dumps(IDENTITY | settings))
    return path


def training_data(split: Path) -> TrainingData:
    """Return what a training is told of the dataset eq."""
    return DatasetSummary.read(split / "datasets" / "eq" / "dataset.json").training_data("eq")


def train(script: ModuleType, settings: dict[str, Any], split: Path, work: Path) -> Path:
    """Train a model of the dataset eq in a folder, as a task does; returns the model's folder."""
    write_settings(work / "settings.json", settings)
    with contextlib.chdir(work):
        code = script.main([
            "--id", "m-eq-s1", "--settings", "settings.json", "--dataset", str(split / "datasets" / "eq"),
            "--summary", str(split / "datasets" / "eq" / "dataset.json"), "--out", "model",
        ])  # fmt: skip
    assert code == 0
    return work / "model"


def trained_once(script: ModuleType, settings: dict[str, Any], split: Path, work: Path) -> Path:
    """Train as `train` does, or take what was trained with the same code, libraries, settings and data before.

    Trainings are kept in IONMELT_HOME, as the environments are; each caller gets a copy of its own. Two that need the same at
    once wait for each other, and what was cut off is made again.
    """
    top = Path(__file__).resolve().parents[1]
    code = Path(script.__file__ or "")
    files = [
        top / "containers" / settings["framework"] / "requirements.txt",
        *sorted(all_imports(code) | all_imports(TRAININGS / f"{settings['framework']}_training.py")),
        Path(__file__),
    ]
    files += sorted(path for path in split.rglob("*") if path.is_file())
    # another processor, or another number of threads, may round otherwise
    machine = [platform.python_version(), platform.node(), os.environ.get("OMP_NUM_THREADS")]
    digest = hashlib.sha256(json.dumps([settings, machine], sort_keys=True).encode())
    for path in files:
        digest.update(f"{path.name}:{path.stat().st_size}:".encode() + path.read_bytes())
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    home = Path(os.environ.get("IONMELT_HOME") or Path(cache) / "ionmelt")
    kept = home.absolute() / "tests" / f"{settings['framework']}-{digest.hexdigest()[:16]}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.with_name(f".{kept.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            unfinished = kept.with_name(f"{kept.name}.part")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            train(script, settings, split, unfinished)
            unfinished.rename(kept)
    shutil.copytree(kept, work, dirs_exist_ok=True)
    return work / "model"


def forces_of(model: Path, split: Path) -> np.ndarray:
    """Return the forces (N, 3) of a model folder on the first test frame."""
    atoms = frame_file.read_frames(split / "test.extxyz")[0]
    atoms.calc = load_calculator(model)
    return atoms.get_forces()


def strain_derivative(atoms: Atoms, i: int, j: int, h: float) -> float:
    """Return dE/d(strain_ij) in eV by a central difference of the calculator's energy."""
    ends = []
    for sign in (1, -1):
        strain = np.eye(3)
        strain[i, j] += sign * h / 2
        strain[j, i] += sign * h / 2
        moved = atoms.copy()
        moved.calc = atoms.calc
        moved.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        ends.append(moved.get_potential_energy())
    return (ends[0] - ends[1]) / (2 * h)


def check_card(model: Path, split: Path, files: list[str]) -> dict[str, Any]:
    """Check what every model card must hold; returns it."""
    card = json.loads((model / "model.json").read_text())
    data = json.loads((split / "dataset.json").read_text())
    assert list(card["files"]) == files
    for name, digest in card["files"].items():
        assert sha256(model / name) == digest
    assert card["theory_id"] == data["theory_id"] == THEORY
    assert (card["theory"], card["settings"].get("labels_theory")) == ("a spring", None)
    assert card["dataset_hash"] == data["datasets"]["eq"]["dataset_hash"]
    assert card["split_hash"] == data["datasets"]["eq"]["split_hash"]
    assert card["e0s_ev"] == data["datasets"]["eq"]["e0s_ev"]
    assert card["elements"] == ["Li", "F"]
    export = FRAMEWORKS[card["framework"]].export
    assert export is not None
    given = (model / export.tool_input).read_text()  # where no folder of a machine is named
    assert "train" in given
    assert not re.search(r'["=\s]/', given), given
    assert card["cost"]["wall_s"] > 0
    assert {"id", "model", "framework", "dataset", "seed", "licence", "settings", "cutoff_A", "versions"} <= set(card)
    return card


def check_single_ions(calculator: Calculator) -> None:
    """Check what a model that was trained on them says of `single_ions`: an atom sees nothing, with images out of sight or none."""
    for frame in single_ions():
        (prediction,) = models_prediction.predict([frame], calculator)
        assert prediction.model is not None, prediction.reason
        np.testing.assert_allclose(prediction.model.forces, 0, atol=1e-6)
        np.testing.assert_allclose(prediction.model.energy, -50, rtol=0.1)
        periodic = reference(frame)
        periodic.calc = calculator
        np.testing.assert_allclose(periodic.get_potential_energy(), prediction.model.energy, rtol=0, atol=1e-5)
