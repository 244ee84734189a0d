"""A tiny labelled dataset for the tests of the trainings: ions of LiF under a pair potential."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from ase import Atoms
from ase.calculators.lj import LennardJones

import il_frames
import split_dataset

THEORY = "0123456789ab"


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
        made = il_frames.make_frame(
            atoms.numbers, atoms.positions, atoms.cell.array, np.arange(len(atoms)),
            np.where(atoms.numbers == 3, "li", "f"), liquid="lif", kind="eq", recipe="eq", group=f"g{i // 3}",
        )  # fmt: skip
        work = reference(made)
        energy = work.get_potential_energy() - 50.0 * len(work)
        il_frames.set_label(made, energy, work.get_forces(), work.get_stress(voigt=False), THEORY, True, None)
        frames.append(made)
    return frames


def make_dataset(folder: Path, count: int = 36) -> Path:
    """Write frames and split them; returns the folder that holds datasets/eq and dataset.json."""
    frames = make_frames(count)
    il_frames.write_frames(folder / "a.labelled.extxyz", frames)
    rows = [{"frame_id": f.info["frame_id"], "theory_id": THEORY, "converged": True, "reason": None} for f in frames]
    pl.DataFrame(rows, schema_overrides={"reason": pl.String}).write_parquet(folder / "a.labels.parquet")
    settings = {"datasets": {"eq": ["eq"]}, "split": {"valid": 0.15, "test": 0.1, "seed": 1}, "max_failed_fraction": 0}
    split_dataset.split_dataset(
        settings, [folder / "a.labelled.extxyz"], [folder / "a.labels.parquet"], folder / "split"
    )
    return folder / "split"


def write_settings(path: Path, settings: dict[str, Any]) -> Path:
    """Write the settings of a model of the dataset eq."""
    identity = {
        "id": "m-eq-s1",
        "model": "m",
        "dataset": "eq",
        "seed": 1,
        "theory_id": THEORY,
        "mode": None,
        "weights": None,
    }
    path.write_text(json.dumps(identity | settings))
    return path


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
        assert split_dataset.sha256((model / name).read_bytes()) == digest
    assert card["theory_id"] == data["theory_id"] == THEORY
    assert card["dataset_hash"] == data["datasets"]["eq"]["dataset_hash"]
    assert card["split_hash"] == data["datasets"]["eq"]["split_hash"]
    assert card["e0s_ev"] == data["datasets"]["eq"]["e0s_ev"]
    assert card["elements"] == ["Li", "F"]
    assert card["cost"]["wall_s"] > 0
    assert {"id", "model", "framework", "dataset", "seed", "licence", "settings", "cutoff_A", "versions"} <= set(card)
    return card
