"""SPLIT_DATASET: groups stay whole, the two views hold the same frames, and bad labels are refused."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones

from ionmelt import frame_file
from ionmelt.dataset import deepmd, energies
from ionmelt.dataset import groups as dataset_groups
from ionmelt.dataset import split as split_module
from ionmelt.dataset.division import Division, Mixture
from ionmelt.frame import density_kg_m3, make_frame, set_label
from ionmelt.measure import domain

THEORY = "0123456789ab"


def frame(
    rng: np.random.Generator,
    group: str,
    recipe: str = "eq",
    symbols: str = "LiF2LiF2",
    liquid: str = "salt",
    label: bool = True,
    **info: float,
) -> Atoms:
    atoms = Atoms(symbols, cell=[6.0, 6.5, 7.0], pbc=True)
    grid = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])[: len(atoms)]
    positions = (grid + 0.2) * [2.9, 3.1, 3.4] + rng.normal(scale=0.15, size=(len(atoms), 3))
    ion = np.where(atoms.numbers == 3, "li", "f")
    kind = "eq" if recipe == "eq" else "neq"
    made = make_frame(
        atoms.numbers, positions, atoms.cell.array, np.arange(len(atoms)), ion,
        liquid=liquid, kind=kind, recipe=recipe, group=group, **info,
    )  # fmt: skip
    if label:
        work = Atoms(made.numbers, made.positions, cell=made.cell, pbc=True)
        work.calc = LennardJones(sigma=2.0, epsilon=0.05, rc=6.0, smooth=True)
        stress = work.get_stress(voigt=False)
        set_label(made, work.get_potential_energy() - 30 * len(work), work.get_forces(), stress, THEORY, True, 7)
    return made


def dataset(groups: dict[str, str], per_group: int = 3) -> list[Atoms]:
    """Return frames of groups: name -> recipe."""
    rng = np.random.default_rng(3)
    return [frame(rng, name, recipe) for name, recipe in groups.items() for _ in range(per_group)]


def write(folder: Path, frames: list[Atoms], failed: int = 0, theory: str = THEORY) -> list[str]:
    """Write frames, labels and settings; return the arguments of the script, but for --out."""
    folder.mkdir(parents=True, exist_ok=True)
    frame_file.write_frames(folder / "a-000.labelled.extxyz", frames)
    good = [
        {
            "frame_id": f.info["frame_id"],
            "energy_ev": f.info.get("REF_energy"),
            "theory_id": theory,
            "converged": True,
            "reason": None,
        }
        for f in frames
    ]
    bad = [
        {"frame_id": f"bad{i}", "theory_id": theory, "converged": False, "reason": "scf_not_converged"}
        for i in range(failed)
    ]
    schema = {"energy_ev": pl.Float64, "reason": pl.String}
    pl.DataFrame(good + bad, schema_overrides=schema, infer_schema_length=None).write_parquet(
        folder / "a-000.labels.parquet"
    )
    settings = {
        "id": "dataset",
        "datasets": {"eq": ["eq"], "both": ["eq", "neq"]},
        "split": {"valid": 0.2, "test": 0.2, "near": 0, "seed": 1},
        "max_failed_fraction": 0.05,
    }
    (folder / "dataset.json").write_text(json.dumps(settings))
    return [
        "--settings", str(folder / "dataset.json"),
        "--frames", str(folder / "a-000.labelled.extxyz"),
        "--labels", str(folder / "a-000.labels.parquet"),
    ]  # fmt: skip


MANY = (
    {f"e{i}": "eq" for i in range(6)} | {f"p{i}": "packing" for i in range(5)} | {f"r{i}": "rattle" for i in range(5)}
)


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def split(arguments: list[str], out: Path) -> dict:
    assert split_module.main([*arguments, "--out", str(out)]) == 0
    return json.loads((out / "dataset.json").read_text())


def test_tables_are_the_same_whatever_the_frames_are(tmp_path: Path) -> None:
    """A column of nulls has its type, and uses are in the order of their names."""
    summary = split(write(tmp_path / "in", dataset(MANY)), tmp_path / "out")
    table = pl.read_parquet(tmp_path / "out/dataset.parquet")
    assert table.schema["equilibrated"] == pl.Boolean and table["equilibrated"].is_null().all()
    assert table.schema["dataset"] == pl.String
    assert list(summary["groups"]) == ["test", "train", "valid"]


def test_equilibrium_frames_have_the_pressure_of_their_labels_in_every_split(tmp_path: Path) -> None:
    """Those of training too, of which a study has many more; frames of other recipes, and of no temperature, have none."""
    frames = dataset(MANY | {f"q{i}": "equilibrium" for i in range(6)})
    for one in frames:
        if one.info["recipe"] == "equilibrium" and one.info["group"] != "q0":
            one.info["temperature_K"] = 300.0
    split(write(tmp_path / "in", frames), tmp_path / "out")
    table = pl.read_parquet(tmp_path / "out/dataset.parquet")
    given = table.filter(pl.col("equilibrium_pressure_bar").is_not_null())
    assert set(given["group"]) == {f"q{i}" for i in range(1, 6)}
    assert set(given["temperature_K"]) == {300.0}
    assert "train" in set(given["split"])


def test_without_a_dataset_all_is_test_in_the_same_table_under_the_name_of_the_task(tmp_path: Path) -> None:
    arguments = write(tmp_path / "in", dataset({"e0": "eq", "p0": "packing"}))
    settings = json.loads(Path(arguments[1]).read_text()) | {"datasets": {}}
    Path(arguments[1]).write_text(json.dumps(settings))
    summary = split([*arguments, "--id", "heldout"], tmp_path / "out")
    table = pl.read_parquet(tmp_path / "out/dataset.parquet")
    assert (table.schema["dataset"], table["dataset"].null_count(), table.height) == (pl.String, 6, 6)
    assert summary["test"]["frames"] == 6 and set(table["split"]) == {"test"}
    assert json.loads(Path("SPLIT_DATASET.heldout.task.json").read_text())["id"] == "heldout"


def test_all_files_that_are_not_there_are_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    names = {"--settings": "s.json", "--frames": "f.extxyz", "--labels": "l.parquet", "--e0s": "e.json"}
    given = [word for option in names.items() for word in option]
    assert split_module.main([*given, "--out", "out"]) == 2
    assert capsys.readouterr().err.splitlines() == [f"error: {name}: no such file or folder" for name in names.values()]


def test_help_says_what_each_file_holds(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        split_module.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert caught.value.code == 0
    assert all(words in said for words in ("*.labelled.extxyz", "*.labels.parquet", "JSON (eV, by element)"))


@pytest.mark.parametrize("option", ["--settings", "--frames", "--labels", "--out"])
def test_every_file_must_be_named(tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*write(tmp_path / "in", []), "--out", str(tmp_path / "out")]
    index = arguments.index(option)
    with pytest.raises(SystemExit) as caught:
        split_module.main(arguments[:index] + arguments[index + 2 :])
    assert caught.value.code == 2
    assert f"the following arguments are required: {option}" in capsys.readouterr().err


@pytest.mark.parametrize("every", [1, 2])
def test_frames_without_stress_are_systems_of_their_own(tmp_path: Path, every: int) -> None:
    frames = dataset(MANY)
    for atoms in frames[::every]:
        del atoms.info["REF_stress"]
    summary = split(write(tmp_path / "in", frames), tmp_path / "out")
    bare = {atoms.info["frame_id"] for atoms in frames[::every]}
    for name, about in summary["datasets"].items():
        for subset in ("train", "valid"):
            folder = tmp_path / "out" / "datasets" / name
            held = frame_file.read_frames(folder / f"{subset}.extxyz", labelled=True)
            with_stress = [atoms for atoms in held if atoms.info["frame_id"] not in bare]
            assert about["frames_with_stress"][subset] == len(with_stress)
            systems = sorted((folder / "deepmd" / subset).iterdir())
            count = {True: 0, False: 0}
            for system in systems:
                there = (system / "set.000" / "virial.npy").exists()
                count[there] += len(np.load(system / "set.000" / "energy.npy"))
                if there:
                    assert len(np.load(system / "set.000" / "virial.npy")) == len(
                        np.load(system / "set.000" / "box.npy")
                    )
            assert count == {True: len(with_stress), False: len(held) - len(with_stress)}


@pytest.mark.parametrize("seed", range(20))
def test_no_group_is_cut_and_every_kind_is_in_every_set(seed: int) -> None:
    rng = np.random.default_rng(seed)
    recipes = ["eq", "packing", "rattle", "volume_scan"]
    groups = [
        dataset_groups.Group(f"g{i}", list(range(int(rng.integers(1, 9)))), test_only=False)
        for i in range(int(rng.integers(8, 40)))
    ]
    for i, group in enumerate(groups):
        recipe = recipes[i % 4] if i < 8 else recipes[int(rng.integers(4))]
        group.cells["eq" if recipe == "eq" else "neq", "salt", recipe] += len(group.frames)
    result = dataset_groups.split_groups(groups, 0.15, 0.2, seed)
    assert set(result) == {group.name for group in groups}
    for kind in ("eq", "neq"):
        members = [group for group in groups if group.cell[0] == kind]
        groups_of = {name: [g for g in members if result[g.name] == name] for name in ("train", "valid", "test")}
        assert groups_of["train"] and groups_of["valid"]
        if len(members) > 2:
            assert groups_of["test"]
        # The share is met to within the largest group, the grain that the groups allow.
        total = sum(len(g.frames) for g in members)
        grain = max(len(g.frames) for g in members)
        assert abs(sum(len(g.frames) for g in groups_of["test"]) - 0.2 * total) <= grain


def test_recipes_are_balanced() -> None:
    groups = dataset_groups.groups_of(
        dataset({f"{r}{i}": r for r in ("packing", "rattle", "oscillation") for i in range(10)})
    )
    result = dataset_groups.split_groups(groups, 0.1, 0.2, 1)
    tested = [g.cell[2] for g in groups if result[g.name] == "test"]
    assert {recipe: tested.count(recipe) for recipe in set(tested)} == {"packing": 2, "rattle": 2, "oscillation": 2}


def test_a_dataset_cut_to_a_size_is_part_of_the_larger_one(tmp_path: Path) -> None:
    arguments = write(tmp_path / "in", dataset(MANY))
    settings = json.loads(Path(arguments[1]).read_text())
    settings["datasets"] |= {"both.4": ["eq", "neq"], "both.12": ["eq", "neq"], "eq.4": ["eq"]}
    settings["sizes"] = {"both.4": 4, "both.12": 12, "eq.4": 4}
    Path(arguments[1]).write_text(json.dumps(settings))
    summary = split(arguments, tmp_path / "out")
    table = pl.read_parquet(tmp_path / "out" / "dataset.parquet")
    ids = {
        (name, subset): table.filter(pl.col("dataset") == name, pl.col("split") == subset)["frame_id"].to_list()
        for name in settings["datasets"]
        for subset in ("train", "valid")
    }
    assert set(ids["both.4", "train"]) < set(ids["both.12", "train"]) < set(ids["both", "train"])
    assert [len(ids[name, "train"]) for name in ("both.4", "both.12", "eq.4")] == [4, 12, 4]
    assert ids["both.4", "valid"] == ids["both", "valid"]
    assert set(ids["eq.4", "train"]) < set(ids["eq", "train"])
    assert summary["datasets"]["both.4"]["frames"]["train"] == 4
    settings["sizes"]["eq.4"] = 400
    Path(arguments[1]).write_text(json.dumps(settings))
    assert split_module.main([*arguments, "--out", str(tmp_path / "none")]) == 2


def test_what_active_learning_adds_is_trained_on_and_moves_nothing_else() -> None:
    groups = [dataset_groups.Group(f"g{i}", [2 * i, 2 * i + 1]) for i in range(9)]
    for group in groups:
        group.cells["eq", "salt", "eq"] += 2
    before = dataset_groups.split_groups(groups, 0.2, 0.2, 1)
    more = [dataset_groups.Group(f"a{i}", [100 + i]) for i in range(30)]
    for group in more:
        group.cells["active", "salt", "active_npt"] += 1
    after = dataset_groups.split_groups(groups + more, 0.2, 0.2, 1)
    assert {name: after[name] for name in before} == before
    assert {after[group.name] for group in more} == {"train"}


def test_each_dataset_has_the_envelope_of_its_training_frames(tmp_path: Path) -> None:
    frames = dataset(MANY)
    for f in frames:
        f.info["temperature_K"] = 430.0 if f.info["kind"] == "eq" else 580.0
    split(write(tmp_path / "in", frames), tmp_path / "out")
    for name, hottest in (("eq", 430.0), ("both", 580.0)):
        folder = tmp_path / "out" / "datasets" / name
        envelope = domain.load(folder / domain.FILE)
        train = frame_file.read_frames(folder / "train.extxyz", labelled=True)
        assert envelope.frames == len(train) and envelope.temperature_K == [430.0, hottest]
        assert envelope.ions["li"][0] == pytest.approx(1 / 3)
        densities = [density_kg_m3(f) for f in train]
        assert envelope.density_kg_m3 == pytest.approx([min(densities), max(densities)])
        assert domain.distances(train, envelope).max() <= (envelope.limit or 0)


def test_near_frames_are_of_trained_groups_and_in_no_training(tmp_path: Path) -> None:
    arguments = write(tmp_path / "in", dataset(MANY, per_group=6))
    settings = json.loads(Path(arguments[1]).read_text())
    settings["split"]["near"] = 0.2
    Path(arguments[1]).write_text(json.dumps(settings))
    split(arguments, tmp_path / "out")
    table = pl.read_parquet(tmp_path / "out" / "dataset.parquet")
    near = table.filter(pl.col("split") == "near")
    rest = table.filter(pl.col("split").is_in(["train", "valid"]))
    assert not set(near["frame_id"]) & set(rest["frame_id"])
    assert set(near["group"]) <= set(rest.filter(pl.col("split") == "train")["group"])
    assert dict(near["kind"].value_counts().iter_rows()) == {"eq": 5, "neq": 7}
    for (kind,), frames in near.group_by("kind"):
        trained = rest.filter(pl.col("kind") == kind, pl.col("split") == "train", pl.col("dataset") == "both").height
        assert frames.height == round(0.2 * (frames.height + trained))
    read = frame_file.read_frames(tmp_path / "out" / "test.extxyz", labelled=True)
    assert {f.info["frame_id"] for f in read if f.info.get("split") == "near"} == set(near["frame_id"])
    again = split(arguments, tmp_path / "again")
    assert again["test"] == json.loads((tmp_path / "out" / "dataset.json").read_text())["test"]


def test_a_liquid_left_out_is_tested_and_not_trained_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    frames = [
        frame(rng, f"{liquid}-{i}", liquid=liquid) for liquid in ("salt", "other") for i in range(8) for _ in range(3)
    ]
    arguments = write(tmp_path / "in", frames)
    settings = json.loads(Path(arguments[1]).read_text())
    settings["datasets"] = {"eq": ["eq"], "less": ["eq", "-other"]}
    Path(arguments[1]).write_text(json.dumps(settings))
    split(arguments, tmp_path / "out")
    table = pl.read_parquet(tmp_path / "out" / "dataset.parquet")
    liquids = {name: set(rows["liquid"]) for (name,), rows in table.group_by("dataset")}
    assert liquids == {None: {"salt", "other"}, "eq": {"salt", "other"}, "less": {"salt"}}
    whole = table.filter(pl.col("dataset") == "eq", pl.col("liquid") == "salt").drop("dataset").sort("frame_id")
    assert whole.equals(table.filter(pl.col("dataset") == "less").drop("dataset").sort("frame_id"))


def test_scan_is_always_tested_and_never_trained(tmp_path: Path) -> None:
    frames = dataset(MANY)
    rng = np.random.default_rng(9)
    scan = [frame(rng, "scan", "test_scan", scan_scale=s) for s in (0.95, 1.0, 1.05)]
    again = frames[0].copy()  # the scan's frame of scale 1 is an equilibrium frame, as it can be
    again.info |= {"recipe": "test_scan", "kind": "neq", "group": "scan", "scan_scale": 1.0}
    summary = split(write(tmp_path / "in", [*frames, *scan, again]), tmp_path / "out")
    table = pl.read_parquet(tmp_path / "out" / "dataset.parquet")
    assert table.filter(pl.col("recipe") == "test_scan")["split"].unique().to_list() == ["test"]
    assert table.filter(pl.col("frame_id") == again.info["frame_id"])["split"].to_list() == ["test"]
    assert summary["duplicates"] == 1
    parts = table.group_by("group").agg(pl.col("split").n_unique())
    assert parts["split"].max() == 1
    assert set(table.filter(pl.col("dataset") == "eq")["kind"]) == {"eq"}


def test_same_input_same_bytes_in_any_order(tmp_path: Path) -> None:
    frames = dataset(MANY)
    split(write(tmp_path / "a", frames), tmp_path / "x")
    split(write(tmp_path / "b", frames[::-1]), tmp_path / "y")
    written = sorted(path.relative_to(tmp_path / "x") for path in (tmp_path / "x").rglob("*") if path.is_file())
    assert len(written) > 20
    for path in written:
        assert (tmp_path / "x" / path).read_bytes() == (tmp_path / "y" / path).read_bytes(), path


def test_deepmd_view_holds_the_same_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frames = dataset(MANY) + [frame(rng, f"o{i}", "packing", "LiF", liquid="pair") for i in range(6)]
    summary = split(write(tmp_path / "in", frames), tmp_path / "out")
    assert summary["type_map"] == ["Li", "F"]
    folder = tmp_path / "out" / "datasets" / "both"
    for subset in ("train", "valid"):
        expected = frame_file.read_frames(folder / f"{subset}.extxyz", labelled=True)
        compared = 0
        for system in sorted((folder / "deepmd" / subset).iterdir()):
            arrays = {
                name: np.load(system / "set.000" / f"{name}.npy")
                for name in ("coord", "box", "energy", "force", "virial")
            }
            assert all(array.dtype == np.float64 for array in arrays.values())
            names = (system / "type_map.raw").read_text().split()
            symbols = [names[int(i)] for i in (system / "type.raw").read_text().split()]
            for f in [f for f in expected if f.get_chemical_symbols() == symbols]:
                (row,) = np.flatnonzero((arrays["coord"] == f.positions.ravel()).all(axis=1))
                assert arrays["energy"][row] == f.info["REF_energy"]
                assert np.array_equal(arrays["box"][row], f.cell.array.ravel())
                assert np.array_equal(arrays["force"][row], f.arrays["REF_forces"].ravel())
                np.testing.assert_allclose(
                    arrays["virial"][row].reshape(3, 3) / f.get_volume(), -f.info["REF_stress"], rtol=1e-14
                )
                compared += 1
        assert compared == len(expected)


def test_virial_is_minus_the_derivative_over_strain(tmp_path: Path) -> None:
    made = frame(np.random.default_rng(5), "a")
    deepmd.write_deepmd(tmp_path, [made], ["Li", "F"])
    virial = np.load(next(tmp_path.glob("*/set.000/virial.npy"))).reshape(3, 3)
    atoms = Atoms(made.numbers, made.positions, cell=made.cell, pbc=True)
    atoms.calc = LennardJones(sigma=2.0, epsilon=0.05, rc=6.0, smooth=True)
    h = 1e-5
    for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2)):
        ends = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * h
            moved = atoms.copy()
            moved.calc = atoms.calc
            moved.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            ends.append(moved.get_potential_energy())
        assert virial[i, j] == pytest.approx(-(ends[0] - ends[1]) / (2 * h), abs=1e-6)


def test_e0s_find_what_compositions_determine_and_share_the_rest() -> None:
    rng = np.random.default_rng(0)
    true = {"Li": -7.0, "F": -24.0}

    def labelled(symbols: str) -> Atoms:
        f = frame(rng, "a", symbols=symbols)
        f.info["REF_energy"] = sum(true[s] for s in f.get_chemical_symbols())
        return f

    several = energies.fit_e0s([labelled(s) for s in ("LiF", "Li2F2", "LiF3", "Li4F2")])
    assert several == pytest.approx(true, abs=1e-9)
    one = energies.fit_e0s([labelled("LiF") for _ in range(3)])
    assert one == pytest.approx({"Li": -15.5, "F": -15.5}, abs=1e-9)


def test_e0s_are_those_of_the_training_frames_alone(tmp_path: Path) -> None:
    """All frames are of one composition: twice the energies of a pair is the mean over the training."""
    summary = split(write(tmp_path / "in", dataset(MANY)), tmp_path / "out")
    for name, about in summary["datasets"].items():
        means = {
            subset: np.mean([f.info["REF_energy"] / len(f) for f in frame_file.read_frames(path, labelled=True)])
            for subset in ("train", "valid") if (path := tmp_path / f"out/datasets/{name}/{subset}.extxyz")
        }  # fmt: skip
        assert np.mean(list(about["e0s_ev"].values())) == pytest.approx(means["train"], abs=1e-9)
        assert means["train"] != pytest.approx(means["valid"], abs=1e-6)


@pytest.mark.parametrize("given", [{"Li": -4.5, "F": -115.2, "O": -9.0}, {"Li": -4.5}])
def test_free_atoms_are_the_reference_energies_where_none_is_missing(tmp_path: Path, given: dict[str, float]) -> None:
    arguments = write(tmp_path / "in", dataset(MANY))
    (tmp_path / "e0s.json").write_text(json.dumps(given))
    fitted = split(arguments, tmp_path / "fitted")
    summary = split([*arguments, "--e0s", str(tmp_path / "e0s.json")], tmp_path / "out")
    for name, data in summary["datasets"].items():
        assert data["fitted_e0s_ev"] == fitted["datasets"][name]["e0s_ev"]
        whole = {"Li": -4.5, "F": -115.2} if len(given) > 1 else data["fitted_e0s_ev"]
        assert data["e0s_ev"] == whole
        alone = json.loads((tmp_path / "out/datasets" / name / "dataset.json").read_text())
        assert alone["datasets"][name]["e0s_ev"] == whole
    assert "least squares" in fitted["e0s_method"]
    assert ("no free atom was given of F" in summary["e0s_method"]) == (len(given) == 1)
    assert ("free atoms, given with the labels" in summary["e0s_method"]) == (len(given) > 1)


@pytest.mark.parametrize(("per_group", "warned"), [(1, True), (5, False)])
def test_a_test_set_of_one_frame_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], per_group: int, warned: bool
) -> None:
    arguments = write(tmp_path / "in", dataset({f"e{i}": "eq" for i in range(6)}, per_group))
    path = tmp_path / "in/dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"datasets": {"eq": ["eq"]}}))
    summary = split(arguments, tmp_path / "out")
    assert summary["test"]["frames"] == per_group
    said = capsys.readouterr().out
    assert (
        "dataset: split.test: the test set has 1 frame only: errors measured on so few say little" in said
    ) == warned
    assert bool(said) == warned


def test_elements_that_no_training_frame_holds_are_said() -> None:
    """A framework that has types for all elements computes with those that it never saw, too."""
    salt, other = Atoms("NaCl"), Atoms("LiF")
    mixtures = {"a": Mixture([salt], [salt]), "b": Mixture([salt, other], [salt]), "c": Mixture([salt], [other, other])}
    said = split_module.unlearnt(Division(mixtures, [salt, other], [], {}))
    assert [line.partition(", and")[0] for line in said] == [
        "datasets.a: no training frame holds F, Li",
        "datasets.c: no training frame holds F, Li",
    ]
    assert ["and 1 of the frames" in said[0], "and 3 of the frames" in said[1]] == [True, True]


@pytest.mark.parametrize(("failed", "code"), [(2, 0), (3, 2)])
def test_failed_fraction(tmp_path: Path, capsys: pytest.CaptureFixture[str], failed: int, code: int) -> None:
    arguments = write(tmp_path / "in", dataset(MANY), failed=failed)  # 48 good labels; 2 / 50 passes, 3 / 51 does not
    assert split_module.main([*arguments, "--out", str(tmp_path / "out")]) == code
    error = capsys.readouterr().err
    if code:
        assert "max_failed_fraction: 3 of 51" in error
        assert "scf_not_converged 3" in error
        assert not (tmp_path / "out").exists()
    else:
        assert json.loads((tmp_path / "out" / "dataset.json").read_text())["labels"] == {"tried": 50, "failed": 2}


def test_two_levels_of_theory_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = dataset(MANY)
    frames[3].info["theory_id"] = "ffffffffffff"
    assert split_module.main([*write(tmp_path / "in", frames), "--out", str(tmp_path / "out")]) == 2
    assert "0123456789ab, ffffffffffff" in capsys.readouterr().err


def test_too_few_groups_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = dataset({"e0": "eq"} | {f"p{i}": "packing" for i in range(5)})
    assert split_module.main([*write(tmp_path / "in", frames), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "datasets.eq: no frame is left for valid" in error
    assert "Traceback" not in error
