"""Conformers against rdkit: its own dihedrals, its own shapes, puckers built from their definition."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdMolDescriptors, rdMolTransforms

from ionmelt.liquid import ions
from ionmelt.measure import conformers as ilc
from ionmelt.measure import flexibility, shape
from ionmelt.topology import Topology

ASSETS = Path(__file__).parents[3] / "assets"
PYR14, TFSI = (yaml.safe_load((ASSETS / "ions" / f"{name}.yaml").read_text())["smiles"] for name in ("pyr14", "tfsi"))
PIPERIDINIUM = "CCC[N+]1(C)CCCCC1"


def resolved(name: str, smiles: str, count: int) -> dict:
    return ions.resolve({"name": name, "smiles": smiles, "count": count}, {})


def mol_of(smiles: str) -> Chem.Mol:
    whole = ions.parse(smiles)
    mol = flexibility.molecule(smiles, [atom.GetSymbol() for atom in whole.GetAtoms()])
    assert mol is not None
    return mol


def embedded(smiles: str, n: int) -> tuple[Chem.Mol, np.ndarray]:
    mol = ions.parse(smiles)
    ids = list(rdDistGeom.EmbedMultipleConfs(mol, n, randomSeed=5))
    assert len(ids) == n
    return mol, np.array([mol.GetConformer(i).GetPositions() for i in ids])


def test_torsions_are_those_that_chemists_name() -> None:
    torsions = {t.name: t for t in flexibility.torsions(mol_of(PYR14))}
    assert set(torsions) == {"C-C-C-C", "C-C-C-N", "C-C-N-C"}
    assert all([name for name, _, _ in t.classes] == ["gauche", "anti"] for t in torsions.values())
    # round the bond to nitrogen from the methyl group, not from one of the ring's two equal carbons
    mol = mol_of(PYR14)
    ends = torsions["C-C-N-C"].atoms[0]
    assert not mol.GetAtomWithIdx(int(ends[-1])).IsInRing() and mol.GetAtomWithIdx(int(ends[-1])).GetDegree() == 1
    tfsi = {t.name: t for t in flexibility.torsions(mol_of(TFSI))}
    assert set(tfsi) == {"C-S...S-C", "S-N-S-C"}  # CF3 tops turn onto themselves
    assert len(tfsi["S-N-S-C"].atoms) == 2 and [c[0] for c in tfsi["C-S...S-C"].classes] == ["cis", "trans"]
    fsi = {t.name for t in flexibility.torsions(mol_of("FS(=O)(=O)[N-]S(=O)(=O)F"))}
    assert fsi == {"F-S...S-F", "S-N-S-F"}
    assert {t.name for t in flexibility.torsions(mol_of("CCCCn1cc[n+](C)c1"))} == {"C-C-C-C", "C-C-C-N", "C-C-N-C"}
    twice = [t.name for t in flexibility.torsions(mol_of("CCC(C)CC(=O)[O-]"))]
    assert len(twice) == len(set(twice))
    for rigid in ("[Li+]", "F[B-](F)(F)F", "CCn1cc[n+](C)c1"):
        assert not flexibility.rings(mol_of(rigid))


def test_every_class_has_its_place() -> None:
    for classes in (flexibility.TETRAHEDRAL, flexibility.IUPAC, flexibility.CIS_TRANS):
        assert classes[0][1] == 0 and classes[-1][2] == 180
        assert all(a[2] == b[1] for a, b in itertools.pairwise(classes))


@pytest.mark.parametrize("smiles", [PYR14, TFSI, PIPERIDINIUM])
def test_dihedrals_are_those_of_rdkit(smiles: str) -> None:
    mol, x = embedded(smiles, 6)
    for torsion in flexibility.torsions(mol_of(smiles)):
        angles = shape.dihedrals(x, torsion.atoms)
        for frame, conformer in zip(angles, mol.GetConformers(), strict=True):
            for angle, atoms in zip(frame, torsion.atoms.tolist(), strict=True):
                if mol.GetBondBetweenAtoms(atoms[1], atoms[2]):
                    assert angle == pytest.approx(rdMolTransforms.GetDihedralDeg(conformer, *atoms), abs=0.01)
                else:  # a pseudo-torsion, which rdkit has no bond for: by vectors
                    a, b, c, d = (np.array(conformer.GetAtomPosition(i)) for i in atoms)
                    n1, n2 = np.cross(b - a, c - b), np.cross(c - b, d - c)
                    cosine = n1 @ n2 / np.linalg.norm(n1) / np.linalg.norm(n2)
                    assert abs(angle) == pytest.approx(math.degrees(math.acos(cosine)), abs=0.05)


def test_shapes_are_those_of_rdkit() -> None:
    mol, x = embedded(PYR14, 5)
    masses = np.array([atom.GetMass() for atom in mol.GetAtoms()])
    eigenvalues = shape.gyration(x, masses)
    shapes = shape.shape(eigenvalues)
    for i in range(5):
        assert shapes["radius_of_gyration"][i] == pytest.approx(rdMolDescriptors.CalcRadiusOfGyration(mol, i), rel=1e-4)
        # rdkit's asphericity is the relative shape anisotropy
        assert shapes["relative_shape_anisotropy"][i] == pytest.approx(
            rdMolDescriptors.CalcAsphericity(mol, i), rel=1e-3
        )


def test_shapes_of_a_line_a_disc_and_a_ball() -> None:
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    line = np.column_stack([np.arange(12.0), np.zeros((12, 2))])
    disc = np.column_stack([np.cos(turn), np.sin(turn), np.zeros(12)])
    ball = np.vstack([np.eye(3), -np.eye(3), np.eye(3), -np.eye(3)])
    eigenvalues = shape.gyration(np.array([line, disc, ball]), np.ones(12))
    np.testing.assert_allclose(shape.shape(eigenvalues)["relative_shape_anisotropy"], [1, 0.25, 0], atol=1e-12)
    states = shape.shape_states(eigenvalues)
    assert {name: where.tolist() for name, where in states.items()} == {
        "sphere": [False, False, True], "rod": [True, False, False], "disc": [False, True, False],
    }  # fmt: skip


# --- rings --------------------------------------------------------------------------------------------------


def ring(n: int, amplitude: float, phase: float, polar: float = 90.0) -> np.ndarray:
    """A ring with these Cremer-Pople coordinates, tilted and shifted (n, 3)."""
    k = np.arange(n)
    x = np.column_stack([1.4 * np.cos(2 * np.pi * k / n), -1.4 * np.sin(2 * np.pi * k / n), np.zeros(n)])
    q2 = amplitude * math.sin(math.radians(polar))
    x[:, 2] = math.sqrt(2 / n) * q2 * np.cos(math.radians(phase) + 4 * np.pi * k / n)
    if n == 6:
        x[:, 2] += amplitude * math.cos(math.radians(polar)) * (-1.0) ** k / math.sqrt(6)
    turned, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    turned *= np.sign(np.linalg.det(turned))
    return x @ turned.T + [5.0, -3.0, 40.0]


@pytest.mark.parametrize("phase", [0.0, 18.0, 100.0, 234.0, 359.0])
def test_puckers_come_back_from_their_own_definition(phase: float) -> None:
    q, phi, theta = shape.puckering(ring(5, 0.4, phase))
    assert q == pytest.approx(0.4) and theta == pytest.approx(90)
    assert (phi - phase + 180) % 360 == pytest.approx(180, abs=1e-6)
    for polar in (5.0, 60.0, 175.0):
        q, phi, theta = shape.puckering(ring(6, 0.55, phase, polar))
        assert q == pytest.approx(0.55) and theta == pytest.approx(polar)
        assert (phi - phase + 180) % 360 == pytest.approx(180, abs=1e-6)


def test_envelope_twist_and_chair_are_what_the_words_mean() -> None:
    """An envelope has four atoms in a plane; a twist has its axis through one atom; a chair alternates."""

    def state(x: np.ndarray) -> str:
        coordinates = shape.puckering(x)
        return next(name for name, where in shape.pucker_states(len(x), *coordinates).items() if where)

    envelope = ring(5, 0.4, 0.0)
    rest = envelope[1:] - envelope[1:].mean(axis=0)
    assert np.linalg.svd(rest)[1][2] < 0.02 and state(envelope) == "envelope"
    assert state(ring(5, 0.4, 18.0)) == "twist" and state(ring(5, 0.4, 342.0)) == "twist"
    assert state(ring(5, 0.05, 40.0)) == "planar"
    assert state(ring(6, 0.55, 40.0, 3.0)) == "chair" and state(ring(6, 0.55, 0.0, 90.0)) == "boat"
    mol, x = embedded(PIPERIDINIUM, 10)
    atoms = list(flexibility.rings(mol_of(PIPERIDINIUM))[0].atoms)
    assert mol.GetAtomWithIdx(atoms[0]).GetSymbol() == "N"
    chairs = 0
    for frame, conformer in zip(x, mol.GetConformers(), strict=True):
        inside = [[atoms[(i + k) % 6] for k in range(4)] for i in range(6)]
        angles = np.array([rdMolTransforms.GetDihedralDeg(conformer, *four) for four in inside])
        alternates = bool((angles[::2] > 0).all() and (angles[1::2] < 0).all()) or bool(
            (angles[::2] < 0).all() and (angles[1::2] > 0).all()
        )
        assert (state(frame[atoms]) == "chair") == alternates
        chairs += alternates
    assert 0 < chairs < len(x)


# --- populations --------------------------------------------------------------------------------------------


def test_populations_are_what_was_put_in_with_an_interval_that_holds_it() -> None:
    """Ions that hop between an anti and a gauche butyl conformer, three quarters of the time anti."""
    mol, _ = embedded(PYR14, 1)
    names = {t.name: t.atoms[0].tolist() for t in flexibility.torsions(mol_of(PYR14))}
    shapes = {}
    for angle in (180.0, 65.0):
        copy = Chem.Mol(mol)
        rdMolTransforms.SetDihedralDeg(copy.GetConformer(), *names["C-C-C-C"], angle)
        shapes[angle] = copy.GetConformer().GetPositions()
    topology = Topology("toy", [resolved("pyr14", PYR14, 6), resolved("li", "[Li+]", 1)])
    rng = np.random.default_rng(10)
    anti = rng.uniform(size=(600, 6)) < 0.75
    x = np.zeros((600, len(topology), 3))
    for ion in range(6):
        start = topology.starts[ion]
        here = np.where(anti[:, ion, None, None], shapes[180.0], shapes[65.0])
        x[:, start : start + here.shape[1]] = here + np.array([9.0 * ion, 0, 0])
    conformers = ilc.Conformers(topology)
    assert [s.name for s in conformers.species] == ["pyr14"]  # lithium has no conformers, and no rows
    for block in np.split(x, 4):
        conformers.add(block)
    structure, rows = conformers.rows(0.5)
    row_of = {(r["feature"], r["quantity"], r.get("state")): r for r in rows}
    row = row_of["C-C-C-C", "population", "anti"]
    assert row["ci95_low"] < 0.75 < row["ci95_high"] and row["unit"] == "1" and row["converged"], row["reason"]
    assert row["value"] == pytest.approx(anti.mean()) and row["frames"] == 600 and row["interval_ps"] == 0.5
    assert row["value"] + row_of["C-C-C-C", "population", "gauche"]["value"] == pytest.approx(1)
    still = [row_of["C-C-N-C", "population", name] for name in ("gauche", "anti")]
    assert {r["value"] for r in still} == {0.0, 1.0} and not any(r["converged"] for r in still)
    assert {r["reason"] for r in still} == {"never seen in this run", "nothing else seen in this run"}
    assert sum(r["value"] for key, r in row_of.items() if key[:2] == ("shape", "population")) == pytest.approx(1)
    assert row_of["ring N-C-C-C-C", "puckering_amplitude", None]["unit"] == "A"
    curve = [r for r in structure if r["quantity"] == "torsion" and r["pair"] == "pyr14 C-C-C-C"]
    assert sum(r["value"] for r in curve) * ilc.ANGLE_BIN_DEG == pytest.approx(1)
    peak = max(curve, key=lambda r: r["value"])
    assert peak["angle_deg"] == 177.5 and peak["unit"] == "1/deg"


@pytest.mark.parametrize("frames", [1, 5, 20])
def test_short_runs_give_reasons(frames: int) -> None:
    topology = Topology("toy", [resolved("tfsi", TFSI, 3)])
    _, shapes = embedded(TFSI, 3)
    rng = np.random.default_rng(9)
    conformers = ilc.Conformers(topology)
    conformers.add(np.concatenate([shapes[rng.integers(0, 3, frames)] + 9.0 * i for i in range(3)], axis=1))
    _, rows = conformers.rows(1.0)
    assert len(rows) > 8
    assert all(r["reason"] and not r["converged"] for r in rows if r["ci95_low"] is None)
    assert any(r["converged"] for r in rows) is (frames == 20)


def test_an_ion_whose_smiles_is_another_is_left_out() -> None:
    ion = resolved("tfsi", TFSI, 2)
    assert ilc.Conformers(Topology("toy", [ion | {"smiles": PYR14}])).species == []
    assert ilc.Conformers(Topology("toy", [ion | {"smiles": ""}])).species == []
