"""Labels by the liquids' own force fields: derivatives of their energy, and what a model of framework classical says."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import openmm
import polars as pl
import pytest
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from ionmelt.errors import UserError
from ionmelt.frame import CHARGE_KEY, Label, make_frame, shown, values_problem
from ionmelt.frame_file import read_frames, write_frames
from ionmelt.labels import labelling
from ionmelt.labels.engines.classical import Engine
from ionmelt.labels.engines.settings import ClassicalLabels, LabelledBoxes, LabelledBy
from ionmelt.labels.settings import LabelSettings
from ionmelt.liquid import packing
from ionmelt.liquid.calculator import STRAIN
from ionmelt.liquid.force_field_digest import force_field_digest
from ionmelt.models import calculators
from ionmelt.topology import Topology

ASSETS = Path(__file__).resolve().parents[4] / "assets"
CHLORIDE_XML = """<ForceField>
 <AtomTypes>
  <Type name="N" class="N" element="Na" mass="22.99"/><Type name="C" class="C" element="Cl" mass="35.45"/>
 </AtomTypes>
 <Residues>
  <Residue name="NA"><Atom name="X" type="N"/></Residue><Residue name="CL"><Atom name="Y" type="C"/></Residue>
 </Residues>
 <NonbondedForce coulomb14scale="0.5" lj14scale="0.5">
  <Atom type="N" charge="1.0" sigma="0.22" epsilon="1.5"/>
  <Atom type="C" charge="-1.0" sigma="0.48" epsilon="0.05"/>
 </NonbondedForce>
</ForceField>"""


def ion(name: str, smiles: str, charge: int, count: int) -> dict[str, Any]:
    return {"name": name, "smiles": smiles, "charge": charge, "count": count, "types": None, "hydrogen_types": None}


LIQUIDS = {
    "il": ("clandp", 1000.0, 5.4, [ion("pyr14", "CCCC[N+]1(C)CCCC1", 1, 4), ion("bf4", "F[B-](F)(F)F", -1, 4)]),
    "salt": ("own.xml", 1500.0, 4.0, [ion("na", "[Na+]", 1, 12), ion("cl", "[Cl-]", -1, 12)]),
}


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Packed boxes of an ionic liquid by CL&P and of a salt by a user's XML."""
    folder = tmp_path_factory.mktemp("boxes")
    (folder / "own.xml").write_text(CHLORIDE_XML)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for liquid, (force_field, density, cutoff_A, ions) in LIQUIDS.items():
            settings = {
                "id": f"{liquid}-r1", "liquid": liquid, "replica": 1, "seed": 1, "charge_scale": 1.0, "density_guess_kg_m3": density,
                "force_field": force_field, "cutoff_A": cutoff_A, "ions": ions,
            }  # fmt: skip
            Path(f"{liquid}.json").write_text(json.dumps(settings))
            arguments = ["--id", f"{liquid}-r1", "--settings", f"{liquid}.json", "--assets", str(ASSETS)]
            force_field_arguments = ["--force-field", "own.xml"] if force_field == "own.xml" else []
            assert packing.main([*arguments, *force_field_arguments, "--out", liquid]) == 0
            relax(Path(liquid))
    return {liquid: folder / liquid for liquid in LIQUIDS}


def relax(box: Path) -> None:
    """Move the atoms of a packed box to where no force is large."""
    system = openmm.XmlSerializer.deserialize((box / "system.xml").read_text())
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    atoms = ase.io.read(box / "box.extxyz")
    context.setPositions(atoms.positions / 10)
    openmm.LocalEnergyMinimizer.minimize(context, 10.0, 300)
    atoms.positions = context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(openmm.unit.angstrom)
    ase.io.write(box.with_suffix(".extxyz"), atoms)


def planned(boxes: dict[str, Path]) -> LabelledBoxes:
    """Return the boxes with the force fields that the plan writes for them."""
    force_fields = {}
    for liquid, box in boxes.items():
        file = next(box.glob("force_field.*"))
        digest = force_field_digest(file, Topology.load(box / "topology.json").ions)
        force_fields[liquid] = LabelledBy(name=file.name, sha256=digest, cutoff_A=LIQUIDS[liquid][2])
    return LabelledBoxes(tuple(boxes.values()), force_fields)


@pytest.fixture(scope="module")
def engine(boxes: dict[str, Path]) -> Engine:
    return Engine(ClassicalLabels(engine="classical"), 1, planned(boxes))


def frame(box: Path, **info: Any) -> Atoms:
    """Return the relaxed box as a frame, its atoms a little off their places."""
    atoms = ase.io.read(box.with_suffix(".extxyz"))
    positions = atoms.positions + np.random.default_rng(2).normal(scale=0.03, size=atoms.positions.shape)
    info = {"kind": "neq", "recipe": "rattle", "group": "g"} | info
    arrays = atoms.arrays["molecule"], atoms.arrays["ion"]
    return make_frame(atoms.numbers, positions, atoms.cell.array, *arrays, liquid=atoms.info["liquid"], **info)


def cluster(box: Path, molecules: list[int], **info: Any) -> Atoms:
    """Return some ions of a box alone, with room around them."""
    whole = frame(box)
    kept = np.isin(whole.arrays["molecule"], molecules)
    positions = whole.positions[kept] - whole.positions[kept].min(axis=0) + 6.0
    molecule = np.unique(whole.arrays["molecule"][kept], return_inverse=True)[1]
    info = {"kind": "neq", "recipe": "clusters", "group": "g"} | info
    edges = positions.max(axis=0) + 6.0
    return make_frame(
        whole.numbers[kept], positions, edges, molecule, whole.arrays["ion"][kept], liquid=whole.info["liquid"], **info
    )


def moved(atoms: Atoms, index: int, axis: int, by: float) -> Atoms:
    other = atoms.copy()
    other.positions[index, axis] += by
    return other


def energy(engine: Engine, atoms: Atoms) -> float:
    label = engine.label(atoms)
    assert label.energy_ev is not None
    return label.energy_ev


def usable(label: Label) -> Label:
    """Return a label that has numbers which the contract takes."""
    assert label.reason is None
    assert label.energy_ev is not None and label.forces_ev_a is not None and label.stress_ev_a3 is not None
    assert values_problem(label.energy_ev, label.forces_ev_a, label.stress_ev_a3, len(label.forces_ev_a)) is None
    return label


@pytest.mark.parametrize("liquid", LIQUIDS)
@pytest.mark.parametrize("whole", [True, False])
def test_forces_are_derivatives_of_the_energy(boxes: dict[str, Path], engine: Engine, liquid: str, whole: bool) -> None:
    box = boxes[liquid]
    atoms = shown(frame(box) if whole else cluster(box, [0, len(np.unique(frame(box).arrays["molecule"])) - 1]))
    label = usable(engine.label(atoms))
    h = 2e-3
    for index, axis in ((0, 0), (len(atoms) // 2, 1), (len(atoms) - 1, 2)):
        slope = (energy(engine, moved(atoms, index, axis, h)) - energy(engine, moved(atoms, index, axis, -h))) / (2 * h)
        assert label.forces_ev_a[index, axis] == pytest.approx(-slope, abs=5e-3)


@pytest.mark.parametrize("liquid", LIQUIDS)
def test_the_stress_is_the_derivative_of_strain(boxes: dict[str, Path], engine: Engine, liquid: str) -> None:
    """Positive is tension, in eV/A^3: a box that wants to shrink pulls.

    The step is the engine's: where a pair crosses the cut-off the energy jumps, and another step would meet other jumps.
    """
    atoms = shown(frame(boxes[liquid]))
    label = usable(engine.label(atoms))
    h = STRAIN
    for i, j in ((0, 0), (1, 1), (2, 2), (1, 0), (2, 1)):
        ends = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * h
            other = atoms.copy()
            other.set_cell(atoms.cell.array @ strain)
            other.positions = atoms.positions @ strain
            ends.append(energy(engine, other))
        slope = (ends[0] - ends[1]) / (2 * h) / atoms.get_volume()
        assert label.stress_ev_a3[i, j] == label.stress_ev_a3[j, i] == pytest.approx(slope, abs=2e-5)


def test_labels_are_what_the_classical_model_says(
    boxes: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command line, of chunks with several liquids, to the bit; in the order of the frames and in another."""
    monkeypatch.chdir(tmp_path)
    frames = [frame(box, group=liquid) for liquid, box in boxes.items()]
    frames += [make_scaled(frames[0], scale) for scale in (0.98, 1.03)]
    settings = LabelSettings.of(ClassicalLabels(engine="classical"), "0123456789ab", planned(boxes).force_fields)
    (tmp_path / "labels.json").write_text(settings.model_dump_json())
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.json").write_text(
        json.dumps({"id": "clp", "model": "clp", "framework": "classical", "files": {}})
    )
    for name, chunk in (("a", frames), ("b", frames[::-1])):
        write_frames(tmp_path / f"{name}.extxyz", chunk)
        given = ["--id", "c", "--settings", str(tmp_path / "labels.json"), "--frames", str(tmp_path / f"{name}.extxyz")]
        assert labelling.main([*given, "--out", str(tmp_path / name), "--boxes", *map(str, boxes.values())]) == 0
    labelled = read_frames(tmp_path / "a.labelled.extxyz", labelled=True)
    assert len(labelled) == len(frames)
    models = {liquid: calculators.load_calculator(tmp_path / "model", box) for liquid, box in boxes.items()}
    for atoms in labelled:
        model = shown(atoms)
        model.calc = models[atoms.info["liquid"]]
        model.calc.reset()
        assert atoms.info["REF_energy"] == pytest.approx(model.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(atoms.arrays["REF_forces"], model.get_forces(), atol=1e-8)
        stress = voigt_6_to_full_3x3_stress(model.get_stress())
        np.testing.assert_allclose(atoms.info["REF_stress"], stress, atol=1e-9)
    columns = ["frame_id", "energy_ev", "pressure_bar", "reason", "engine", "converged"]
    tables = [pl.read_parquet(tmp_path / f"{name}.labels.parquet").select(columns).sort("frame_id") for name in "ab"]
    assert tables[0].equals(tables[1])
    assert tables[0]["engine"].unique().to_list() == ["classical"]


def make_scaled(atoms: Atoms, scale: float) -> Atoms:
    """Return a frame of a volume scan: the centres of the ions scaled, the ions as they are."""
    positions = atoms.positions.copy()
    for molecule in np.unique(atoms.arrays["molecule"]):
        members = atoms.arrays["molecule"] == molecule
        positions[members] += (scale - 1) * positions[members].mean(axis=0)
    info = {key: atoms.info[key] for key in ("liquid", "kind", "group")} | {"recipe": "volume_scan"}
    arrays = atoms.arrays["molecule"], atoms.arrays["ion"]
    return make_frame(atoms.numbers, positions, atoms.cell.array * scale, *arrays, **info)


def test_ions_alone_have_no_images(boxes: dict[str, Path], engine: Engine) -> None:
    """A cluster and an ion alone have the energy of their pieces, whatever the box around them."""
    pair = cluster(boxes["salt"], [0, 12])
    label = usable(engine.label(shown(pair)))
    distance = pair.get_distance(0, 1)
    sigma, epsilon = (2.2 + 4.8) / 2, np.sqrt(1.5 * 0.05) / 96.4853  # Lorentz-Berthelot
    lennard_jones = 4 * epsilon * ((sigma / distance) ** 12 - (sigma / distance) ** 6)
    assert label.energy_ev == pytest.approx(-14.399645 / distance + lennard_jones, rel=1e-4)
    # the stress is that of one bond, pulled along it
    pull = np.outer(label.forces_ev_a[0], pair.positions[1] - pair.positions[0]) / pair.get_volume()
    np.testing.assert_allclose(label.stress_ev_a3, pull, atol=1e-6)
    alone = usable(engine.label(shown(cluster(boxes["salt"], [0], **{CHARGE_KEY: 1}))))
    assert alone.energy_ev == pytest.approx(0, abs=1e-9) and not alone.forces_ev_a.any()
    cation = usable(engine.label(shown(cluster(boxes["il"], [0], **{CHARGE_KEY: 1}))))
    assert abs(cation.forces_ev_a.sum()) < 1e-3 < np.abs(cation.forces_ev_a).max()


def test_a_box_below_the_cutoff_has_no_label(boxes: dict[str, Path], engine: Engine) -> None:
    small = frame(boxes["salt"])
    small.set_cell(np.full(3, 7.999))
    assert engine.label(shown(small)).reason == "box_below_cutoff"
    small.set_cell(np.full(3, 8.01))
    assert engine.label(shown(small)).reason is None


def test_a_force_field_that_is_not_the_plans(boxes: dict[str, Path]) -> None:
    settings, right = ClassicalLabels(engine="classical"), planned(boxes)
    other = right.force_fields["salt"].model_copy(update={"sha256": 64 * "0"})
    with pytest.raises(UserError, match=r"liquids: salt: its force field has sha256 \w+, not 0000"):
        Engine(settings, 1, replace(right, force_fields={**right.force_fields, "salt": other}))
    with pytest.raises(UserError, match="the box of salt is not given"):
        Engine(settings, 1, replace(right, folders=(boxes["il"],)))
