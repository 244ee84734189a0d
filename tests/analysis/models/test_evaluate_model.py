"""EVALUATE_MODEL: the projection of forces, the molecular pressure, and tables that tell what went wrong."""

import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import polars as pl
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lj import LennardJones
from breathing_salt import state_record

from ionmelt import frame_file
from ionmelt.compare.reading import Failure
from ionmelt.frame import make_frame, set_label
from ionmelt.models import accuracy, motions
from ionmelt.models import evaluation as em
from ionmelt.models import parity as models_parity
from ionmelt.models import prediction as models_prediction
from ionmelt.models import scan as models_scan
from ionmelt.tables.evaluation import ERRORS
from ionmelt.topology import Ion, Topology

MASSES = np.array([12.0, 1.0, 1.0, 16.0, 19.0, 7.0, 7.0])
MOLECULE = np.array([0, 0, 0, 0, 1, 2, 2])  # bent, single atom, linear


def geometry(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    positions = np.random.default_rng(seed).normal(scale=1.5, size=(7, 3))
    return positions, MASSES, MOLECULE


def test_parts_add_up_and_depend_on_nothing_but_shape() -> None:
    rng = np.random.default_rng(1)
    forces = rng.normal(size=(7, 3))
    positions, *rest = geometry()
    parts = motions.by_motion(forces, positions, *rest)
    np.testing.assert_allclose(sum(parts.values()), forces, atol=1e-14)
    # Moving a whole molecule by a lattice vector changes nothing.
    moved = motions.by_motion(forces, positions + np.array([7.0, -3.0, 11.0]) * (MOLECULE == 0)[:, None], *rest)
    for name, force in parts.items():
        np.testing.assert_allclose(moved[name], force, atol=1e-10)


def test_rigid_translation_is_all_translation() -> None:
    positions, *rest = geometry()
    acceleration = np.array([[0.3, -0.2, 0.5], [1.0, 0.0, 0.0], [0.0, 2.0, -1.0]])
    parts = motions.by_motion(MASSES[:, None] * acceleration[MOLECULE], positions, *rest)
    np.testing.assert_allclose(parts["translation"], MASSES[:, None] * acceleration[MOLECULE], atol=1e-13)
    np.testing.assert_allclose(parts["rotation"], 0, atol=1e-12)
    np.testing.assert_allclose(parts["vibration"], 0, atol=1e-12)


def test_rigid_rotation_is_all_rotation() -> None:
    positions, *rest = geometry()
    turn = np.array([[0.3, -0.2, 0.5], [1.0, 0.0, 0.0], [0.0, 2.0, -1.0]])
    forces = MASSES[:, None] * np.cross(turn[MOLECULE], motions.arms(positions, MASSES, MOLECULE))
    parts = motions.by_motion(forces, positions, *rest)
    np.testing.assert_allclose(parts["rotation"], forces, atol=1e-10)
    np.testing.assert_allclose(parts["vibration"], 0, atol=1e-10)


def test_stretch_is_all_vibration() -> None:
    positions, *rest = geometry()
    bond = positions[1] - positions[0]
    forces = np.zeros((7, 3))
    forces[0], forces[1] = bond, -bond
    parts = motions.by_motion(forces, positions, *rest)
    np.testing.assert_allclose(parts["vibration"], forces, atol=1e-12)


def test_single_atoms_only_translate_and_vibration_is_inert() -> None:
    forces = np.random.default_rng(2).normal(size=(7, 3))
    positions, *rest = geometry()
    parts = motions.by_motion(forces, positions, *rest)
    np.testing.assert_allclose(parts["translation"][4], forces[4])
    np.testing.assert_allclose(motions.sum_by(parts["vibration"], MOLECULE), 0, atol=1e-13)
    torque = motions.sum_by(np.cross(motions.arms(positions, MASSES, MOLECULE), parts["vibration"]), MOLECULE)
    np.testing.assert_allclose(torque, 0, atol=1e-10)


def pair_fluid(seed: int = 3) -> Atoms:
    """Diatomic molecules, as whole molecules, in a box with Lennard-Jones forces between all atoms."""
    rng = np.random.default_rng(seed)
    centres = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * 6.0 + rng.normal(
        scale=0.2, size=(8, 3)
    )
    axes = rng.normal(size=(8, 3))
    axes *= 1.4 / np.linalg.norm(axes, axis=1)[:, None]
    positions = np.stack([centres + axes, centres - axes], axis=1).reshape(-1, 3)
    atoms = Atoms("FC" * 8, positions, cell=[12.0, 12.2, 12.4], pbc=True)
    atoms.arrays["molecule"] = np.repeat(np.arange(8), 2)
    atoms.calc = LennardJones(sigma=2.6, epsilon=0.05, rc=5.9, smooth=True)
    return atoms


def label_of(atoms: Atoms) -> motions.Computed:
    return motions.Computed(atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False))


def test_molecular_pressure_is_minus_de_dv_at_rigid_molecules() -> None:
    atoms = pair_fluid()
    molecule, masses = atoms.arrays["molecule"], atoms.get_masses()
    ends = []
    h = 1e-4
    for scale in (1 + h, 1 - h):
        moved = atoms.copy()
        moved.calc = atoms.calc
        arm = motions.arms(atoms.positions, masses, molecule)
        moved.set_cell(atoms.cell.array * scale)
        moved.positions = (atoms.positions - arm) * scale + arm
        ends.append((moved.get_potential_energy(), moved.get_volume()))
    slope = -(ends[0][0] - ends[1][0]) / (ends[0][1] - ends[1][1]) / units.bar
    pressure = motions.molecular_pressure(label_of(atoms), atoms.positions, masses, molecule, atoms.get_volume())
    assert pressure == pytest.approx(slope, rel=1e-5)
    atomic = -np.trace(atoms.get_stress(voigt=False)) / 3 / units.bar
    assert abs(pressure - atomic) > 100  # the two differ, so the test can fail


def test_molecular_pressure_of_single_atoms_is_the_pressure() -> None:
    atoms = pair_fluid()
    pressure = motions.molecular_pressure(
        label_of(atoms), atoms.positions, atoms.get_masses(), np.arange(len(atoms)), atoms.get_volume()
    )
    assert pressure == pytest.approx(-np.trace(atoms.get_stress(voigt=False)) / 3 / units.bar, rel=1e-12)


def test_one_molecule_alone_has_no_molecular_pressure() -> None:
    atoms = Atoms("FC", [[5, 5, 5], [5, 5, 6.1]], cell=[20, 20, 20], pbc=True)
    atoms.calc = LennardJones(sigma=1.2, epsilon=0.5, rc=4.0, smooth=True)
    assert np.abs(atoms.get_forces()).max() > 0.1
    pressure = motions.molecular_pressure(
        label_of(atoms), atoms.positions, atoms.get_masses(), np.array([0, 0]), atoms.get_volume()
    )
    assert pressure == pytest.approx(0, abs=1e-6)


def test_interval_covers_and_needs_three_groups() -> None:
    assert accuracy.interval(np.array([3.0]), np.array([4])) == (None, None)
    assert accuracy.interval(np.array([3.0, 5.0]), np.array([4, 4])) == (None, None)
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        square, n = rng.chisquare(30, size=25), np.full(25, 30)
        low, high = accuracy.interval(square, n)
        covered += low <= 1.0 <= high
    assert 176 <= covered <= 198  # 95 % nominal; of intervals half as wide again 199


@pytest.mark.parametrize("groups", [3, 4, 5, 8])
def test_interval_covers_of_few_groups_that_differ(groups: int) -> None:
    """As test sets are: a handful of trajectories, some of them harder than others by half of their mean square."""
    rng, n = np.random.default_rng(5), np.full(groups, 300)
    truth, covered = np.exp(0.5**2 / 2) ** 0.5, 0
    for _ in range(300):
        low, high = accuracy.interval(n * np.exp(0.5 * rng.normal(size=groups)), n)
        covered += low <= truth <= high
    assert 270 <= covered <= 286


def test_an_ion_alone_is_shown_without_images_and_with_its_charge() -> None:
    """The stress that no calculator gives without a cell is that of the same atoms in a box without images."""
    atoms = Atoms("FC", [[5, 5, 5], [5, 5, 6.1]], cell=[20, 20, 20], pbc=True)
    atoms.calc = LennardJones(sigma=1.2, epsilon=0.5, rc=4.0, smooth=True)
    frame = make_frame(atoms.numbers, atoms.positions, atoms.cell.array, [0, 0], ["ab"] * 2, liquid="l", charge=-1)
    label = label_of(atoms)
    set_label(frame, label.energy, label.forces, label.stress, "0" * 12, True, None)
    shown: list[Atoms] = []

    class Seen(LennardJones):
        def calculate(self, atoms: Atoms, *args: Any, **kwargs: Any) -> None:
            shown.append(atoms.copy())
            super().calculate(atoms, *args, **kwargs)

    (prediction,) = models_prediction.predict([frame], Seen(sigma=1.2, epsilon=0.5, rc=4.0, smooth=True))
    assert not shown[0].pbc.any() and shown[0].get_initial_charges().sum() == -1
    assert (shown[0].info["charge"], shown[0].info["spin"]) == (-1, 1)
    assert prediction.model is not None and prediction.reason is None
    assert prediction.model.energy == pytest.approx(label.energy, abs=1e-12)
    np.testing.assert_allclose(prediction.model.stress, label.stress, atol=1e-12)
    assert np.abs(label.stress).max() > 1e-6


class Shifted(Calculator):
    """Lennard-Jones with another zero of energy, a little too stiff, that cannot do some frames."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def calculate(
        self, atoms: Atoms | None = None, properties: list[str] | None = None, system_changes: list[str] = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        volume = atoms.get_volume()
        if volume > 12.0 * 12.2 * 12.4 * 1.3:
            raise RuntimeError("box too large\nsecond line")
        base = LennardJones(sigma=2.6, epsilon=0.05 * 1.1, rc=5.9, smooth=True)
        work = atoms.copy()
        work.calc = base
        factor = float("nan") if volume < 12.0 * 12.2 * 12.4 * 0.8 else 1.0
        self.results = {
            "energy": work.get_potential_energy() + 1234.5,
            "forces": work.get_forces() * factor,
            "stress": work.get_stress(),
        }


def make_frames() -> list[Atoms]:
    frames = []
    for i in range(12):
        atoms = pair_fluid(i)
        recipe, scale = ("eq", 1.0) if i < 9 else ("test_scan", [0.97, 1.0, 1.03][i - 9])
        if i == 7:
            scale = 0.9  # the model's forces are not finite
        if i == 8:
            scale = 1.2  # the model raises
        base = pair_fluid(20) if recipe == "test_scan" else atoms
        arm = motions.arms(base.positions, base.get_masses(), base.arrays["molecule"])
        made = make_frame(
            base.numbers, (base.positions - arm) * scale + arm, base.cell.array * scale, base.arrays["molecule"],
            ["ab"] * len(base), liquid="fluid", kind="eq" if recipe == "eq" else "neq", recipe=recipe,
            group="scan" if recipe == "test_scan" else f"g{i // 2}",
            **({"scan_scale": scale} if recipe == "test_scan" else {}),
        )  # fmt: skip
        work = Atoms(made.numbers, made.positions, cell=made.cell, pbc=True)
        work.calc = LennardJones(sigma=2.6, epsilon=0.05, rc=5.9, smooth=True)
        stress = work.get_stress(voigt=False)
        set_label(made, work.get_potential_energy(), work.get_forces(), stress, "0" * 12, True, None)
        frames.append(made)
    return frames


@pytest.fixture
def evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, pl.DataFrame]:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "lj"
    model.mkdir()
    card: dict[str, Any] = {"id": "lj", "model": "lj", "framework": "other", "dataset": None, "seed": None, "files": {}}
    (model / "model.json").write_text(json.dumps(card))
    frame_file.write_frames(tmp_path / "test.extxyz", make_frames())
    monkeypatch.setattr(em, "load_calculator", lambda model, state=None, threads=1: Shifted())
    arguments = ["--id", "lj", "--model", str(model), "--test", "test.extxyz", "--train", "test.extxyz", "--out", "out"]
    assert em.main(arguments) == 0
    names = ("errors", "scan", "parity", "frame_errors")
    return {name: pl.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in names}


def test_near_frames_are_judged_apart_from_the_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluated: dict[str, pl.DataFrame]
) -> None:
    frames = make_frames()
    for frame in frames[:3]:
        frame.info["split"] = "near"
    frame_file.write_frames(tmp_path / "test.extxyz", frames)
    card = json.loads((tmp_path / "lj" / "model.json").read_text())
    (tmp_path / "lj" / "model.json").write_text(json.dumps(card | {"dataset": "eq", "seed": 1}))
    assert em.main(["--id", "lj", "--model", "lj", "--test", "test.extxyz", "--out", "near"]) == 0
    errors = pl.read_parquet("near/errors.parquet").filter(pl.col("quantity") == "force", pl.col("scope") == "all")
    row_of = {row["split"]: row for row in errors.to_dicts()}
    assert set(row_of) == {"test", "near"}
    reference = np.concatenate([frame.arrays["REF_forces"] for frame in frames[:3]])
    assert row_of["near"]["n"] == reference.size
    assert row_of["near"]["rmse"] == pytest.approx(0.1 * np.sqrt(np.mean(reference**2)), rel=1e-4)
    whole = evaluated["errors"].filter(
        pl.col("quantity") == "force", pl.col("scope") == "all", pl.col("split") == "test"
    )
    assert row_of["test"]["n"] == whole["n"][0] - reference.size


def test_errors_table(evaluated: dict[str, pl.DataFrame]) -> None:
    errors = evaluated["errors"].filter(pl.col("split") == "test")
    assert dict(errors.schema) == ERRORS
    frames = [f for i, f in enumerate(make_frames()) if i not in (7, 8)]
    reference = np.concatenate([f.arrays["REF_forces"] for f in frames])
    force = errors.filter(pl.col("quantity") == "force")
    whole = force.filter(pl.col("scope") == "all").row(0, named=True)
    # The model's forces are 1.1 times the labels.
    assert whole["rmse"] == pytest.approx(0.1 * np.sqrt(np.mean(reference**2)), rel=1e-4)
    assert whole["mae"] == pytest.approx(0.1 * np.abs(reference).mean(), rel=1e-4)
    assert whole["rmse_ci95_low"] < whole["rmse"] < whole["rmse_ci95_high"]
    assert whole["n"] == reference.size
    assert sorted(force.filter(pl.col("scope") == "element")["name"]) == ["C", "F"]
    assert force.filter(pl.col("scope") == "element")["n"].sum() == reference.size
    energy = errors.filter(pl.col("quantity") == "energy_per_atom", pl.col("scope") == "all").row(0, named=True)
    energies = np.array([f.info["REF_energy"] for f in frames]) / 16
    assert energy["rmse"] == pytest.approx(0.1 * energies.std(), rel=1e-6)  # the zero of 1234.5 eV is gone
    assert energy["energy_offset_removed"] is True
    failed = errors.filter(pl.col("quantity") == "failed")
    assert sorted(failed.select("name", "n", "reason").rows()) == [
        ("eq", 1, "its library fails in a periodic box: RuntimeError: box too large"),
        ("eq", 1, "not a finite number"),
    ]
    assert set(errors["quantity"]) == {*accuracy.UNITS, "failed"}


def test_frames_without_an_answer_are_counted_and_named(evaluated: dict[str, pl.DataFrame]) -> None:
    errors = evaluated["errors"].filter(pl.col("split") == "test", pl.col("quantity") == "force")
    counts = {(r["scope"], r["name"]): (r["frames"], r["frames_missing"]) for r in errors.to_dicts()}
    assert counts["all", "all"] == counts["element", "F"] == counts["ion", "ab"] == (10, 2)
    assert (counts["recipe", "eq"], counts["recipe", "test_scan"]) == ((7, 2), (3, 0))
    frames, labels = evaluated["frame_errors"], make_frames()
    assert frames["frame_id"].to_list() == [f.info["frame_id"] for f in labels]
    lost = frames.filter(pl.col("force_square").is_null())
    assert (
        lost["frame_id"].to_list() == [labels[i].info["frame_id"] for i in (7, 8)] and lost["reason"].null_count() == 0
    )
    whole = errors.filter(pl.col("scope") == "all").row(0, named=True)
    answered = frames.filter(pl.col("force_square").is_not_null())
    assert whole["rmse"] == pytest.approx(np.sqrt(answered["force_square"].sum() / answered["n"].sum()))


@pytest.mark.parametrize("every", [1, 2])
def test_labels_without_stress_judge_energies_and_forces(every: int) -> None:
    frames = make_frames()
    model = LennardJones(sigma=2.5, epsilon=0.06, rc=5.9, smooth=True)
    whole = {
        (r.quantity, r.scope, r.name): r for r in accuracy.errors_of(list(models_prediction.predict(frames, model)))
    }
    for frame in frames[::every]:
        del frame.info["REF_stress"]
    predictions = list(models_prediction.predict(frames, model))
    rows = {(r.quantity, r.scope, r.name): r for r in accuracy.errors_of(predictions)}
    left = len(frames) - len(frames[::every])
    for key, row in whole.items():
        if key[0] not in ("stress", "molecular_pressure"):
            assert rows[key] == row
    if not left:
        assert not [key for key in rows if key[0] in ("stress", "molecular_pressure")]
    else:
        assert rows["stress", "all", "all"].n == 9 * left
        assert rows["stress", "all", "all"].frames == left
        assert rows["molecular_pressure", "all", "all"].n == left
        assert rows["force", "all", "all"].frames == len(frames)
    scan = models_scan.scan_of(predictions)
    assert all(row.pressure_model_bar is not None and row.energy_model_ev_per_atom is not None for row in scan)
    assert any(row.pressure_ref_bar is None for row in scan)


def test_a_model_that_answers_nothing_is_a_row() -> None:
    lost = [
        models_prediction.Prediction(f, motions.Computed(0.0, f.arrays["REF_forces"], np.eye(3)), None, "boom")
        for f in make_frames()
    ]
    rows = {r.quantity: r for r in accuracy.errors_of(lost)}
    assert (rows["force"].frames, rows["force"].frames_missing, rows["force"].rmse) == (0, 12, None)
    assert rows["failed"].reason == "boom"


def test_scan_table(evaluated: dict[str, pl.DataFrame]) -> None:
    scan = evaluated["scan"].sort("scale")
    assert scan["scale"].to_list() == [0.97, 1.0, 1.03]
    assert scan["energy_ref_ev_per_atom"][1] == scan["energy_model_ev_per_atom"][1] == 0
    np.testing.assert_allclose(
        scan["energy_model_ev_per_atom"], 1.1 * scan["energy_ref_ev_per_atom"].to_numpy(), atol=1e-12
    )
    np.testing.assert_allclose(scan["pressure_model_bar"], 1.1 * scan["pressure_ref_bar"].to_numpy(), rtol=1e-6)
    # The pressure is minus the slope of the energy over the volume of the same scan.
    volume = 12.0 * 12.2 * 12.4 * scan["scale"].to_numpy() ** 3
    energy = 16 * scan["energy_ref_ev_per_atom"].to_numpy()
    slope = -np.gradient(energy, volume)[1] / units.bar
    assert scan["pressure_ref_bar"][1] == pytest.approx(slope, rel=0.15, abs=60)
    assert scan["density_kg_m3"][1] == pytest.approx(8 * (18.998 + 12.011) / (12 * 12.2 * 12.4) * 1660.539, rel=1e-4)


def test_parity_is_bounded_and_centred(evaluated: dict[str, pl.DataFrame]) -> None:
    parity = evaluated["parity"]
    force = parity.filter(pl.col("quantity") == "force")
    assert 0 < len(force) <= models_parity.MAX_PARITY_POINTS
    np.testing.assert_allclose(force["predicted"], 1.1 * force["reference"].to_numpy(), atol=1e-7)
    assert abs(parity.filter(pl.col("quantity") == "energy_per_atom")["predicted"].mean()) < 1
    stress = parity.filter(pl.col("quantity") == "stress")
    assert 0 < len(stress) <= models_parity.MAX_PARITY_POINTS and set(stress["unit"]) == {"eV/A^3"}
    np.testing.assert_allclose(stress["predicted"], 1.1 * stress["reference"].to_numpy(), atol=1e-7)


def test_classical_model_needs_its_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clp").mkdir()
    (tmp_path / "clp" / "model.json").write_text(
        json.dumps({"id": "clp", "model": "clp", "framework": "classical", "files": {}})
    )
    (tmp_path / "test.extxyz").touch()
    code = em.main(["--id", "clp", "--model", "clp", "--test", "test.extxyz", "--out", "out"])
    assert code == 2
    assert "--state: missing" in capsys.readouterr().err


@pytest.mark.usefixtures("evaluated")
def test_a_model_that_cannot_be_loaded_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise KeyError("head")  # as libraries do with files that they do not know

    monkeypatch.setattr(em, "load_calculator", refuse)
    arguments = ["--id", "lj", "--model", "lj", "--test", "test.extxyz", "--out", "none", "--errors", "why.json"]
    assert em.main(arguments) == 2
    assert Failure.read(tmp_path / "why.json") == Failure(stage="evaluation", key="lj", reason=("KeyError: 'head'",))
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("evaluated")
def test_frames_of_other_chemistry_are_judged_one_by_one(tmp_path: Path) -> None:
    """The force errors of held-out frames, frame by frame; a frame that the model cannot do has its reason."""
    molecule = Ion(
        name="fc", smiles="", charge=0, count=1, elements=["F", "C"], bonds=[[0, 1]], masses_u=[19.0, 12.0], types=None
    )
    (tmp_path / "state").mkdir()
    Topology("fluid", [molecule]).save(tmp_path / "state" / "topology.json")
    ase.io.write(tmp_path / "state" / "start.extxyz", Atoms("FC", [[5, 5, 5], [5, 5, 6.1]], cell=[20] * 3, pbc=True))
    # no test frames: labels are not needed for this
    arguments = [
        "--id",
        "lj",
        "--model",
        "lj",
        "--test",
        "--heldout",
        "test.extxyz",
        "--state",
        "state",
        "--out",
        "held",
    ]
    assert em.main(arguments) == 0
    held = pl.read_parquet("held/heldout.parquet")
    frames = {frame.info["frame_id"]: frame for frame in make_frames()}
    assert set(held["frame_id"]) == set(frames)
    assert held.filter(pl.col("force_square").is_null())["reason"].to_list() == [
        "not a finite number",
        "its library fails in a periodic box: RuntimeError: box too large",
    ]
    for row in held.drop_nulls("force_square").to_dicts():
        forces = frames[row["frame_id"]].arrays["REF_forces"]
        assert row["force_square"] == pytest.approx(0.01 * float(np.sum(forces**2)), rel=1e-4)  # 10 % too stiff
        assert row["n"] == forces.size
    errors = pl.read_parquet("held/errors.parquet")
    assert set(errors["split"]) == {"heldout"}
    # frames of any chemistry: what needs ions is not said of them
    assert set(errors["quantity"]) == {"energy_per_atom", "stress", "force", "failed"}
    assert set(errors["scope"]) == {"all", "element", "recipe", "kind"}
    assert pl.read_parquet("held/scan.parquet").height == 0
    assert set(pl.read_parquet("held/dimers.parquet")["pair"]) == {"C", "F", "C-C", "C-F", "F-F"}
    assert pl.read_parquet("held/long_range.parquet").height == 0, "there are no ions"


def test_the_pressure_of_a_liquid_is_that_of_its_equilibration(tmp_path: Path) -> None:
    """A state that says nothing of it, as frames from elsewhere have, gives none."""
    for liquid, pressure_bar in (("libf4", 1.0), ("nacl", 300.0)):
        (tmp_path / liquid).mkdir()
        record = state_record(liquid=liquid, pressure_bar=pressure_bar)
        (tmp_path / liquid / "equilibration.json").write_text(record)
    assert em.barostats([*tmp_path.iterdir(), tmp_path / "none"]) == {"libf4": 1.0, "nacl": 300.0}
