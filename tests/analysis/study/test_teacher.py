"""A model that labels the frames of a study: what is refused, and what its tasks are told."""

import hashlib
from pathlib import Path
from typing import Any

from planned_studies import ZERO, Planned, Refusal, Refused, Spoil, Study, demo, each_of, loaded, rows

N = len(demo()["models"])
SEVENNET = "7052cb42b7b3be42b40b97fa0d21077a48c54b5548948fc4dcf346629f813c36"


def by(name: str, *models: dict[str, Any]) -> Spoil:
    """Return what has frames labelled by a model, and adds models to the study."""

    def spoil(content: Study) -> None:
        content["labels"] = {"engine": "model", "model": name}
        content["models"].extend(models)

    return spoil


NO_FILE = {"id": "lj", "framework": "ase", "calculator": "ase.calculators.lj.LennardJones", "theory": "LJ"}
REFUSALS: list[Refusal] = [
    ("no_name", lambda s: s.update(labels={"engine": "model"}), [
        "labels.model: missing: id of a model of the study that is used as it is, or a name of docs/named.md whose weights a package "
        "holds, such as sevennet-0"]),
    ("a_name_that_is_wrong", by("sevennet"), [
        "labels.model: 'sevennet' is no model of the study, nor of docs/named.md: give one such as sevennet-0, sevennet-l3i5, "
        "sevennet-mf-0-pbe"]),
    ("a_model_that_is_trained", by("mace"), [
        "labels.model: 'mace' is trained in this study: give a model that is used as it is"]),
    ("a_method_by_itself", by("clp"), ["labels.model: 'clp' is a method by itself: give engine: classical"]),
    ("a_file_that_is_not_there", by("mace-mpa-0-medium"), [
        "labels.model: 'mace-mpa-0-medium': no package holds its weights: give the model in models, with what it needs, and its id here"]),
    ("a_model_without_a_file", by("lj", NO_FILE), [
        "labels.model: 'lj' has no file whose sha256 tells its labels from another's: give weights, or a file that makes the "
        "calculator"]),
    ("a_model_that_is_wrong_itself", by("s", {"id": "s", "framework": "named", "model": "sevennet-9"}), [
        f"models[{N}].model: 'sevennet-9' is not known: give a name of the table in docs/named.md, such as sevennet-0, "
        "sevennet-l3i5, sevennet-mf-0-pbe"]),
    ("a_framework_that_is_wrong", by("s", {"id": "s", "framework": "nmed"}), [
        f"models[{N}].framework: 'nmed': did you mean named? give one of mace, deepmd, nequip, classical, xtb, named, ase"]),
    ("tuned_on_labels_of_another_level", by("sevennet-0", {
        "id": "tuned", "framework": "mace", "weights": "study.yaml", "sha256": ZERO, "licence": "MIT", "theory": "PBE+U",
        "mode": "finetune"}), [
        f"models[{N}].sha256: study.yaml has sha256 {{digest}}, not this one",
        f"models[{N}].theory: 'PBE+U' is not that of the labels, 'model sevennet-0': label at the weights' level, use mode replay, "
        "which gives each level a head of its own, or say theory_change: true"]),
]  # fmt: skip


@each_of(REFUSALS[:-1])
def test_refusal(refused: Refused, spoil: Spoil, lines: list[str]) -> None:
    refused(spoil, lines)


def test_weights_are_not_tuned_on_labels_of_another_model_in_silence(planned: Planned) -> None:
    content = demo()
    _, spoil, lines = REFUSALS[-1]
    spoil(content)
    code, said = planned(content)
    digest = hashlib.sha256(Path("study.yaml").read_bytes()).hexdigest()
    assert (code, said) == (2, [line.replace("{digest}", digest) for line in lines])


def test_a_name_is_enough(planned: Planned) -> None:
    """The model is imported before anything is labelled, and runs as no model of the study."""
    content = demo()
    by("sevennet-0")(content)
    assert planned(content) == (0, [])
    (of_labels,) = [row for row in rows("models.csv") if row["role"] == "labels"]
    assert {name: of_labels[name] for name in ("key", "framework", "environment", "imported", "trained")} == {
        "key": "labels", "framework": "named", "environment": "foundation", "imported": "true", "trained": "false",
    }  # fmt: skip
    told = loaded("imports/labels.json")
    assert (told["role"], told["row"], list(told["shipped"].values())) == ("labels", "sevennet-0", [SEVENNET])
    labels = loaded("labels.json")
    assert labels["teacher"] == {"theory": "PBE+U", "sha256": SEVENNET}
    assert (labels["engine"], labels["model"]) == ("model", "sevennet-0")
    (engine,) = rows("label_engine.csv")
    assert engine == {"engine": "model", "image": "foundation", "environment": "foundation", "gpu": "true"}
    assert "labels" not in {row["model_key"] for row in rows("runs.csv")}
    assert not Path("plan/cards/labels").exists()


def theory_of(planned: Planned, *models: dict[str, Any], name: str = "sevennet-0") -> str:
    content = demo()
    by(name, *models)(content)
    assert planned(content) == (0, [])
    return str(loaded("labels.json")["theory_id"])


def test_the_id_of_the_theory_is_the_models_and_not_its_names(planned: Planned) -> None:
    """Labels are kept by it: the same model under another name has them, another file or another head has not."""
    alone = theory_of(planned)
    named = {"id": "s", "framework": "named", "model": "sevennet-0"}
    assert theory_of(planned, named) == theory_of(planned, named, name="s") == alone
    others = [theory_of(planned, named | {"dispersion": {"functional": "PBE"}}, name="s")]
    others += [theory_of(planned, name=name) for name in ("sevennet-mf-0-pbe", "sevennet-mf-0-r2scan", "chgnet-0.3.0")]
    weights = {
        "id": "w",
        "framework": "mace",
        "licence": "MIT",
        "theory": "PBE",
        "mode": "zero-shot",
        "weights": "w.model",
    }
    for content in (b"one", b"other"):
        Path("w.model").write_bytes(content)
        others.append(theory_of(planned, weights | {"sha256": hashlib.sha256(content).hexdigest()}, name="w"))
    assert len({alone, *others}) == 1 + len(others)


def test_a_model_of_the_study_labels(planned: Planned) -> None:
    """It is at the level of its own labels, and another model of its level is not."""
    content = demo()
    Path("w.model").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    weights = {
        "framework": "mace",
        "weights": "w.model",
        "sha256": digest,
        "licence": "MIT",
        "theory": "PBE",
        "mode": "zero-shot",
    }
    by("w", {"id": "w", **weights}, {"id": "c", "framework": "named", "model": "chgnet-0.3.0"})(content)
    assert planned(content) == (0, [])
    same = {row["key"]: (row["theory"], row["labels_theory"], row["same_theory"]) for row in rows("models.csv")}
    assert same["w"] == ("PBE", "model w", "true")
    assert same["c"] == ("PBE+U", "model w", "false")
    path = str(Path("w.model").absolute())
    assert {(row["role"], row["id"], row["path"]) for row in rows("files.csv")} == {
        ("own_model", "w", path), ("own_model", "labels", path),
    }  # fmt: skip
    (engine,) = rows("label_engine.csv")
    assert (engine["image"], engine["environment"]) == ("mace", "mace")
