"""Packed boxes: neutral, whole, apart under periodic boundaries, and the same every time."""

import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import openmm
import pytest

from ionmelt.errors import UserError
from ionmelt.liquid import packing
from ionmelt.liquid.settings import BoxSettings
from ionmelt.topology import Topology

ASSETS = Path(__file__).resolve().parents[3] / "assets"
PYR14, BF4, TFSI = "CCCC[N+]1(C)CCCC1", "F[B-](F)(F)F", "O=S(=O)([N-]S(=O)(=O)C(F)(F)F)C(F)(F)F"


def settings(**changes: Any) -> dict[str, Any]:
    def given(name: str, smiles: str, charge: int, count: int) -> dict[str, Any]:
        return {
            "name": name,
            "smiles": smiles,
            "charge": charge,
            "count": count,
            "types": None,
            "hydrogen_types": None,
        }

    default = {
        "id": "x-r1", "liquid": "x", "replica": 1, "seed": 3, "charge_scale": 1.0, "density_guess_kg_m3": 1300.0,
        "force_field": "clandp", "cutoff_A": "auto",
        "ions": [given("li", "[Li+]", 1, 1), given("pyr14", PYR14, 1, 3), given("anion", TFSI, -1, 4)],
    }  # fmt: skip
    return {**default, **changes}


def run(folder: Path, name: str, **changes: Any) -> int:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(settings(**changes)))
    return packing.main(["--id", "x-r1", "--settings", str(path), "--assets", str(ASSETS), "--out", str(folder / name)])


@pytest.fixture(autouse=True)
def _work_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def slow_contact(x: np.ndarray, edge: float, molecule: np.ndarray) -> float:
    shifts = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T * edge
    best = np.inf
    for shift in shifts:
        d = np.linalg.norm(x[:, None] - x[None] + shift, axis=-1)
        same = molecule[:, None] == molecule[None]
        best = min(best, d[~same].min())
        if shift.any():
            best = min(best, d[same].min())
    return best


def test_box_folder(tmp_path: Path) -> None:
    assert run(tmp_path, "a") == 0
    atoms = ase.io.read(tmp_path / "a/box.extxyz")
    topology = Topology.load(tmp_path / "a/topology.json")
    assert len(atoms) == len(topology) == 1 + 3 * 30 + 4 * 15
    assert atoms.get_chemical_symbols() == list(topology.elements)
    assert list(atoms.arrays["molecule"]) == list(topology.molecule)
    assert list(atoms.arrays["ion"]) == list(topology.ion)
    assert set(topology.ion) == {"li", "pyr14", "anion"} and atoms.info["liquid"] == "x"
    assert atoms.pbc.all() and topology.charges_e.sum() == 0
    edge = atoms.cell.lengths()[0]
    np.testing.assert_array_equal(np.array(atoms.cell), np.eye(3) * edge)
    assert topology.masses_u.sum() * 1660.539 / edge**3 == pytest.approx(0.8 * 1300, rel=1e-4)
    # whole ions: every bond is short as it stands
    lengths = np.linalg.norm(np.diff(atoms.positions[topology.bonds], axis=1)[:, 0], axis=1)
    assert lengths.max() < 2.0
    contact = slow_contact(atoms.positions, edge, topology.molecule)
    assert 1.98 < contact < 3  # 2 A, to packmol's precision
    contact_A = packing.closest_contact_A(atoms.positions, edge, topology.molecule)
    assert contact_A == pytest.approx(contact, abs=1e-9)
    system = openmm.XmlSerializer.deserialize((tmp_path / "a/system.xml").read_text())
    assert system.getNumParticles() == len(atoms) and system.getNumConstraints() == 0
    assert (tmp_path / "a/force_field.yaml").read_bytes() == (ASSETS / "forcefields/clandp.yaml").read_bytes()
    assert (tmp_path / "BUILD_LIQUID.x-r1.task.json").exists()


def test_same_seed_same_bytes_and_another_seed_another_box(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert run(tmp_path, name, seed=seed) == 0
    for file in ("box.extxyz", "topology.json", "system.xml"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    a, c = (ase.io.read(tmp_path / name / "box.extxyz").positions for name in "ac")
    assert np.abs(a - c).max() > 1


def test_xtb_needs_no_parameters(tmp_path: Path) -> None:
    ions = [
        {"name": "li", "smiles": "[Li+]", "charge": 1, "count": 4, "types": None, "hydrogen_types": None},
        {
            "name": "dca",
            "smiles": "N#C[N-]C#N",
            "charge": -1,
            "count": 4,
            "types": None,
            "hydrogen_types": None,
        },
    ]
    assert run(tmp_path, "a", ions=ions, force_field="xtb") == 0
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["SHA256SUMS", "box.extxyz", "topology.json"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ions": settings()["ions"][1:]}, "net charge is -1 e; change the counts"),
        (
            {"ions": [*settings()["ions"], {**settings()["ions"][0], "name": "tri", "smiles": "N#N", "charge": 0}]},
            "ion tri (N#N): clandp has no",
        ),
        ({"ions": [{**settings()["ions"][0], "name": "bad", "smiles": "C1CC"}]}, "smiles 'C1CC' is not a valid SMILES"),
        ({"cutoff_A": 9.0}, "equilibration.cutoff_A 9.0: too near half the box edge"),
        ({"force_field": "nosuch.xml"}, "force_field nosuch.xml: OpenMM cannot use it"),
    ],
)
def test_mistakes_end_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], changes: dict[str, Any], message: str
) -> None:
    assert run(tmp_path, "a", **changes) == 2
    stderr = capfd.readouterr().err
    assert message in stderr and stderr.startswith("error: ") and stderr.count("\n") == 1
    assert not (tmp_path / "a").exists()


def test_a_box_too_dense_is_loosened_then_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    edges: list[float] = []

    def never(*args: Any) -> None:
        edges.append(args[2])

    monkeypatch.setattr(packing, "pack", never)
    water = {"name": "water", "smiles": "O", "charge": 0, "count": 5, "types": None, "hydrogen_types": None}
    with pytest.raises(UserError, match=r"packmol found no packing of 5 molecules and 8 ions at 0\.5 of density_guess"):
        packing.build(BoxSettings.model_validate(settings(ions=[*settings()["ions"], water])), ASSETS)
    volumes = np.array(edges) ** 3
    np.testing.assert_allclose(volumes[0] / volumes, np.array([0.8, 0.7, 0.6, 0.5]) / 0.8)


def test_a_packing_with_a_contact_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    real = packing.pack
    calls: list[float] = []

    def flawed(*args: Any) -> np.ndarray | None:
        calls.append(args[2])
        positions = real(*args)
        if len(calls) == 1 and positions is not None:
            positions[0] = positions[5] + 0.5  # the lithium inside a cation
        return positions

    monkeypatch.setattr(packing, "pack", flawed)
    _, _, edge = packing.build(BoxSettings.model_validate(settings()), ASSETS)
    assert len(calls) == 2 and edge > calls[0]


def test_cutoff_leaves_room_for_the_barostat() -> None:
    topology, _, _ = packing.build(BoxSettings.model_validate(settings()), ASSETS)
    edge = packing.box_edge_A(topology, 1300)
    assert packing.choose_cutoff_A(topology, 1300, "auto") == pytest.approx(0.42 * edge, abs=1e-3)
    assert packing.choose_cutoff_A(topology, 1300, 4.5) == 4.5
    assert packing.choose_cutoff_A(topology, 1.0, None) == 9.0
