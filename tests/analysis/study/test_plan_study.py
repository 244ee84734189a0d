"""PLAN_STUDY: every refusal by its exact line, and a plan that is the same bytes for the same study."""

import csv
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from ionmelt.errors import UserError
from ionmelt.files import SUMS
from ionmelt.measure.observables import NAMED
from ionmelt.models.frameworks import mace
from ionmelt.study import advice, places, writing
from ionmelt.study import plan as plan_module
from ionmelt.study.estimate import LABELS
from ionmelt.study.interpolation import references_of
from ionmelt.study.reference_files import read_references
from ionmelt.study.references import Reference
from ionmelt.study.uncertainty import standard_uncertainty

ROOT = Path(__file__).resolve().parents[3]
ASSETS = ROOT / "assets"
STUDIES = ROOT / "studies"
DEMO = (STUDIES / "demo.yaml").read_text()

CP2K_LABELS = {
    "engine": "cp2k", "functional": "PBE", "dispersion": "D3(BJ)", "basis": "DZVP-MOLOPT-SR-GTH", "potential": "GTH-PBE",
    "cutoff_Ry": 800, "rel_cutoff_Ry": 60, "eps_scf": 1e-7,
}  # fmt: skip

Study = dict[str, Any]
Planned = Callable[..., tuple[int, list[str]]]


def demo() -> Study:
    """Return a study to make mistakes in."""
    return {
        "name": "demo",
        "liquids": [
            {
                "id": "pyr14bf4",
                "ions": {"pyr14": 4, "bf4": 4},
                "temperatures_K": [430],
                "density_guess_kg_m3": 1000,
            }
        ],
        "sampling": {"eq": {"frames": 20}, "neq": {"volume_scan": {"frames": 10}, "rattle": {"frames": 5}}},
        "labels": {"engine": "xtb"},
        "datasets": {"eq": ["eq"], "both": ["eq", "neq"]},
        "models": [
            {"id": "mace", "framework": "mace", "channels": 16, "r_max_A": 4.5, "epochs": 5},
            {"id": "dpmd", "framework": "deepmd", "steps": 100},
            {"id": "clp", "framework": "classical"},
        ],
        "seeds": [1, 2],
        "md": {"npt_ps": 0.1, "nvt_ps": 0.1, "replicas": 2},
    }


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Planned:
    """Plan a study (content or text); return the exit code and the mistakes, checked to be in --errors too."""
    monkeypatch.chdir(tmp_path)

    def run(study: Study | str, *arguments: str, out: str = "plan") -> tuple[int, list[str]]:
        text = study if isinstance(study, str) else yaml.safe_dump(study, sort_keys=False)
        Path("study.yaml").write_text(text)
        Path("errors.txt").unlink(missing_ok=True)
        given_ = [
            "--study",
            "study.yaml",
            "--assets",
            str(ASSETS),
            "--out",
            out,
            "--errors",
            "errors.txt",
            *arguments,
        ]
        code = plan_module.main(given_)
        lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning: ")]
        assert all(line.startswith("error: ") for line in lines), lines
        mistakes = [line.removeprefix("error: ") for line in lines]
        noted = Path("errors.txt").read_text().splitlines() if Path("errors.txt").exists() else []
        assert noted == mistakes
        assert (code == 2) == bool(mistakes)
        assert Path(out).exists() == (code == 0)
        return code, mistakes

    return run


def contents(folder: Path) -> dict[str, str]:
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != SUMS]
    return {str(p.relative_to(folder)): p.read_text() for p in files}


def rows(path: str) -> list[dict[str, str]]:
    with Path("plan", path).open() as file:
        return list(csv.DictReader(file))


def loaded(path: str) -> Any:
    return json.loads(Path("plan", path).read_text())


# --- Refusals ------------------------------------------------------------------------------------------

KNOWN = ", ".join(sorted(path.stem for path in (ASSETS / "ions").glob("*.yaml")))
ZERO = "0" * 64


def ions(**counts: Any) -> Callable[[Study], None]:
    return lambda s: s["liquids"][0].update(ions=counts)


def liquid(**fields: Any) -> Callable[[Study], None]:
    return lambda s: s["liquids"][0].update(fields)


def model(index: int, **fields: Any) -> Callable[[Study], None]:
    return lambda s: s["models"][index].update(fields)


def own_class(**fields: Any) -> Callable[[Study], None]:
    """Return what puts a calculator class in the place of the first model."""
    named = {"id": "own", "framework": "ase", "calculator": "ase.calculators.lj.LennardJones", "theory": "LJ"} | fields

    def spoil(content: Study) -> None:
        content["models"][0] = {name: value for name, value in named.items() if value is not None}

    return spoil


def study(**fields: Any) -> Callable[[Study], None]:
    return lambda s: s.update(fields)


def without(name: str) -> Callable[[Study], None]:
    return lambda s: s.pop(name)


def sampling(**fields: Any) -> Callable[[Study], None]:
    return lambda s: s["sampling"].update(fields)


def md(**fields: Any) -> Callable[[Study], None]:
    return lambda s: s["md"].update(fields)


REFUSALS: list[tuple[str, Callable[[Study], Any], list[str]]] = [
    ("unknown_ion", ions(pyr15=4, bf4=4), [
        f"liquids[0].ions.pyr15: unknown ion 'pyr15'; known: {KNOWN}; or give {{smiles: ..., count: 4}}"]),
    ("wrong_smiles", ions(cho={"smiles": "C[N+(C", "count": 4}, bf4=4), [
        "liquids[0].ions.cho: smiles 'C[N+(C' is not a valid SMILES"]),
    ("two_ions_in_one", ions(salt={"smiles": "[Li+].[Cl-]", "count": 4}), [
        "liquids[0].ions.salt: smiles '[Li+].[Cl-]' has several parts; give each ion on its own"]),
    ("charged_box", ions(pyr14=5, bf4=4), [
        "liquids[0].ions: the charges sum to +1 (5 x pyr14 +1, 4 x bf4 -1); 5 of bf4 would make it neutral"]),
    ("charged_box_without_counterion", ions(bf4=12), [
        "liquids[0].ions: the charges sum to -12 (12 x bf4 -1); add an ion of the opposite charge"]),
    ("negative_count", ions(pyr14=-4, bf4=4), ["liquids[0].ions.pyr14: -4 is below 1"]),
    ("celsius", liquid(temperatures_K=[25]), [
        "liquids[0].temperatures_K[0]: 25 is below 100 K: is it 25 degC? give kelvin, 298.15"]),
    ("temperature_twice", liquid(temperatures_K=[430, 430.0]), ["liquids[0].temperatures_K: 430 is given twice"]),
    ("unknown_field", liquid(temperature_K=430), ["liquids[0].temperature_K: unknown field; did you mean temperatures_K?"]),
    ("untyped_ion", ions(cho={"smiles": "C[N+](C)(C)CCO", "count": 6}, bf4=6), [
        "liquids[0].force_field: clandp has no types for cho: give the path of an OpenMM force-field XML file that "
        "has them, or xtb"]),
    ("unknown_force_field", liquid(force_field="opls"), [
        "liquids[0].force_field: 'opls': give clandp, xtb or the path of a .xml file"]),
    ("missing_force_field", liquid(force_field="mine.xml"), [
        "liquids[0].force_field: 'mine.xml': no such file: {here}/mine.xml; a path is relative to the study file"]),
    ("box_below_the_classical_cutoff", lambda s: s.update(equilibration={"cutoff_A": 9}), [
        "liquids[0].ions: 140 atoms make a box of about 11.5 A at 1000 kg/m3: too small for equilibration.cutoff_A 9, "
        "which needs 18.8 A; give more ions, or cutoff_A auto"]),
    ("box_below_any_classical_cutoff", lambda s: (ions(li=1, bf4=1)(s), s["models"].pop(1), s["models"].pop(0)), [
        "liquids[0].ions: 6 atoms make a box of about 5.4 A at 1000 kg/m3: too small for a classical cut-off of 3 A; "
        "give more ions"]),
    ("box_below_a_models_cutoff", model(0, r_max_A=12), [
        "models[0].r_max_A: 12 A is more than the box of pyr14bf4, about 11.5 A: give a smaller cut-off or more ions"]),
    ("liquid_twice", lambda s: s["liquids"].append(s["liquids"][0]), ["liquids[1].id: 'pyr14bf4' is already the id of liquids[0]"]),
    ("model_twice", model(1, id="mace"), ["models[1].id: 'mace' is already the id of models[0]"]),
    ("reserved_id", model(2, id="reference"), ["models[2].id: 'reference' is the name of measured values: give another"]),
    ("hyphen_in_an_id", model(2, id="clp-1"), [
        "models[2].id: 'clp-1': give small letters, digits, _ and ., beginning with a letter or digit"]),
    ("seed_twice", study(seeds=[1, 1]), ["seeds: 1 is given twice"]),
    ("unknown_dataset", model(0, datasets=["boht"]), ["models[0].datasets[0]: unknown dataset 'boht'; known: both, eq"]),
    ("dataset_twice", model(0, datasets=["eq", "eq"]), ["models[0].datasets: 'eq' is given twice"]),
    ("no_datasets", without("datasets"), [
        "models[0].datasets: no dataset to train on: give datasets, such as {both: [eq, neq]}",
        "models[1].datasets: no dataset to train on: give datasets, such as {both: [eq, neq]}"]),
    ("unknown_kind", study(datasets={"eq": ["equilibrium"]}), [
        "datasets.eq[0]: unknown kind 'equilibrium'; known: eq, neq, active"]),
    ("kind_twice", study(datasets={"eq": ["eq", "eq"]}), ["datasets.eq: 'eq' is given twice"]),
    ("kind_not_sampled", sampling(neq={}), [
        "datasets.both[1]: no neq frames are sampled: give a recipe in sampling.neq, or leave 'neq' out"]),
    ("too_few_frames", lambda s: (sampling(eq={"frames": 1})(s), md(replicas=1)(s)), [
        "datasets.eq: 1 groups of frames: training, validation and test need one each; sample more frames"]),
    ("split_leaves_nothing", study(split={"valid": 0.5, "test": 0.5}), [
        "split: valid 0.5 and test 0.5 leave too little to train on: at most 0.8 together"]),
    ("no_labels", without("labels"), [
        "labels: missing: models[0] is trained; give {engine: xtb}, or {frames: ..., theory: ...}"]),
    ("no_sampling", without("sampling"), [
        "sampling: missing: models[0] is trained; give {eq: {frames: ...}, neq: {...}}"]),
    ("missing_own_labels", lambda s: (s.pop("sampling"), s.update(labels={"frames": "mine.extxyz", "theory": "PBE"})), [
        "labels.frames: 'mine.extxyz': no such file: {here}/mine.extxyz; a path is relative to the study file"]),
    ("one_of_several_own_files_missing", lambda s: (s.pop("sampling"), s.update(labels={
        "frames": ["study.yaml", "b.xyz", "study.yaml"], "theory": "PBE"})), [
        "labels.frames[1]: 'b.xyz': no such file: {here}/b.xyz; a path is relative to the study file",
        "labels.frames: 'study.yaml' is given twice"]),
    ("own_labels_twice_said", lambda s: (s.pop("sampling"), s.update(labels={
        "frames": "study.yaml", "theory": "PBE", "stress_key": "a", "virial_key": "b", "stress_unit": "GPa"})), [
        "labels.virial_key: 'b': give stress_key or virial_key, not both",
        "labels.stress_unit: GPa: a virial is in energy_unit: leave this out"]),
    ("names_where_a_format_has_none", lambda s: (s.pop("sampling"), s.update(labels={
        "frames": "study.yaml", "theory": "PBE", "format": "vasp-out", "energy_key": "E", "forces_unit": "Ha/Bohr"})), [
        "labels.energy_key: is for extxyz: vasp-out has no names of its own: leave this out",
        "labels.forces_unit: is for extxyz: the units of vasp-out are known: leave this out"]),
    ("own_labels_with_typos", lambda s: (s.pop("sampling"), s.update(labels={
        "frames": "study.yaml", "theory": "PBE", "energy_unit": "hartree", "virial": "W"})), [
        "labels.energy_unit: 'hartree': give one of 'eV', 'Ha', 'Ry', 'kcal/mol' or 'kJ/mol'",
        "labels.virial: unknown field; did you mean virial_key?"]),
    ("a_liquid_called_other", lambda s: (s.pop("sampling"), s.update(labels={"frames": "study.yaml", "theory": "PBE"}),
        liquid(id="other")(s)), [
        "liquids[0].id: 'other' is the name of imported frames of other compositions: give another"]),
    ("own_labels_and_sampling", study(labels={"frames": "study.yaml", "theory": "PBE"}), [
        "sampling: is not used with labels.frames: leave one of the two out"]),
    ("more_frames_than_saved", sampling(eq={"frames": 500}), [
        "sampling.eq.frames: 500 frames, but the equilibration has 360 to give: production_ps 200, save_every_ps 0.5, less a "
        "tenth for test_scan"]),
    ("a_dataset_of_nothing", study(datasets={"none": ["-pyr14bf4"], "odd": ["eq", "-pyr13bf4"]}), [
        "datasets.none: no kind of frames is given: give eq or neq or active",
        "datasets.none: every liquid is left out: leave one in",
        "datasets.odd[1]: '-pyr13bf4' leaves out no liquid of the study; known: -pyr14bf4"]),
    ("sizes_that_cannot_be", study(sizes=[8, 8, 500]), [
        "sizes: 8 is given twice", "sizes[2]: 500 frames of eq: it has about 16 to train on",
        "sizes[2]: 500 frames of both: it has about 28 to train on"]),
    ("a_dataset_named_like_a_size", study(sizes=[4], datasets={"eq.4": ["eq"]}), [
        "datasets.eq.4: ends like a size, which sizes adds to names: give another name"]),
    ("a_larger_pool_than_saved", sampling(eq={"frames": 100}, pool=4), [
        "sampling.eq.frames: 100 frames and a pool of 4, but the equilibration has 360 to give: production_ps 200, "
        "save_every_ps 0.5, less a tenth for test_scan"]),
    ("equilibration_without_frames", lambda s: (s.update(equilibration={"production_ps": 4}), sampling(eq={"frames": 7})(s)), [
        "equilibration.production_ps: 4 ps saves 8 frames at save_every_ps 0.5: at least 10"]),
    ("recipe_without_a_force_field", lambda s: (
        liquid(force_field="xtb")(s), s["models"].pop(), sampling(neq={"packing": {"frames": 9}})(s)), [
        "sampling.neq.packing: needs a classical force field, and that of liquids[0] is xtb: leave the recipe out"]),
    ("scan_upside_down", sampling(neq={"volume_scan": {"frames": 5, "scale_min": 1.1, "scale_max": 1.0}}), [
        "sampling.neq.volume_scan.scale_min: 1.1 is not below scale_max 1"]),
    ("swing_below_zero", sampling(neq={"oscillation": {"frames": 5, "temperature_amplitude_K": 450}}), [
        "sampling.neq.oscillation.temperature_amplitude_K: 450 K would cool liquids[0] below 0 K"]),
    ("an_ion_that_sees_its_images", lambda s: (
        sampling(neq={"ions": {"frames": 4, "vacuum_A": 8}})(s), model(1, rcut_A=9)(s)), [
        "sampling.neq.ions.vacuum_A: 8 A is less than rcut_A of models[1], 9 A: it would see an ion's images"]),
    ("swing_longer_than_its_run", sampling(neq={"oscillation": {"frames": 5, "length_ps": 2, "period_ps": 5}}), [
        "sampling.neq.oscillation.period_ps: 5 ps is longer than the run, length_ps 2"]),
    ("scan_without_one", sampling(test_scan={"scales": [0.9, 1.1, 1.2]}), [
        "sampling.test_scan.scales: 1.0 is missing: energies are relative to it"]),
    ("smoothing_beyond_the_cutoff", model(1, rcut_smth_A=7), ["models[1].rcut_smth_A: 7 is not below rcut_A 6"]),
    ("rate_that_would_rise", model(1, final_learning_rate=0.01),
     ["models[1].final_learning_rate: 0.01 is above the first learning rate, 0.001"]),
    ("term_left_out_at_one_end", model(1, start_pref_e=0, limit_pref_e=1),
     ["models[1].start_pref_e: 0 leaves the term out for the whole training, the other end too: give both 0, or a small number"]),
    ("nothing_weighed", model(0, energy_weight=0, forces_weight=0, stress_weight=0),
     ["models[0].energy_weight: 0, and so are the weights of the other terms: nothing would be trained"]),
    ("axis_too_wide", model(1, axis_neurons=200), ["models[1].axis_neurons: 200 is above 100, the last of neurons"]),
    ("weights_without_particulars", model(0, weights="study.yaml"), [
        "models[0].sha256: missing: the sha256 of the weights: they are checked before they are opened",
        "models[0].licence: missing: the licence of the weights, such as MIT",
        "models[0].theory: missing: the theory that the weights imitate, such as PBE: it is compared with that of the labels",
        "models[0].mode: missing: the mode of the weights' use: zero-shot, finetune, replay or lora"]),
    ("weights_from_nothing", lambda s: s["models"].append(
        {"id": "m", "framework": "nequip", "weights": "no.zip", "sha256": ZERO, "licence": "MIT", "theory": "GFN1-xTB"}),
     [f"models[{len(demo()['models'])}].weights: a model of nequip is trained from nothing: leave this out"]),
    ("missing_weights", model(0, weights="no.model", sha256=ZERO, licence="MIT", theory="GFN1-xTB", mode="finetune"), [
        "models[0].weights: 'no.model': no such file: {here}/no.model; a path is relative to the study file"]),
    ("weights_are_a_folder", model(0, weights=".", sha256=ZERO, licence="MIT", theory="GFN1-xTB", mode="finetune"), [
        "models[0].weights: '.': {here}/. is a folder: give a file"]),
    ("mode_without_weights", model(0, mode="zero-shot"), [
        "models[0].mode: 'zero-shot': weights are missing: give their path, or leave this out"]),
    ("replay_of_nothing", model(0, weights="no.model", sha256=ZERO, licence="MIT", theory="PBE", mode="replay"), [
        "models[0].weights: 'no.model': no such file: {here}/no.model; a path is relative to the study file",
        "models[0].replay_frames: missing: extxyz of the foundation model's own data, to replay"]),
    ("a_frozen_model_to_tune", model(1, weights="m.pth", sha256=ZERO, licence="MIT", theory="GFN1-xTB", mode="finetune"), [
        "models[1].weights: 'm.pth': a frozen model cannot be fine-tuned: give its checkpoint, a .pt file",
        "models[1].weights: 'm.pth': no such file: {here}/m.pth; a path is relative to the study file"]),
    ("frozen_parts_of_nothing", model(0, freeze="products"), [
        "models[0].freeze: 'products': is used by modes finetune and replay only"]),
    ("levels_that_differ", model(0, weights="no.model", sha256=ZERO, licence="MIT", theory="PBE", mode="finetune"), [
        "models[0].weights: 'no.model': no such file: {here}/no.model; a path is relative to the study file",
        "models[0].theory: 'PBE' is not that of the labels, 'GFN1-xTB': label at the weights' level, use mode replay, which "
        "gives each level a head of its own, or say theory_change: true"]),
    ("dispersion_of_a_trained_model", model(0, dispersion={"functional": "PBE"}), [
        "models[0].dispersion: is added to a zero-shot model only: what a model is trained on holds its dispersion; leave "
        "this out"]),
    ("dispersion_twice", own_class(theory="PBE-D3(BJ)", dispersion={"functional": "PBE"}), [
        "models[0].dispersion: 'PBE-D3(BJ)' has a dispersion correction already: it would count twice; leave this out"]),
    ("dispersion_of_another", own_class(theory="r2SCAN", dispersion={"functional": "PBE"}), [
        "models[0].dispersion: the model imitates 'r2SCAN', these are the parameters of PBE: give functional: r2SCAN"]),
    ("class_without_theory", own_class(theory=None), [
        "models[0].theory: missing: the level of theory that the model imitates, such as PBE"]),
    ("class_with_code", own_class(calculator="os.system('ls')"), [
        "models[0].calculator: \"os.system('ls')\": give a dotted name, such as tblite.ase.TBLite"]),
    ("image_with_code", own_class(image="a$(ls)"), [
        "models[0].image: 'a$(ls)': give the name of an image, such as ghcr.io/someone/model:1"]),
    ("environment_with_code", own_class(environment="a'; ls"), [
        "models[0].environment: \"a'; ls\": give a folder without spaces or other signs than . _ / + -"]),
    ("weights_for_no_argument", own_class(weights="no.model", sha256=ZERO, licence="MIT"), [
        "models[0].weights_argument: missing: the weights_argument of the calculator: its name for the path of the weights",
        "models[0].weights: 'no.model': no such file: {here}/no.model; a path is relative to the study file"]),
    ("classical_without_a_force_field", liquid(force_field="xtb"), [
        "models[2].framework: classical: the force field of pyr14bf4 is xtb, which is not a classical one: give the "
        "liquid a force field, or leave this model out"]),
    ("unknown_framework", model(2, framework="allegro"), [
        "models[2].framework: 'allegro': give one of mace, deepmd, nequip, classical, xtb, ase"]),
    ("a_long_step_with_xtb", lambda s: (liquid(force_field="xtb")(s), s["models"].pop(), s.update(equilibration={"timestep_fs": 2})), [
        "equilibration.timestep_fs: 2 fs is too long for liquids[0], whose force_field is xtb: its bonds to hydrogen are not "
        "held fixed; give 1 or less, or auto"]),
    ("equilibration_frames_between_steps", study(equilibration={"timestep_fs": 4, "save_every_ps": 0.501}), [
        "equilibration.save_every_ps: 0.501 ps is not a multiple of equilibration.timestep_fs 4"]),
    ("more_swinging_frames_than_stops", sampling(neq={"oscillation": {"frames": 30, "length_ps": 0.2, "period_ps": 0.02}}), [
        "sampling.neq.oscillation.frames: 30 frames, but length_ps 0.2 has room for 20, 0.01 ps apart; give fewer, or a "
        "longer run",
        "sampling.neq.oscillation.period_ps: 0.02 ps: the box moves every 0.01 ps, which is too seldom for it; give 0.1 or more"]),
    ("step_in_picoseconds", md(timestep_fs=0.0005), ["md.timestep_fs: 0.0005 is below 0.05 fs: is it 0.0005 ps? give fs, 0.5"]),
    ("frames_between_steps", md(save_every_fs=0.7), ["md.save_every_fs: 0.7 is not a multiple of timestep_fs 0.5"]),
    ("too_many_frames", md(npt_ps=100000, save_every_fs=1), [
        "md.save_every_fs: 1 saves 1e+08 frames of each run: at most 1e+06; save less often"]),
    ("no_frame", md(npt_ps=0.01), ["md.npt_ps: 0.01 ps is shorter than save_every_fs 20: no frame is saved"]),
    ("missing_reference", study(references=["mine.csv"]), [
        "references[0]: 'mine.csv': no such file: {here}/mine.csv; a path is relative to the study file"]),
    ("unprintable_path", study(references=["\x1f"]), [
        "references[0]: '\\x1f': give a path without quotes, brackets, commas or any of $ ; & | < > * ? ! # \\"]),
    ("path_with_a_command", lambda s: (s.pop("sampling"), s.update(labels={"frames": "a$(touch pwned).xyz", "theory": "PBE"})), [
        "labels.frames: 'a$(touch pwned).xyz': give a path without quotes, brackets, commas or any of $ ; & | < > * ? ! # \\"]),
    ("arguments_that_are_no_numbers", own_class(arguments={"a": float("nan"), "b": [1, {"c": float("-inf")}], "d": 2.0}), [
        "models[0].arguments.a: nan is not a number", "models[0].arguments.b: -inf is not a number"]),
    ("force_field_on_the_web", liquid(force_field="http://example.org/ff.xml"), [
        "liquids[0].force_field: 'http://example.org/ff.xml': nothing is fetched from http: give a path, or an address in an "
        "object store (s3, gs, az)"]),
    ("weights_on_the_web", model(0, weights="ftp://example.org/m", sha256=ZERO, licence="MIT", theory="GFN1-xTB", mode="finetune"), [
        "models[0].weights: 'ftp://example.org/m': nothing is fetched from ftp: give a path, or an address in an object store "
        "(s3, gs, az)"]),
    ("force_field_that_never_ends", lambda s: (os.mkfifo("pipe.xml"), liquid(force_field="pipe.xml")(s)), [
        "liquids[0].force_field: 'pipe.xml': {here}/pipe.xml is no regular file"]),
    ("path_out_of_the_folder", study(references=["../study.yaml"]), [
        "references[0]: '../study.yaml': leaves the folder of the study: give the absolute path, so that it is plain to see"]),
    ("link_out_of_the_folder", lambda s: (
        Path("out.csv").symlink_to("/etc/hostname"), study(references=["out.csv"])(s)), [
        "references[0]: 'out.csv': leaves the folder of the study: give the absolute path, so that it is plain to see"]),
    ("missing_asset", study(references=["assets/references/x.csv"]), [
        "references[0]: 'assets/references/x.csv': no such file: {assets}/references/x.csv; a path is relative to the study file"]),
    ("reference_of_another_form", study(references=["study.yaml"]), [
        "references[0]: study.yaml: line 1: give the columns ions,property,species,temperature_K,value,unit,low,high,range,n,"
        "source,second_hand"]),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "lines"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS])
def test_refusal(planned: Planned, tmp_path: Path, spoil: Callable[[Study], Any], lines: list[str]) -> None:
    content = demo()
    spoil(content)
    expected = [line.replace("{here}", str(tmp_path)).replace("{assets}", str(ASSETS)) for line in lines]
    assert planned(content) == (2, expected)


def test_the_study_that_is_spoiled_is_itself_good(planned: Planned) -> None:
    assert planned(demo()) == (0, [])


def test_all_mistakes_are_said_at_once(planned: Planned, tmp_path: Path) -> None:
    """Field mistakes do not hide those that need more than one field."""
    content = demo()
    content["liquids"][0]["temperatures_K"] = [25]
    content["liquids"][0]["ions"] = {"pyr15": 4, "bf4": 4}
    content["liquids"].append({"id": "b", "ions": {"li": 2, "bf4": 30}, "temperatures_K": [900], "presure_bar": 1,
                               "density_guess_kg_m3": 2000})  # fmt: skip
    content["models"][0] |= {"datasets": ["boht"], "epochs": -1}
    content["models"][1]["rcut_A"] = 14
    content["md"]["timestep_fs"] = 0.0005
    content["datasets"]["eq"] = ["eqq"]
    content["references"] = ["mine.csv"]
    assert planned(content, "--outdir", "/proc/ionmelt") == (2, [
        "liquids[0].temperatures_K[0]: 25 is below 100 K: is it 25 degC? give kelvin, 298.15",
        f"liquids[0].ions.pyr15: unknown ion 'pyr15'; known: {KNOWN}; or give {{smiles: ..., count: 4}}",
        "liquids[1].presure_bar: unknown field; did you mean pressure_bar?",
        "liquids[1].ions: the charges sum to -28 (2 x li +1, 30 x bf4 -1); 30 of li would make it neutral",
        "datasets.eq[0]: unknown kind 'eqq'; known: eq, neq, active",
        "models[0].epochs: -1 is below 1",
        "models[0].datasets[0]: unknown dataset 'boht'; known: both, eq",
        "models[1].rcut_A: 14 A is more than the box of b, about 13.0 A: give a smaller cut-off or more ions",
        "md.timestep_fs: 0.0005 is below 0.05 fs: is it 0.0005 ps? give fs, 0.5",
        f"references[0]: 'mine.csv': no such file: {tmp_path}/mine.csv; a path is relative to the study file",
        "outdir: '/proc/ionmelt': cannot be written (No such file or directory): give a folder that you may write to",
    ])  # fmt: skip


def test_budget(planned: Planned) -> None:
    content = demo() | {"budget_core_hours": 0.1}
    code, (line,) = planned(content)
    assert code == 2
    assert line.startswith("budget_core_hours: 0.1 is less than the ")
    assert line.endswith("): plan less, or raise it")


def test_yaml_syntax_error(planned: Planned) -> None:
    assert planned("name: [demo\nmd: 3\n") == (
        2, ["study.yaml: line 2, column 3: not YAML: expected ',' or ']', but got ':'"])  # fmt: skip


def test_a_key_given_twice(planned: Planned) -> None:
    code, lines = planned(DEMO + "\nseeds: [2]\n")
    assert (code, len(lines)) == (2, 1)
    assert "'seeds' is already given in line" in lines[0]


def test_a_study_that_is_no_text(planned: Planned, tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"name: \xff\xfe")
    assert plan_module.main(["--study", "bytes.yaml", "--assets", str(ASSETS)]) == 2
    assert plan_module.main(["--study", "absent.yaml", "--assets", str(ASSETS)]) == 2
    assert plan_module.main(["--study", str(tmp_path), "--assets", str(ASSETS)]) == 2


def test_files_in_an_object_store_are_named_as_they_are(planned: Planned) -> None:
    content = demo()
    own_class(arguments={"a": "nan", "b": 1e-5})(content)
    liquid(force_field="s3://bucket/ff.xml")(content)
    assert planned(yaml.safe_dump(content).replace("1.0e-05", "1e-5")) == (0, [])
    assert {"role": "force_field", "id": "pyr14bf4-r1", "path": "s3://bucket/ff.xml"} in rows("files.csv")
    assert json.loads(next(Path("plan/imports").glob("*.json")).read_text())["arguments"] == {"a": "nan", "b": 1e-5}


def no_regular_file(path: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(1 << 40)
    else:
        path.write_bytes(
            {"binary": bytes(range(256)), "UTF-16": "name: demo".encode("utf-16"), "zeros": bytes(100)}[kind]
        )


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pipe", "is no regular file"),
        ("endless", "is no regular file"),
        ("huge", "is larger than 1000 kB; is it a study?"),
        ("binary", "is not UTF-8 text"),
        ("UTF-16", "is not UTF-8 text"),
        ("zeros", "line 1: not YAML: a character that YAML does not allow"),
    ],
)
def test_a_study_that_would_be_read_for_ever_or_for_nothing(
    kind: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    no_regular_file(tmp_path / "odd.yaml", kind)
    assert plan_module.main(["--study", "odd.yaml", "--assets", str(ASSETS)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_numbers_of_two_readings_are_refused_where_they_stand(planned: Planned) -> None:
    text = yaml.safe_dump(demo(), sort_keys=False).replace("- 430", "- 0430\n  - 7:10")
    code, lines = planned(text)
    assert (code, len(lines)) == (2, 2)
    assert all(" is no plain number: write it in decimal" in line for line in lines)


OWN_XML = """<ForceField><AtomTypes/></ForceField>"""


def labelled_by_own_force_fields(force_field: str = "own.xml") -> Study:
    """Return a study whose frames are labelled by the force field of its liquid."""
    content = demo() | {"labels": {"engine": "classical"}}
    content["liquids"][0]["force_field"] = force_field
    return content


def test_labels_by_a_force_field_are_of_its_level(planned: Planned) -> None:
    """What changes a label changes the level: another force field or cut-off, and not the name of its file or the machine."""
    text, digest = OWN_XML, hashlib.sha256(OWN_XML.encode()).hexdigest()
    for name in ("own.xml", "copy.xml"):
        Path(name).write_text(text)
    Path("other.xml").write_text(text.replace("<AtomTypes/>", "<AtomTypes></AtomTypes>"))
    levels: dict[str, str] = {}
    given_ = {"own": {}, "copy": {}, "other": {}, "unseen": {"force_field_sha256": digest}}
    for name, more in given_.items():
        content = labelled_by_own_force_fields("own.xml" if name == "unseen" else f"{name}.xml")
        content["liquids"][0] |= more
        assert planned(content, *(["--files-unseen"] if name == "unseen" else []), out=name) == (0, [])
        labels = json.loads(Path(name, "labels.json").read_text())
        assert labels["theory_id"] == json.loads(Path(name, "models/mace-eq-s1.json").read_text())["theory_id"]
        levels[name] = labels["theory_id"]
    assert levels["own"] == levels["copy"] == levels["unseen"] != levels["other"]
    assert planned(labelled_by_own_force_fields() | {"equilibration": {"cutoff_A": 4.0}}, out="cut") == (0, [])
    assert planned(labelled_by_own_force_fields("clandp"), out="clandp") == (0, [])
    ids = {name: json.loads(Path(name, "labels.json").read_text())["theory_id"] for name in ("own", "cut", "clandp")}
    assert len(set(ids.values())) == 3
    shown = json.loads(Path("own", "labels.json").read_text())["force_fields"]["pyr14bf4"]
    assert shown == {"name": "own.xml", "sha256": digest, "cutoff_A": 4.831}  # 0.42 of the edge
    with Path("own", "boxes.csv").open() as file:
        assert [(row["key"], row["for_labels"]) for row in csv.DictReader(file)] == [
            ("pyr14bf4-r1", "true"), ("pyr14bf4-r2", "false"),
        ]  # fmt: skip


def test_force_fields_that_cannot_label(planned: Planned) -> None:
    Path("own.xml").write_text(OWN_XML)
    content = labelled_by_own_force_fields("xtb")
    content["models"] = content["models"][:2]
    assert planned(content) == (2, [
        "labels.engine: classical: the force field of pyr14bf4 is xtb, which is not a classical one: give the liquid a force "
        "field, or take engine: xtb"
    ])  # fmt: skip
    content = labelled_by_own_force_fields()
    assert planned(content, "--files-unseen") == (2, [
        "liquids[0].force_field_sha256: missing: own.xml cannot be opened here, in a container or from afar, and the labels are "
        "kept under the sha256 of their force field: give it"
    ])  # fmt: skip
    content["liquids"][0]["force_field_sha256"] = ZERO
    digest = hashlib.sha256(OWN_XML.encode()).hexdigest()
    assert planned(content) == (2, [f"liquids[0].force_field_sha256: own.xml has sha256 {digest}, not this one"])
    content["liquids"][0]["force_field"] = "clandp"
    assert planned(content) == (2, [
        "liquids[0].force_field_sha256: is of a file of your own, and force_field is clandp: leave it out"
    ])  # fmt: skip


def test_wrong_sha256(planned: Planned) -> None:
    Path("w.model").write_bytes(b"weights")
    found = hashlib.sha256(b"weights").hexdigest()
    content = demo()
    content["models"][0] |= {
        "weights": "w.model",
        "sha256": ZERO,
        "licence": "MIT",
        "theory": "GFN1-xTB",
        "mode": "finetune",
    }
    assert planned(content) == (2, [f"models[0].sha256: w.model has sha256 {found}, not this one"])
    content["models"][0]["sha256"] = found
    assert planned(content) == (0, [])
    place = str(Path("w.model").resolve())
    # the weights themselves are evaluated too, and not run
    assert [tuple(row.values()) for row in rows("files.csv")][:2] == [
        ("own_model", "mace-start", place),
        ("weights", "mace-both-s1", place),
    ]
    assert loaded("imports/mace-start.json")["sha256"] == found
    assert {row["start"] for row in rows("models.csv") if row["model"] == "mace"} == {"mace-start"}
    assert not any(row["model_key"] == "mace-start" for row in rows("runs.csv"))
    assert loaded("models/mace-both-s1.json")["weights"] == "w.model"


@pytest.mark.parametrize(
    ("outdir", "line"),
    [
        ("/proc/ionmelt/a", "outdir: '/proc/ionmelt/a': cannot be written (No such file or directory): give a folder that you may write to"),
        ("study.yaml/results", "outdir: 'study.yaml/results': {here}/study.yaml is a file: give a folder"),
        ("study.yaml", "outdir: 'study.yaml': {here}/study.yaml is a file: give a folder"),
        ("dangling", "outdir: 'dangling': {here}/dangling is a link to nothing"),
        ("results", None),
        ("new/results", None),
        ("s3://bucket/results", None),
        ("/not/mounted/here", None),
    ],
)  # fmt: skip
def test_output_folder(planned: Planned, tmp_path: Path, outdir: str, line: str | None) -> None:
    Path("dangling").symlink_to("nowhere")
    expected = (2, [line.replace("{here}", str(tmp_path))]) if line else (0, [])
    assert planned(demo(), "--outdir", outdir) == expected
    assert not Path("results").exists()


def test_files_that_cannot_be_seen_are_left_to_nextflow(planned: Planned) -> None:
    """On a cloud, or inside a container, the study's neighbours are not there to be looked at."""
    content = demo()
    content["models"][0] |= {
        "weights": "w.model",
        "sha256": ZERO,
        "licence": "MIT",
        "theory": "PBE",
        "mode": "zero-shot",
    }
    assert planned(content, "--base", "s3://bucket/studies")[0] == 0
    assert rows("files.csv") == [{"role": "own_model", "id": "mace", "path": "s3://bucket/studies/w.model"}]
    assert planned(content, "--base", "/data/someone", "--files-unseen", out="other")[0] == 0
    content["references"] = ["mine.csv"]
    assert planned(content, "--base", "/data/someone", "--files-unseen", out="third") == (
        2, ["references[0]: 'mine.csv': cannot be read from here: put it into assets/references"])  # fmt: skip


# --- The plan ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["demo", "pyr14bf4", "litfsi-pyr14tfsi", "pyr14tfsi", "test"])
def test_studies_of_the_repository(planned: Planned, name: str) -> None:
    assert planned((STUDIES / f"{name}.yaml").read_text()) == (0, [])


def test_sizes_are_datasets_of_their_own(planned: Planned) -> None:
    assert planned(demo() | {"sizes": [4, 8]}) == (0, [])
    names = {"both", "both.4", "both.8", "eq", "eq.4", "eq.8"}
    trained = [row for row in rows("models.csv") if row["framework"] == "mace"]
    assert {row["dataset"] for row in trained} == names
    assert all(row["dataset"] == row["mixture"] + (row["size"] and f".{row['size']}") for row in trained)
    assert {row["size"] for row in trained} > {""}
    settings = loaded("dataset.json")
    assert set(settings["datasets"]) == names
    assert settings["datasets"]["both.4"] == settings["datasets"]["both"]
    assert settings["sizes"] == {"both.4": 4, "both.8": 8, "eq.4": 4, "eq.8": 8}


def test_keys_and_files_belong_together(planned: Planned) -> None:
    assert planned(demo()) == (0, [])
    boxes, states, models, runs = (rows(f"{name}.csv") for name in ("boxes", "states", "models", "runs"))
    assert [row["key"] for row in boxes] == ["pyr14bf4-r1", "pyr14bf4-r2"]
    assert [row["key"] for row in states] == ["pyr14bf4-430K-r1", "pyr14bf4-430K-r2"]
    assert [row["key"] for row in models if row["framework"] == "mace"] == [
        "mace-both-s1", "mace-both-s2", "mace-eq-s1", "mace-eq-s2"]  # fmt: skip
    assert (models[-1]["key"], models[-1]["framework"], models[-1]["role"]) == ("labels", "xtb", "labels")
    assert models[-2] == {
        "key": "clp",
        "model": "clp",
        "framework": "classical",
        "dataset": "",
        "seed": "",
        "trained": "false",
        "imported": "false",
        "image": "analysis",
        "environment": "analysis",
        "role": "model",
        "start": "",
        "mixture": "",
        "size": "",
        "theory": "",
        "labels_theory": "GFN1-xTB",
        "same_theory": "",
    }
    assert len(runs) == 2 * 9
    folder = Path("plan")
    assert {(row["image"], row["environment"]) for row in runs if "-mace-" in row["key"]} == {("mace", "mace")}
    for table, names in (("boxes", boxes), ("states", states), ("runs", runs)):
        assert {path.stem for path in (folder / table).glob("*.json")} == {row["key"] for row in names}
        for row in names:
            assert loaded(f"{table}/{row['key']}.json")["id"] == row["key"]
    assert {p.name.removesuffix(".json") for p in (folder / "models").iterdir()} == {
        m["key"] for m in models if m["trained"] == "true"
    }
    assert {p.name for p in (folder / "cards").iterdir()} == {"clp", "labels"}
    assert rows("samples.csv") == [{"key": "pyr14bf4"}]


def test_settings_hold_what_a_task_needs(planned: Planned) -> None:
    assert planned(demo()) == (0, [])
    box = loaded("boxes/pyr14bf4-r1.json")
    assert [(ion["name"], ion["charge"], ion["count"]) for ion in box["ions"]] == [
        ("pyr14", 1, 4),
        ("bf4", -1, 4),
    ]
    # 4 x (140.25 + 86.80) g/mol at 1000 kg/m3
    edge = (4 * (142.266 + 86.803) / 6.02214076e23 * 1e24) ** (1 / 3)
    assert box["cutoff_A"] == pytest.approx(0.42 * edge, abs=0.002)
    assert "production_ps" not in box
    state = loaded("states/pyr14bf4-430K-r1.json")
    assert state["temperature_K"] == 430
    assert state["force_field"] == "clandp"
    assert state["timestep_fs"] == 2.0
    run = loaded("runs/pyr14bf4-430K-r2-mace-eq-s2.json")
    assert (run["model"], run["dataset"], run["model_seed"], run["replica"], run["timestep_fs"]) == (
        "mace",
        "eq",
        2,
        2,
        0.5,
    )
    assert run["seed"] == loaded("runs/pyr14bf4-430K-r2-clp.json")["seed"], "all models start alike"
    assert run["seed"] != loaded("runs/pyr14bf4-430K-r1-clp.json")["seed"], "replicas differ"
    theories = {loaded("labels.json")["theory_id"], loaded("models/mace-eq-s1.json")["theory_id"]}
    assert len(theories) == 1
    assert loaded("dataset.json")["datasets"] == {"both": ["eq", "neq"], "eq": ["eq"]}


def test_a_study_of_trained_models_needs_no_data(planned: Planned) -> None:
    content = demo()
    for name in ("sampling", "labels", "datasets"):
        del content[name]
    content["models"] = content["models"][2:]
    assert planned(content) == (0, [])
    assert rows("samples.csv") == []
    assert len(rows("runs.csv")) == 2


def test_liquids_and_models_are_a_study(planned: Planned) -> None:
    """The shortest way to an answer: models that are there already, and nothing else."""
    own_class()(content := demo())
    planned_content = {"liquids": content["liquids"], "models": content["models"][:1], "budget_core_hours": 1e6}
    code, errors = planned(planned_content)
    assert (code, errors) == (0, [])
    assert rows("models.csv")[0]["framework"] == "ase"
    assert loaded("imports/own.json")["liquid_elements"] == ["B", "C", "F", "H", "N"]
    run = loaded("runs/pyr14bf4-430K-r1-own.json")
    assert (run["npt_ps"], run["nvt_ps"]) == (100, 1000)


@pytest.mark.parametrize(
    ("theory", "dispersion", "mode", "labels", "said"),
    [
        ("PBE", None, "zero-shot", "PBE-D3(BJ)", "mace imitates PBE, the labels are PBE-D3(BJ)"),
        ("PBE", {"functional": "PBE"}, "zero-shot", "PBE-D3(BJ)", None),
        ("pbe-d3(bj)", None, "zero-shot", "PBE-D3(BJ)/TZV2P, CP2K 2025.1", None),
        ("PBE-D3(BJ)", None, "finetune", "PBE-D3(BJ)/TZV2P, CP2K 2025.1", None),
        ("PBE", None, "replay", "PBE-D3(BJ)", None),
    ],
)
def test_levels_of_theory_are_compared(
    theory: str, dispersion: Any, mode: str, labels: str, said: str | None, planned: Planned
) -> None:
    Path("mine.extxyz").write_text("2\nProperties=species:S:1:pos:R:3\nH 0 0 0\nH 0 0 1\n")
    Path("w.model").write_bytes(b"weights")
    content = demo() | {"labels": {"frames": "mine.extxyz", "theory": labels}}
    del content["sampling"]
    digest = hashlib.sha256(b"weights").hexdigest()
    content["models"][0] |= {"weights": "w.model", "sha256": digest, "licence": "MIT", "theory": theory, "mode": mode}
    if mode == "replay":
        content["models"][0]["replay_frames"] = "mine.extxyz"
    if dispersion:
        content["models"][0]["dispersion"] = dispersion
    assert planned(content) == (0, [])
    lines = [line for line in Path("plan/warnings.txt").read_text().splitlines() if ".theory" in line]
    assert [said in line for line in lines] == ([True] if said else [])
    (row,) = [row for row in rows("models.csv") if row["model"] == "mace" and row["theory"]] or [{"same_theory": ""}]
    assert row["same_theory"] == ("" if mode in ("finetune", "replay") else "false" if said else "true")


@pytest.mark.parametrize(("mode", "rate"), [("finetune", 0.001), ("replay", 0.001), ("lora", 0.005), (None, 0.01)])
def test_models_that_are_tuned_get_their_weights_and_a_rate_of_their_own(
    mode: str | None, rate: float, planned: Planned
) -> None:
    Path("w.model").write_bytes(b"weights")
    Path("own.extxyz").write_text("2\nProperties=species:S:1:pos:R:3\nH 0 0 0\nH 0 0 1\n")
    content = demo()
    content["models"][0].pop("learning_rate", None)
    if mode:
        digest = hashlib.sha256(b"weights").hexdigest()
        about = {"sha256": digest, "licence": "MIT", "theory": "GFN1-xTB", "head": "dft"}
        content["models"][0] |= {"weights": "w.model", "mode": mode, **about}
    if mode == "replay":
        content["models"][0]["replay_frames"] = "own.extxyz"
    assert planned(content) == (0, [])
    settings = loaded("models/mace-both-s1.json")
    assert settings["learning_rate"] == rate
    assert settings["weights"] == ("w.model" if mode else None)
    assert settings["replay_frames"] == ("own.extxyz" if mode == "replay" else None)
    assert settings["head"] == ("dft" if mode else None)
    files = {(row["role"], Path(row["path"]).name) for row in rows("files.csv") if row["id"] == "mace-both-s1"}
    wanted = {("weights", "w.model")} if mode else set()
    assert files == wanted | ({("replay", "own.extxyz")} if mode == "replay" else set())


def test_own_labels_skip_sampling(planned: Planned) -> None:
    Path("mine.extxyz").write_text("2\nProperties=species:S:1:pos:R:3\nH 0 0 0\nH 0 0 1\n")
    content = demo() | {"labels": {"frames": "mine.extxyz", "theory": "PBE-D3"}}
    del content["sampling"]
    assert planned(content) == (0, [])
    assert rows("samples.csv") == []
    assert rows("files.csv") == [{"role": "labels", "id": "labels", "path": str(Path("mine.extxyz").resolve())}]


def test_own_labels_may_be_a_folder(planned: Planned) -> None:
    Path("runs").mkdir()
    content = demo() | {"labels": {"frames": "runs", "theory": "PBE-D3", "format": "deepmd-npy"}}
    del content["sampling"]
    assert planned(content) == (0, [])
    assert rows("files.csv") == [{"role": "labels", "id": "labels", "path": str(Path("runs").resolve())}]
    content["labels"]["stress_order"] = "xx yy zz xy yz zx"
    said = "labels.stress_order: is for extxyz: the orders of deepmd-npy are known: leave this out"
    assert planned(content, out="refused") == (2, [said])


def test_an_ion_of_your_own(planned: Planned) -> None:
    content = demo()
    content["liquids"][0] |= {
        "ions": {"cho": {"smiles": "C[N+](C)(C)CCO", "count": 6}, "bf4": 6},
        "force_field": "xtb",
    }
    content["models"].pop()
    assert planned(content) == (0, [])
    assert loaded("boxes/pyr14bf4-r1.json")["ions"][0] == {
        "name": "cho", "smiles": "C[N+](C)(C)CCO", "charge": 1, "count": 6, "types": None, "hydrogen_types": None}  # fmt: skip
    content["liquids"][0] |= {
        "ions": {"mine": {"smiles": "C1CCC[N+]1(C)CCCC", "count": 6}, "bf4": 6},
        "force_field": "clandp",
    }
    assert planned(content) == (0, []), "the same ion by another SMILES has the library's types"


def test_two_plans_are_the_same_bytes(planned: Planned) -> None:
    assert planned(DEMO) == (0, [])
    assert planned(DEMO, out="again") == (0, [])
    assert planned(DEMO) == (0, []), "an earlier plan is replaced"
    assert contents(Path("plan")) == contents(Path("again"))


def test_a_plan_replaces_no_other_folder(planned: Planned, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").mkdir()
    Path("mine/work").write_text("x")
    Path("study.yaml").write_text(DEMO)
    assert plan_module.main(["--study", "study.yaml", "--assets", str(ASSETS), "--out", "mine"]) == 2
    assert capsys.readouterr().err == "error: out: mine: exists and is not a plan: give another folder\n"
    assert Path("mine/work").exists()


@pytest.mark.parametrize(
    ("labels", "frames", "pairs", "chunk"),
    [
        ({"engine": "xtb", "chunk": 7}, 9997, 4, 7),
        ({"engine": "xtb"}, 9997, 4, 537),
        # half an hour would hold them all, but others shall have something to do
        ({"engine": "xtb"}, 397, 4, 50),
        ({"engine": "xtb"}, 29, 4, 10),
        # minutes each: half an hour is a few frames, of which a chain cannot live
        (CP2K_LABELS, 397, 4, 10),
        # and 10,000 of them are 200 tasks
        (CP2K_LABELS, 9997, 4, 51),
    ],
)
def test_chunks_last_half_an_hour_within_limits(
    planned: Planned, labels: dict[str, Any], frames: int, pairs: int, chunk: int
) -> None:
    content = demo()
    content |= {"labels": labels, "budget_core_hours": 1e9}
    content["sampling"] = {"eq": {"frames": frames}, "test_scan": {"scales": [0.9, 1.0, 1.1]}}
    content["datasets"] = {"eq": ["eq"]}
    content["liquids"][0]["ions"] = {"pyr14": pairs, "bf4": pairs}
    content["equilibration"] = {"production_ps": 12_000, "save_every_ps": 1}
    assert planned(content) == (0, [])
    assert loaded("samples/pyr14bf4.json")["chunk"] == chunk


@pytest.mark.parametrize(
    ("change", "only"),
    [
        (
            md(npt_ps=0.2, timestep_fs=0.25, save_every_fs=10),
            {"runs", "study.json", "estimate.json", "warnings.txt"},
        ),
        (model(0, epochs=6), {"models", "study.json", "estimate.json"}),
        (study(labels={"engine": "xtb", "chunk": 5}), {"samples", "study.json", "estimate.json"}),
        (study(labels={"engine": "xtb", "max_failed_fraction": 0.1}), {"dataset.json", "study.json"}),
        (study(labels={"engine": "xtb", "accuracy": 1.0}), {"labels.json", "models", "cards", "study.json"}),
        (study(name="other"), {"study.json"}),
        (study(equilibration={"settle_ps": 60}), {"states", "study.json", "estimate.json"}),
        (sampling(seed=2), {"samples", "study.json"}),
        (study(split={"seed": 2}), {"dataset.json", "study.json"}),
        (study(references=[]), {"study.json"}),
        (study(budget_core_hours=5), {"study.json", "estimate.json"}),
    ],
    ids=[
        "md",
        "epochs",
        "chunk",
        "max_failed",
        "theory",
        "name",
        "equilibration",
        "sampling",
        "split",
        "references",
        "budget",
    ],
)
def test_a_change_reaches_only_the_tasks_that_it_concerns(
    planned: Planned, change: Callable[[Study], Any], only: set[str]
) -> None:
    """What a task does not read must not re-run it: compared file by file."""
    before, after = demo(), demo()
    change(after)
    assert planned(before) == (0, [])
    assert planned(after, out="after") == (0, [])
    old, new = contents(Path("plan")), contents(Path("after"))
    differ = {name.split("/")[0] for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    assert differ == only


def test_a_study_that_grows_keeps_what_it_has(planned: Planned) -> None:
    """A further replica, seed, temperature or model changes no settings that were there."""
    larger = demo()
    larger["md"]["replicas"] = 3
    larger["seeds"] = [2, 1, 3]
    larger["liquids"].insert(0, {"id": "libf4", "ions": {"li": 20, "bf4": 20}, "temperatures_K": [900]})
    larger["models"].append({"id": "gfn", "framework": "xtb"})
    assert planned(demo()) == (0, [])
    assert planned(larger, out="larger") == (0, [])
    old, new = contents(Path("plan")), contents(Path("larger"))
    kept = {"boxes", "states", "samples", "models", "cards", "runs"}
    changed = {name for name in old if name.split("/")[0] in kept and old[name] != new.get(name)}
    assert changed == set()


# --- Warnings and cost ---------------------------------------------------------------------------------


def test_warnings(planned: Planned) -> None:
    content = demo()
    content["liquids"][0]["temperatures_K"] = [400, 430]
    content["md"] |= {"timestep_fs": 2.0, "npt_ps": 50, "nvt_ps": 500}
    assert planned(content) == (0, [])
    assert Path("plan/warnings.txt").read_text().splitlines() == [
        "labels.engine: xtb: semi-empirical labels are for trying things out, not a reference",
        "liquids[0].temperatures_K[0]: 400 K: PYR14BF4 melts at 424-425 K: call it supercooled, or give 430 K",
        "liquids[0].ions: 4 ion pairs are not the liquid: densities and structures depend on the box",
        "liquids[0].ions: 4 ion pairs: diffusion is too slow in so small a box; it needs the Yeh-Hummer correction "
        "(finite_size_correction_m2_s)",
        "md.timestep_fs: 2 fs is too long for bonds to hydrogen: 0.5 fs is usual",
        "md.npt_ps: 50 ps is too short for a density to converge: give 100 ps or more",
        "md.nvt_ps: 500 ps is too short for diffusion to converge: give 1000 ps or more",
    ]


def test_xtb_equilibrates_for_as_long_as_asked_or_is_refused_with_its_cost(planned: Planned) -> None:
    content = demo() | {
        "equilibration": {"anneal_ps": 0.5, "cool_ps": 0.3, "settle_ps": 0.2, "production_ps": 1, "save_every_ps": 0.1}
    }
    content["liquids"][0]["force_field"] = "xtb"
    content["sampling"] |= {"eq": {"frames": 6}}
    content["models"].pop()
    assert planned(content) == (0, [])
    state, short = loaded("states/pyr14bf4-430K-r1.json"), loaded("estimate.json")["stages"][0]
    assert (state["timestep_fs"], state["production_ps"]) == (1.0, 1)
    assert "GFN1-xTB" in short["source"] and short["core_hours"] > 0
    assert "the equilibration of each box is 2000 steps of GFN1-xTB" in Path("plan/warnings.txt").read_text()
    # The cost goes with the steps: what is asked is estimated, not a part of it.
    content["equilibration"] = {name: 100 * ps for name, ps in content["equilibration"].items()}
    content["budget_core_hours"] = 50 * short["core_hours"]
    code, (line,) = planned(content, out="long")
    assert code == 2
    assert line.startswith("budget_core_hours: ") and f"equilibrate {100 * short['core_hours']:.3g}" in line


def test_a_force_field_takes_the_longer_step(planned: Planned) -> None:
    assert planned(demo()) == (0, [])
    assert loaded("states/pyr14bf4-430K-r1.json")["timestep_fs"] == 2.0


def test_a_setting_that_a_path_does_not_use_is_named(planned: Planned) -> None:
    content = demo()
    content["md"] |= {"engine": "openmm", "barostat_fs": 300}
    assert planned(content) == (0, [])
    assert "md.barostat_fs: is not used for clp: OpenMM's barostat" in Path("plan/warnings.txt").read_text()


def test_frames_that_are_kept_less_often_than_asked_are_announced(planned: Planned) -> None:
    content = demo()
    content["md"] |= {"npt_ps": 2, "nvt_ps": 8, "save_every_fs": 1, "max_trajectory_mb": 4}
    assert planned(content) == (0, [])
    assert (
        "md.save_every_fs: a run of pyr14bf4 may make 12 MB of frames, above max_trajectory_mb 4: they are kept every 4 fs"
        in Path("plan/warnings.txt").read_text().splitlines()
    )


def test_a_large_and_long_study_has_no_warning(planned: Planned) -> None:
    content = demo()
    content["liquids"][0]["ions"] = {"pyr14": 80, "bf4": 80}
    content["md"] = {"npt_ps": 200, "nvt_ps": 1000}
    content["labels"] = {
        "engine": "cp2k", "functional": "PBE", "dispersion": "D3", "basis": "DZVP", "potential": "GTH-PBE",
        "cutoff_Ry": 400, "rel_cutoff_Ry": 50, "eps_scf": "1e-6"}  # fmt: skip
    assert planned(content) == (0, [])
    assert Path("plan/warnings.txt").read_text() == ""


def test_estimate_is_what_was_measured() -> None:
    """Every law goes through its measured points: wall seconds on two cores."""
    for name, atoms, seconds in [
        ("GFN1-xTB", 70, 0.4), ("GFN1-xTB", 280, 7), ("GFN2-xTB", 70, 1.4), ("GFN2-xTB", 280, 12),
        ("cp2k", 35, 60), ("cp2k", 70, 150)]:  # fmt: skip
        assert LABELS[name].core_s(atoms) == pytest.approx(2 * seconds)
    small = mace.MaceModel.model_validate(
        {"id": "m", "framework": "mace", "channels": 32, "max_L": 1, "r_max_A": 4.5, "interactions": 2, "epochs": 5}
    )
    assert mace.md_core_s(small, 560, 1000) == pytest.approx(2 * 560_000 / 1031)
    assert mace.training_core_s(small, 50, 70) == pytest.approx(2 * 70)


def test_estimate_counts_what_will_run(planned: Planned, capsys: pytest.CaptureFixture[str]) -> None:
    assert planned(demo()) == (0, [])
    estimate = loaded("estimate.json")
    counts = {row["stage"]: row["count"] for row in estimate["stages"]}
    assert counts == {"equilibrate": 2, "label": 20 + 10 + 5 + 8, "train": 8, "md": 18}
    assert estimate["total_core_hours"] == pytest.approx(sum(row["core_hours"] for row in estimate["stages"]), rel=0.01)
    (label,) = [row["core_hours"] for row in estimate["stages"] if row["stage"] == "label"]
    # one frame in fifty is labelled a second time, to compare
    assert label == pytest.approx(1.02 * 43 * 2 * 0.4 * (140 / 70) ** 2.0646 / 3600, rel=0.01)


# --- References ----------------------------------------------------------------------------------------


def test_references_find_the_liquid_by_composition(planned: Planned) -> None:
    content = demo()
    content["liquids"] = [
        {"id": "x00", "ions": {"tfsi": 10, "pyr14": 10}, "temperatures_K": [333.15, 340, 430]},
        {"id": "x10", "ions": {"li": 1, "tfsi": 10, "pyr14": 9}, "temperatures_K": [333.15]},
    ]
    assert planned(content) == (0, [])
    found = rows("references.csv")
    assert {row["liquid"] for row in found} == {"x00"}
    density = {float(row["temperature_K"]): row for row in found if row["property"] == "density"}
    assert float(density[333.15]["value"]) == 1363.99
    assert density[333.15]["interpolated"] == "false" and density[340]["interpolated"] == "true"
    # the quartiles of the file, in standard deviations of a normal distribution
    sigma = [(float(row["high"]) - float(row["low"])) / 1.349 for row in (density[333.15], density[343.15])]
    assert float(density[333.15]["standard_uncertainty"]) == pytest.approx(sigma[0], rel=1e-3)
    weight = (340 - 333.15) / 10
    assert float(density[340]["value"]) == pytest.approx(1363.99 * (1 - weight) + 1355.31 * weight, rel=1e-5)
    interpolated = sigma[0] * (1 - weight) + sigma[1] * weight
    assert float(density[340]["standard_uncertainty"]) == pytest.approx(interpolated, rel=1e-3)
    assert 430 not in density, "nothing is extrapolated"
    assert {row["unit"] for row in found} == {"kg/m3", "Pa.s", "S/m"}
    assert {row["second_hand"] for row in found} == {"false"}


def test_the_papers_density_is_second_hand_and_has_no_temperature(planned: Planned) -> None:
    assert planned(DEMO) == (0, [])
    (row,) = rows("references.csv")
    assert (row["value"], row["temperature_K"], row["second_hand"]) == ("1070.0", "", "true")


def test_reference_table_is_the_published_one() -> None:
    """A few rows, as NIST ILThermo has them, and the shape of the whole."""
    table = read_references(ASSETS / "references" / "ilthermo.csv")
    assert len(table) == 146
    at_298 = {
        (dict(row.composition).keys() - {"tfsi", "bf4"}).pop() + "-" + row.property: row.value
        for row in table if row.temperature_K == 298.15 and "tfsi" in dict(row.composition)
    }  # fmt: skip
    assert at_298["pyr14-density"] == 1394.6
    assert at_298["pyr14-viscosity"] == pytest.approx(0.0769)
    assert at_298["pyr14-conductivity"] == 0.2765
    for row in table:
        assert row.low <= row.value <= row.high


def test_viscosity_is_interpolated_as_arrhenius() -> None:
    """An exact Arrhenius law comes back exactly; a straight line would be 4 % off."""
    import math

    def row(kelvin: float) -> Reference:
        return Reference(
            composition=(("a", 1),), property="viscosity", species=None, temperature_K=kelvin,
            value=1e-5 * math.exp(3000 / kelvin), low=None, high=None, range=None, unit="Pa.s", n=3,
            standard_uncertainty=1e-7 * math.exp(3000 / kelvin), source="s", second_hand=False)  # fmt: skip

    (middle,) = [r for r in references_of("a", {"a": 2}, [310], [row(300), row(330)]) if r.temperature_K == 310]
    assert middle.value == pytest.approx(row(310).value, rel=1e-5)
    assert middle.standard_uncertainty == pytest.approx(row(310).standard_uncertainty, rel=1e-5)  # 1 % there too


GOOD_LINE = {"ions": "pyr14:1 tfsi:1", "property": "density", "species": "", "temperature_K": "300", "value": "1392", "unit": "kg/m3",
             "low": "1390", "high": "1395", "range": "quartiles", "n": "9", "source": "s", "second_hand": "false"}  # fmt: skip
CHARGES = {"pyr14": 1, "tfsi": -1, "bf4": -1}


def reference_file(folder: Path, *changes: dict[str, str]) -> Path:
    """Write a file of measured values, each line the good one with something changed."""
    with (folder / "mine.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(GOOD_LINE))
        writer.writeheader()
        writer.writerows(GOOD_LINE | {"source": f"s{i}"} | change for i, change in enumerate(changes))
    return folder / "mine.csv"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"property": "colour"}, f"property: 'colour': give one of {', '.join(NAMED)}"),
        ({"unit": "lb/ft3"}, "unit: 'lb/ft3': give one of kg/m3, g/cm3"),
        ({"value": "-1"}, "value: '-1' is not a positive number"),
        ({"value": "nan"}, "value: 'nan' is not a positive number"),
        ({"value": "1,392"}, "value: '1,392' is not a positive number"),
        ({"value": ""}, "value: empty: give the measured value"),
        ({"value": "1500000", "low": "", "high": "", "range": ""}, "value: 1.5e+06 kg/m3 is no density of a liquid of ions, which is "
         "from 100 to 20000 kg/m3: is the unit right?"),
        ({"value": "1.392", "low": "1.39", "high": "1.395"}, "value: 1.392 kg/m3 is no density of a liquid of ions, which is from 100 "
         "to 20000 kg/m3: is the unit right?"),
        ({"unit": "g/cm3", "low": "", "high": "", "range": ""}, "value: 1392 g/cm3 is no density of a liquid of ions, which is from 100 "
         "to 20000 kg/m3: is the unit right?"),
        ({"temperature_K": "25"}, "temperature_K: 25 is below 100 K: is it 25 degC? give kelvin, 298.15"),
        ({"temperature_K": "29815"}, "temperature_K: 29815 is above 3000 K: give kelvin"),
        ({"temperature_K": "-5"}, "temperature_K: '-5' is not a positive number"),
        ({"value": "1396"}, "value: 1396 is outside its own range, low 1390 to high 1395"),
        ({"value": "1389"}, "value: 1389 is outside its own range, low 1390 to high 1395"),
        ({"low": "1395", "high": "1390"}, "low: 1395 is above high 1390"),
        ({"high": ""}, "high: empty: give both low and high, or neither"),
        ({"range": ""}, "range: '': say what low and high are: standard uncertainty, 95 % interval, quartiles, min-max"),
        ({"range": "error"}, "range: 'error': say what low and high are: standard uncertainty, 95 % interval, quartiles, min-max"),
        ({"low": "", "high": ""}, "range: 'quartiles', but low and high are empty: give them, or leave range empty"),
        ({"n": "2.5"}, "n: '2.5': give the number of data sets"),
        ({"ions": "pyr14 tfsi"}, "ions: 'pyr14 tfsi': give a composition such as 'pyr14:1 tfsi:1'"),
        ({"ions": "pyr41:1 tfsi:1"}, "ions: pyr41: no ion of assets/ions or of this study; known: bf4, pyr14, tfsi"),
        ({"ions": "pyr14:1 tfsi:2"}, "ions: 'pyr14:1 tfsi:2': the charges sum to -1: no liquid of ions has this composition"),
        ({"ions": "pyr14:1 pyr14:1 tfsi:1"}, "ions: 'pyr14:1 pyr14:1 tfsi:1': an ion is given twice"),
        ({"species": "pyr14"}, "species: 'pyr14': leave it empty: a density is that of the liquid"),
        ({"property": "diffusion", "unit": "m2/s", "value": "1e-11", "low": "1e-11", "high": "1e-11", "species": "li"},
         "species: 'li': give the ion that diffuses, one of pyr14, tfsi"),
        ({"source": ""}, "source: empty: say where the value is from"),
        ({"second_hand": "maybe"}, "second_hand: 'maybe': give true or false"),
    ],
)  # fmt: skip
def test_a_wrong_line_of_a_reference_file(tmp_path: Path, change: dict[str, str], problem: str) -> None:
    with pytest.raises(UserError) as caught:
        read_references(reference_file(tmp_path, change), CHARGES)
    assert caught.value.errors == [f"mine.csv: line 2: {problem}"]


def test_every_mistake_of_a_reference_file_has_a_line_with_its_row(tmp_path: Path) -> None:
    path = reference_file(
        tmp_path, {}, {"temperature_K": "25", "value": "2000", "n": "x"}, {"ions": "a:1"}, {"source": "s0"}
    )
    path.write_text(path.read_text() + "pyr14:1 tfsi:1,density\n")
    with pytest.raises(UserError) as caught:
        read_references(path, CHARGES)
    lines = [line.removeprefix("mine.csv: line ") for line in caught.value.errors]
    assert [line.partition(":")[0] for line in lines] == ["3", "3", "3", "4", "5", "6"]
    assert lines[-2:] == ["5: is the same as line 2: give each value of a source once", "6: 2 columns: give 12"]


def test_references_of_other_liquids_are_refused_before_anything_runs(planned: Planned, tmp_path: Path) -> None:
    content = demo()
    content["references"] = ["mine.csv"]
    reference_file(tmp_path, {}, {"temperature_K": "310"})
    told = "references[0]: mine.csv: none of its 2 rows is of a liquid of this study: give 'bf4:1 pyr14:1'"
    assert planned(content) == (2, [told])
    reference_file(tmp_path, {"ions": "pyr41:1 bf4:1"})
    code, lines = planned(content)
    assert code == 2 and len(lines) == 1
    assert lines[0].startswith("references[0]: mine.csv: line 2: ions: pyr41: no ion of assets/ions or of this study")
    reference_file(tmp_path, {}, {"ions": "pyr14:2 bf4:2", "value": "1210", "low": "1200", "high": "1220"})
    assert planned(content) == (0, [])
    (row,) = rows("references.csv")
    assert (row["value"], row["range"], row["n"]) == ("1210.0", "quartiles", "9")


def test_units_of_a_reference_file_become_si(tmp_path: Path) -> None:
    change = {"ions": "a:2 b:4", "property": "viscosity", "value": "77", "unit": "mPa.s", "low": "70", "high": "80",
              "range": "min-max", "n": ""}  # fmt: skip
    (row,) = read_references(reference_file(tmp_path, change))
    assert (row.value, row.low, row.unit, row.n) == (0.077, 0.07, "Pa.s", None)
    assert row.standard_uncertainty == pytest.approx(0.01 / 12**0.5, rel=1e-5)
    assert row.composition == (("a", 1), ("b", 2))


@pytest.mark.parametrize("count", [2, 3, 5, 12, 40, None])
def test_a_range_becomes_the_standard_deviation_that_it_is_of(count: int | None) -> None:
    """Drawn from a normal distribution of width 2, each kind of range gives 2 back, on the average over many laboratories."""
    rng = np.random.default_rng(3)
    sets = rng.normal(1000, 2, (4000, count or 400))
    found = [standard_uncertainty("quartiles", *pair, count) or 0 for pair in np.quantile(sets, [0.25, 0.75], axis=1).T]
    # of 4 to 20 data sets interpolated quartiles lie nearer to each other than those of the distribution
    assert np.mean(found) == pytest.approx(2, rel=0.03 if count in (2, 3, None) else 0.3)
    if count is not None:
        ends = zip(sets.min(axis=1), sets.max(axis=1), strict=True)
        assert np.mean([standard_uncertainty("min-max", *pair, count) or 0 for pair in ends]) == pytest.approx(
            2, rel=0.03
        )
    assert standard_uncertainty("min-max", 998.0, 1002.0, None) == pytest.approx(
        np.std(np.linspace(998, 1002, 10001)), rel=1e-3
    )
    assert standard_uncertainty("standard uncertainty", 998.0, 1002.0, count) == pytest.approx(2)
    assert standard_uncertainty("95 % interval", *stats.norm(1000, 2).interval(0.95), count) == pytest.approx(2)
    assert (
        standard_uncertainty("quartiles", 998.0, 1002.0, 1) is None is standard_uncertainty("min-max", 999.0, 999.0, 3)
    )


# --- Anything at all -----------------------------------------------------------------------------------

PLACES = places.Places(str(STUDIES), ASSETS, True)
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-10, 10), st.integers(), st.floats(), st.text(max_size=8),
    st.lists(st.integers(-1, 3), max_size=3), st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
    st.sampled_from(["eq", "mace", "clandp", "auto", "frames", "count", "smiles", "xtb", "1e3", "a\nb", "", [], {}, [[]],
                     {"smiles": "C", "count": 1}, {"frames": "x"}, {"framework": "xtb", "id": "z"}]),
)  # fmt: skip


def every_place(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at] * bool(at) + [place for key, inner in items for place in every_place(inner, (*at, key))]


@st.composite
def spoiled(draw: st.DrawFn) -> Any:
    """Return the demo with one to four values replaced, removed, renamed or doubled."""
    content = yaml.safe_load(DEMO)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.sampled_from(every_place(content) or [("name",)]))
        owner = content
        for item in place[:-1]:
            owner = owner[item]
        last = place[-1]
        what = draw(st.sampled_from(["replace", "remove", "rename", "double"]))
        if what == "replace":
            owner[last] = draw(ODD)
        elif what == "remove" and len(owner) > 1:
            del owner[last]
        elif what == "rename" and isinstance(owner, dict):
            owner[draw(st.one_of(st.text(max_size=6), st.integers(), st.none(), st.booleans()))] = owner[last]
        elif isinstance(owner, list):
            owner.append(owner[last])
    return content


def judge(text: str) -> None:
    """Plan as far as the files; a mistake must be lines for a person, and nothing else may be raised."""
    try:
        found, boxes, references, estimate = plan_module.read_study(text, "study.yaml", PLACES)
    except UserError as error:
        assert error.errors
        for line in error.errors:
            assert line.isprintable(), line
            assert ": " in line
            assert len(line) < 1000
        return
    plan = writing.make_plan(found, boxes, references, PLACES)
    plan.json("estimate.json", estimate.content())
    advice.warn(found, boxes)


@settings(max_examples=examples(200), suppress_health_check=list(HealthCheck))
@given(spoiled())
def test_no_content_gives_a_stack_trace(content: Any) -> None:
    judge(yaml.safe_dump(content, allow_unicode=True))


@settings(max_examples=examples(200), suppress_health_check=list(HealthCheck))
@given(st.integers(0, len(DEMO) - 1), st.integers(0, 40), st.text(max_size=5))
def test_no_text_gives_a_stack_trace(start: int, length: int, inserted: str) -> None:
    judge(DEMO[:start] + inserted + DEMO[start + length :])


# --- Active learning -----------------------------------------------------------------------------------


def learning(**fields: Any) -> Study:
    """Return a small study with active learning."""
    content = demo()
    content["datasets"] = {"al": ["eq", "active"], "both": ["eq", "neq"]}
    content["models"] = [
        {"id": "mace", "framework": "mace"},
        {"id": "dpmd", "framework": "deepmd", "datasets": ["al"]},
        {"id": "clp", "framework": "classical"},
    ]
    return content | {"seeds": [1, 2], "active": {"frames": 4}, "budget_core_hours": 1e6} | fields


def cards(number: int, *keys: str) -> list[str]:
    """Write the model cards of a round; return the arguments that give them."""
    for key in keys:
        Path(key).mkdir(exist_ok=True)
        card = {
            "id": key,
            "files": {"model.pt": hashlib.sha256(key.encode()).hexdigest()},
            "settings": {"round": number},
        }
        Path(key, "model.json").write_text(json.dumps(card))
    return ["--previous", "/before", "--cards", *(f"{key}/model.json" for key in keys)]


LEARNED = ("mace-al-s1", "mace-al-s2", "dpmd-al-s1", "dpmd-al-s2")


def test_the_first_round_has_nobody_to_explore(planned: Planned) -> None:
    assert planned(learning()) == (0, [])
    assert rows("explore.csv") == []
    assert not Path("plan/choose").exists()
    settings = loaded("models/mace-al-s1.json")
    assert (settings["round"], settings["mode"], settings["weights"]) == (0, None, None)
    assert "round" not in loaded("models/mace-both-s1.json")


def test_a_framework_that_cannot_tune_begins_each_round_from_nothing(planned: Planned) -> None:
    content = learning()
    content["models"] = [{"id": "nequip", "framework": "nequip", "datasets": ["al"]}]
    keys = ("nequip-al-s1", "nequip-al-s2")
    assert planned(content, *cards(1, *keys)) == (0, [])
    for key in keys:
        settings = loaded(f"models/{key}.json")
        assert (settings["mode"], settings["weights"], settings["round"]) == (None, None, 2)
    assert not [row for row in rows("files.csv") if row["role"] == "weights"]
    (explored,) = rows("explore.csv")
    assert (explored["members"].split(), explored["environment"]) == (list(keys), "nequip")


def test_a_round_explores_with_committees_and_goes_on_from_their_weights(planned: Planned) -> None:
    assert planned(learning()) == (0, [])
    first = contents(Path("plan"))
    assert planned(learning(), *cards(1, *LEARNED), out="next") == (0, [])
    Path("plan").rename("first")
    Path("next").rename("plan")
    explored = rows("explore.csv")
    assert [row["key"] for row in explored] == ["pyr14bf4-430K-r1-mace-al", "pyr14bf4-430K-r1-dpmd-al"]
    assert [row["members"].split() for row in explored] == [list(LEARNED[:2]), list(LEARNED[2:])]
    assert [row["environment"] for row in explored] == ["mace", "deepmd"]
    settings = loaded("explore/pyr14bf4-430K-r1-mace-al.json")
    assert (settings["round"], settings["dataset"], settings["timestep_fs"]) == (2, "al", 0.5)
    assert loaded("choose/pyr14bf4-active2.json")["frames"] == 4
    for key in LEARNED:
        settings = loaded(f"models/{key}.json")
        assert settings["sha256"] == hashlib.sha256(key.encode()).hexdigest()
        assert (settings["mode"], settings["weights"], settings["round"]) == ("finetune", "model.pt", 2)
    weights = {row["id"]: row["path"] for row in rows("files.csv") if row["role"] == "weights"}
    assert weights == {key: f"/before/models/{key}/model.pt" for key in LEARNED}
    now = contents(Path("plan"))
    same = {
        name for name in first if name.split("/")[0] in ("boxes", "states", "samples", "runs", "cards", "labels.json")
    }
    assert all(now[name] == first[name] for name in same)
    assert now["models/mace-both-s1.json"] == first["models/mace-both-s1.json"]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"seeds": [1]}, "seeds: 1 is no committee: active needs two at least, such as [1, 2, 3]"),
        ({"datasets": {"both": ["eq", "neq"], "al": ["eq"]}}, "active: no dataset takes its frames: give one such as {al: [eq, active]}"),
        ({"datasets": {"al": ["active"], "both": ["eq", "active"]}}, "datasets.al: the first round has no active frames: give eq or neq beside active"),
        ({"active": None}, "datasets.al[1]: no active frames are sampled: give active, or leave 'active' out"),
        ({"active": {"npt_ps": 0, "ramp_ps": 0, "swing_ps": 0}}, "active.npt_ps: 0, as ramp_ps and swing_ps are: give one of the three a length"),
        ({"active": {"every_fs": 0.7}}, "active.every_fs: 0.7 is not a multiple of md.timestep_fs 0.5"),
        ({"active": {"every_fs": 20, "npt_ps": 0.01}}, "active.npt_ps: 0.01 ps is shorter than every_fs 20"),
        ({"active": {"swing_amplitude": 6}}, "active.swing_amplitude: 6 is above 0.2"),
    ],
)  # fmt: skip
def test_active_learning_that_cannot_be(planned: Planned, fields: Study, line: str) -> None:
    content = learning(**fields)
    if fields.get("active", 1) is None:
        del content["active"]
    assert planned(content) == (2, [line])


@pytest.mark.parametrize(
    ("content", "keys", "line"),
    [
        (learning(), (), "active: --previous /before: holds no models/*/model.json: give the results of a round that has ended"),
        (learning(), LEARNED[:3], "active: --previous /before: has no model dpmd-al-s2: is it of another study?"),
        (demo(), LEARNED, "active: missing: --previous /before is for active learning; give active: {frames: ...}"),
    ],
)  # fmt: skip
def test_a_round_before_that_does_not_fit(planned: Planned, content: Study, keys: tuple[str, ...], line: str) -> None:
    assert planned(content, *cards(0, *keys)) == (2, [line])
