"""The recommendation and the front: what is said in each situation, and what must never be said."""

import re
from typing import Any

import numpy as np
import polars as pl
import pytest

from ionmelt.compare import pareto, reading
from ionmelt.compare.comparison import comparisons
from ionmelt.compare.errors import summarise_forces
from ionmelt.compare.groups import with_spread
from ionmelt.compare.judgement import with_truth
from ionmelt.compare.summary import summarise_runs
from ionmelt.compare.verdicts import judge
from ionmelt.models.card import Card, Cost
from ionmelt.report import words
from ionmelt.report.blocks import Note
from ionmelt.report.results import Results
from ionmelt.report.sections import overview, standing
from ionmelt.report.sections import recommendation as rec
from ionmelt.report.sections import verdicts as report_verdicts
from ionmelt.report.sections.choice import STATE
from ionmelt.report.words import is_the_truth
from ionmelt.tables.comparison import SUMMARY, VERDICTS
from ionmelt.tables.published import TABLES
from ionmelt.tables.references import REFERENCES

T = 430.0
LIQUID = "pyr14bf4"
CORE_H = {"clp": 0.01, "dpmd": 2.0, "mace": 9.0}  # of one nanosecond
FRAMEWORK = {"clp": "classical", "dpmd": "deepmd", "mace": "mace"}


def tables(
    values: dict[str, float | None],
    reference: float | None = 1000.0,
    error: float = 2.0,
    poor: tuple[str, ...] = (),
    broken: tuple[str, ...] = (),
    needed_ps: float | None = None,
    forces: bool = True,
    gpu: tuple[str, ...] = (),
    scatter: float = 0.0,
    second_hand: bool = False,
    truth: str | None = None,
    untrained: tuple[str, ...] = ("clp",),
    boxes: int = 3,
    undertrained: tuple[str, ...] = (),
) -> dict[str, pl.DataFrame]:
    """Return the tables of a study of one liquid: the density of each model, in each box from another training; None: no value."""
    runs, survival, cost = [], [], []
    rng = np.random.default_rng(1)
    for model, value in values.items():
        data = None if model in untrained else "both"
        for replica in range(1, boxes + 1):
            key = f"{LIQUID}-r{replica}-{model}"
            bad = model in poor or value is None
            runs.append(
                {"run_id": key, "liquid": LIQUID, "temperature_K": T, "species": None, "model": model, "dataset": data,
                 "framework": FRAMEWORK[model], "seed": None if data is None else replica, "replica": replica,
                 "value": None if value is None else value + scatter * float(rng.normal()),
                 "standard_error": None if value is None else error, "dof": 50.0, "correction": None,
                 "converged": not bad, "reason": "drifts" if bad else None, "needed_ps": needed_ps if bad else None}
            )  # fmt: skip
            survival.append(
                {"run_id": key, "liquid": LIQUID, "temperature_K": T, "model": model, "dataset": data, "planned_ps": 500.0,
                 "survived_ps": 40.0 if model in broken else 500.0, "device": "cuda:0" if model in gpu else "cpu",
                 "end": "bond_broken" if model in broken and replica == 2 else "completed"}
            )  # fmt: skip
            cost.append({"process": "RUN_MD", "id": key, "wall_s": CORE_H[model] * 1800, "cpu_s": CORE_H[model] * 1800})
        if data:
            cost.append({"process": "TRAIN_MODEL", "id": f"{model}-both-s1", "wall_s": 3600.0, "cpu_s": 7200.0})
    cost.append({"process": "LABEL_FRAMES", "id": "c1", "wall_s": 3600.0, "cpu_s": 10800.0})
    of_reference = [] if reference is None else [
        {"liquid": LIQUID, "temperature_K": T, "property": "density", "species": None, "value": reference, "unit": "kg/m3",
         "standard_uncertainty": 4 / 1.96, "source": "s", "second_hand": second_hand}
    ]  # fmt: skip
    references = pl.DataFrame(of_reference, schema=REFERENCES)
    density = pl.DataFrame(runs, infer_schema_length=None)
    if needed_ps is None and runs:
        density = density.drop("needed_ps")
    groups = summarise_runs(density, "density", references) if runs else []
    groups = groups if truth is None else with_truth(with_spread(groups), truth)
    trained = [m for m in values if m not in untrained]
    errors = [
        {"model_key": f"{m}-both-s{seed}", "model": m, "dataset": "both", "seed": seed, "split": "test", "quantity": "force",
         "scope": "all", "name": "all", "rmse": 0.05 if m == "mace" else 0.1, "rmse_ci95_low": 0.04, "rmse_ci95_high": 0.12,
         "unit": "eV/A"}
        for m in trained if forces for seed in (1, 2, 3)
    ]  # fmt: skip
    t = {"errors": reading.conform(pl.DataFrame(errors), TABLES["errors"])}
    forces_of = summarise_forces(t["errors"], LIQUID)
    summary = [group.row() for group in (*groups, *forces_of)]
    verdicts = [verdict.row() for verdict in judge([*comparisons(groups), *comparisons(forces_of)])]
    frames = [{"frame_id": f"f{i}", "dataset": "both" if i < 80 else None, "split": "train" if i < 80 else "test"} for i in range(100)]  # fmt: skip
    trainings = [
        {"model": m, "dataset": "both", "seed": 2, "term": "forces", "undertrained": m in undertrained} for m in trained
    ]
    t |= {
        "summary": pl.DataFrame(summary, schema=SUMMARY),
        "verdicts": pl.DataFrame(verdicts, schema=VERDICTS),
        "survival": reading.conform(pl.DataFrame(survival), TABLES["survival"]),
        "cost": reading.conform(pl.DataFrame(cost), TABLES["cost"]),
        "trainings": reading.conform(pl.DataFrame(trainings), TABLES["trainings"]),
        "dataset": reading.conform(pl.DataFrame(frames), TABLES["dataset"]),
        "labels": reading.conform(pl.DataFrame(), TABLES["labels"]),
    }
    cards = [
        Card(id=f"{m}-both-s1", model=m, framework="mace", files={}, dataset="both", cost=Cost(device="cuda" if m in gpu else "cpu"))
        for m in trained
    ]  # fmt: skip
    t["pareto"] = pareto.table(t, cards, truth)
    return t


GOOD = {"clp": 960.0, "dpmd": 1040.0, "mace": 1001.0}

# situation, tables, words of the first sentence and of what is behind it, words of the second and of what is, words that must not be there
SITUATIONS: tuple[tuple[str, dict, list[str], list[str], list[str]], ...] = (
    ("one model is right", {"values": GOOD}, ["use mace-both for the density of pyr14bf4", "mace-both: 1001", "against 1000", "core-hours"], ["below about"], ["use clp"]),
    (
        "nothing converged",
        {"values": GOOD, "poor": ("clp", "dpmd", "mace")},
        ["No model can be recommended yet", "follows the labels' forces", "no verdict on the liquid"],
        ["Not decided: the density of pyr14bf4 at 430\u00a0K (not converged)"],
        ["use "],
    ),
    (
        "nothing converged, and it is known how long it takes",
        {"values": GOOD, "poor": ("clp", "dpmd", "mace"), "needed_ps": 420.0},
        ["No model can be recommended yet"],
        ["the density (needs runs of at least 420 ps) of pyr14bf4"],
        ["use "],
    ),
    (
        "nothing converged, and the runs were too short to know how long it takes",
        {"values": GOOD, "poor": ("clp", "dpmd", "mace"), "needed_ps": 3.5},
        ["No model can be recommended yet"],
        ["the density (needs runs of at least 3.5 ps, usually 100) of pyr14bf4"],
        ["use "],
    ),
    ("no reference", {"values": GOOD, "reference": None}, ["no reference says which is right"], ["without a reference"], ["use "]),
    (
        "a broken model that would have been the best",
        {"values": GOOD, "broken": ("mace",), "poor": ("mace",)},
        ["no model agrees", "off by"],
        ["mace-both", "1 of 3 runs broke", "a bond broke at 40 ps"],
        ["use mace"],
    ),
    (
        "a tie of three: the cheapest",
        {"values": {"clp": 1001.0, "dpmd": 1000.0, "mace": 999.0}},
        ["use clp (no learned model is needed)", "the cheapest of what cannot be told apart", "dpmd-both and mace-both"],
        ["below about"],
        ["use mace", "use dpmd"],
    ),
    (
        "the classical force field is right and the others are not",
        {"values": {"clp": 1001.0, "dpmd": 1040.0, "mace": 950.0}},
        ["use clp (no learned model is needed)"],
        [],
        ["told apart", "use mace"],
    ),
    (
        "all are off",
        {"values": {"clp": 900.0, "dpmd": 1100.0, "mace": 1060.0}},
        ["no model agrees with the reference", "the nearest is mace-both, off by 60"],
        [],
        ["use "],
    ),
    ("no value at all", {"values": dict.fromkeys(GOOD)}, ["No model can be recommended yet"], ["not converged"], ["use ", "None"]),
    ("no dynamics", {"values": {}}, ["no dynamics was planned"], ["nothing was compared"], ["use "]),
    ("one model alone", {"values": {"mace": 1000.0}}, ["use mace-both"], ["below about"], ["told apart"]),
    ("on an accelerator", {"values": GOOD, "gpu": ("mace",)}, ["GPU-hours", "core-hours"], [], []),
    ("a second-hand reference", {"values": GOOD, "second_hand": True}, ["second-hand"], [], []),
    (
        "one of three not converged",
        {"values": GOOD, "poor": ("dpmd",)},
        ["use mace-both"],
        ["Not decided: the density of pyr14bf4 at 430\u00a0K by dpmd-both (not converged)"],
        [],
    ),
    ("one run broke, its value still stands", {"values": GOOD, "broken": ("mace",)}, ["no model can be named (mace-both broke elsewhere)"], ["not to be used"], ["use mace"]),
)  # fmt: skip


@pytest.mark.parametrize(
    ("given", "first", "second", "never"), [s[1:] for s in SITUATIONS], ids=[s[0] for s in SITUATIONS]
)
def test_situations(given: dict, first: list[str], second: list[str], never: list[str]) -> None:
    t = tables(**given)
    said, close, open_ones = rec.recommend(t), rec.how_close(t), rec.not_decided(t)
    for wanted, sentence, behind in ((first, said[0], close), (second, said[1], open_ones)):
        for w in wanted:
            is_advice = w.lower().startswith(("use ", "no model can be recommended", "not decided", "not to be used"))
            where = sentence if is_advice else " ".join([sentence, *behind])
            assert w.lower() in where.lower(), (said, close, open_ones)
    everything = " ".join([*said, *close, *open_ones])
    assert not [w for w in never if re.search(rf"\b{w}", everything, re.IGNORECASE)] and not re.search(
        r"\b(nan|None)\b", everything
    ), everything
    assert max(len(sentence.split()) for sentence in said) <= 45, said
    for sentence in said:
        assert sentence.endswith(".") and sentence[0].isupper()
        assert not re.search(r"\.\s+[A-Z]", sentence), "one sentence"


@pytest.mark.parametrize(
    ("boxes", "trained", "classical"),
    [(3, "", ""), (1, " (these weights, in this box)", " (in this box)")],
)
def test_what_is_about_one_training_in_one_box_says_so(boxes: int, trained: str, classical: str) -> None:
    t = tables({"clp": 960.0, "mace": 1001.0}, boxes=boxes)
    (advice, _), (better, off, _) = rec.recommend(t), map(words.verdict_words, density_verdicts(t))
    assert ("to 1 ns; these weights, in this box)" in advice) is bool(trained)
    assert better == f"mace-both is closer to the reference than clp{trained}"
    assert off == f"clp is off the reference{classical}"


def density_verdicts(t: dict[str, pl.DataFrame]) -> list[dict]:
    order = {"a": 0, "b": 0, "differs": 1}
    return sorted(t["verdicts"].filter(property="density").to_dicts(), key=lambda v: order.get(v["verdict"], 2))


def test_verdicts_that_decide_nothing_are_counted_as_undecided() -> None:
    t = tables({"dpmd": 1030.0, "mace": 1001.0}, boxes=1)
    verdicts = sorted(t["verdicts"].filter(property="density")["verdict"])
    assert verdicts == ["design cannot decide", "differs", "not distinguishable"]
    said = rec.recommend(t)[1]
    assert said.startswith(
        "Not decided: 2 of 3 comparisons (1 not distinguishable, 1 that the design cannot decide); diff"
    )
    assert "Design cannot decide: 1 of 3 in the density of pyr14bf4 at 430\u00a0K." in rec.not_decided(t)
    far = tables({"mace": 1030.0})
    assert rec.recommend(far)[1].startswith("All that was planned is decided") and rec.not_decided(far) == []


def test_an_undertrained_model_is_not_recommended_and_not_on_the_front() -> None:
    alone = tables({"clp": 960.0, "mace": 1001.0}, undertrained=("mace",))
    assert rec.recommend(alone)[0].startswith("No model can be named for the density")
    assert "mace-both is undertrained" in rec.how_close(alone)[0]
    t = tables({"clp": 960.0, "dpmd": 1000.0, "mace": 1001.0}, undertrained=("dpmd",))
    assert "Use mace-both" in rec.recommend(t)[0] and "not counting dpmd-both, undertrained" in rec.how_close(t)[0]
    rows = {r["model"]: r for r in t["pareto"].filter(property="density").to_dicts()}
    assert {m: r["front"] for m, r in rows.items()} == {"clp": "yes", "dpmd": "undertrained", "mace": "yes"}
    assert rows["dpmd"]["reason"].startswith("undertrained (seed 2)"), "it hides no dearer model: mace is on the front"
    forces = rec.best_forces(tables(GOOD, undertrained=("mace",)))
    assert forces is not None and forces.startswith("dpmd-both") and "not counting mace-both, undertrained" in forces


@pytest.mark.parametrize("seed", range(40))
def test_never_names_what_the_verdicts_do_not_support(seed: int) -> None:
    rng = np.random.default_rng(seed)
    models = [m for m in CORE_H if rng.random() < 0.8]
    t = tables(
        {m: None if rng.random() < 0.1 else 1000 + float(rng.normal(0, 15)) for m in models},
        reference=None if rng.random() < 0.2 else 1000.0,
        poor=tuple(m for m in models if rng.random() < 0.3),
        broken=tuple(m for m in models if rng.random() < 0.15),
        needed_ps=300.0 if rng.random() < 0.5 else None,
        scatter=float(rng.choice([0.0, 3.0, 20.0])),
    )
    said = rec.recommend(t)
    named = re.findall(r"\b[Uu]se ([\w-]+)", said[0])
    assert len(named) <= 1
    summary = {rec.name(r): r for r in t["summary"].filter(property="density").to_dicts()}
    verdicts = t["verdicts"].filter(property="density").to_dicts()
    for model in named:
        assert summary[model]["converged"] and summary[model]["reference"] is not None
        against = next(v for v in verdicts if (v["model_a"], v["model_b"]) == (model, "reference"))
        assert against["ci95_low"] <= 0 <= against["ci95_high"]
        assert not [v for v in verdicts if {"a": v["model_b"], "b": v["model_a"]}.get(v["verdict"]) == model]
        assert set(t["survival"].filter(model=model.split("-")[0])["end"]) == {"completed"}
    for model, row in summary.items():
        if not row["converged"]:
            assert model in said[1] or "not converged" in said[1]


def test_front_by_hand() -> None:
    t = tables({"clp": 960.0, "dpmd": 1010.0, "mace": 1001.0})
    rows = {r["model"]: r for r in t["pareto"].filter(property="density").to_dicts()}
    assert {m: r["front"] for m, r in rows.items()} == {"clp": "yes", "dpmd": "yes", "mace": "yes"}
    assert rows["clp"]["labels_core_h"] == rows["clp"]["training_core_h"] == 0.0
    assert rows["mace"]["labels_core_h"] == pytest.approx(3.0 * 0.8)  # 80 of the 100 frames that were paid for
    assert rows["mace"]["training_core_h"] == pytest.approx(2.0)
    assert rows["mace"]["md_core_h_per_ns"] == pytest.approx(9.0)
    assert rows["mace"]["total_core_h"] == pytest.approx(2.4 + 2.0 + 9.0)
    assert rows["mace"]["error"] == pytest.approx(1.0) and rows["mace"]["ci95_low"] == 0.0
    assert rows["clp"]["error"] == pytest.approx(40.0) and rows["clp"]["ci95_low"] > 30


@pytest.mark.parametrize(
    ("values", "front"),
    [
        ({"clp": 1001.0, "dpmd": 1040.0, "mace": 950.0}, {"clp": "yes", "dpmd": "no", "mace": "no"}),
        ({"clp": 1000.0, "dpmd": 1001.0, "mace": 1000.5}, {"clp": "yes", "dpmd": "undecided", "mace": "undecided"}),
        ({"clp": 940.0, "dpmd": 1000.0, "mace": 1001.0}, {"clp": "yes", "dpmd": "yes", "mace": "undecided"}),
    ],
)
def test_front_follows_the_verdicts(values: dict, front: dict) -> None:
    rows = tables(values)["pareto"].filter(property="density").to_dicts()
    assert {r["model"]: r["front"] for r in rows} == front


def test_hours_of_two_kinds_are_never_added() -> None:
    """dpmd runs on an accelerator, mace on processors: neither is cheaper, so neither can push the other out."""
    rows = {r["model"]: r for r in tables({"dpmd": 1000.0, "mace": 1060.0}, gpu=("dpmd",))["pareto"].filter(property="density").to_dicts()}  # fmt: skip
    assert rows["dpmd"]["md_gpu_h_per_ns"] == pytest.approx(2.0) and rows["dpmd"]["md_core_h_per_ns"] == 0.0
    assert rows["dpmd"]["total_gpu_h"] > 0 and rows["dpmd"]["total_core_h"] == pytest.approx(2.4)
    assert rows["mace"]["front"] == "yes"


def test_replicas_that_ran_at_once_share_the_time_of_their_task() -> None:
    t = tables(GOOD)
    apart = t["pareto"].filter(property="density")["md_core_h_per_ns"].to_list()
    together = t["cost"].filter(pl.col("process") == "RUN_MD").group_by(pl.col("id").str.replace("-r[123]-", "-r1-"))
    joined = together.agg(pl.col("wall_s", "cpu_s").sum()).with_columns(process=pl.lit("RUN_MD"))
    t["cost"] = pl.concat([t["cost"].filter(pl.col("process") != "RUN_MD"), joined], how="diagonal")
    rows = pareto.table(t, []).filter(property="density")
    assert rows["md_core_h_per_ns"].to_list() == pytest.approx(apart)


def test_an_unknown_cost_is_said() -> None:
    t = tables(GOOD)
    t["cost"] = t["cost"].filter(pl.col("process") != "RUN_MD")
    t["pareto"] = pareto.table(t, [])
    assert set(t["pareto"].filter(property="density")["front"]) == {"cost unknown"}
    assert "core-hours" not in rec.recommend(t)[0]


def test_what_takes_other_hours_is_not_called_dearer() -> None:
    """Core-hours of one and GPU-hours of another cannot be set against each other."""
    alike = {"dpmd": 1000.0, "mace": 999.0}
    assert "the cheapest of what cannot be told apart" in rec.how_close(tables(alike))[0]
    (said,) = rec.how_close(tables(alike, gpu=("dpmd",)))
    assert "cheapest" not in said and ", not told apart from " in said


def test_a_classical_force_field_that_comes_closer_is_named_beside_the_best_trained_one() -> None:
    t = tables(GOOD, poor=tuple(GOOD))
    clp = {"model_key": "clp", "model": "clp", "dataset": None, "rmse": 0.01}
    clp = t["errors"].head(1).with_columns(pl.lit(x).cast(t["errors"].schema[c]).alias(c) for c, x in clp.items())
    errors = pl.concat([t["errors"].filter(seed=1), clp])
    errors = errors.with_columns(rmse_ci95_low=0.95 * pl.col("rmse"), rmse_ci95_high=1.05 * pl.col("rmse"))
    groups = summarise_forces(errors, LIQUID)
    density = t["summary"].filter(pl.col("property") == "density")
    t["summary"] = pl.concat([density, pl.DataFrame([group.row() for group in groups], schema=SUMMARY)])
    t["verdicts"] = pl.DataFrame([verdict.row() for verdict in judge(comparisons(groups))], schema=VERDICTS)
    (said,) = rec.how_close(t)
    assert "Of the trained models mace-both follows the labels' forces best" in said
    assert "though clp without training comes closer" in said and "one training seed" in said


def test_a_model_within_the_margins_is_named_though_its_interval_excludes_the_reference() -> None:
    t = tables({"clp": 1008.0, "mace": 1000.0}, error=0.1)
    assert "Use mace-both" in rec.recommend(t)[0] and "clp" not in rec.recommend(t)[0]
    is_clp = (pl.col("model_a") == "clp") & (pl.col("model_b") == "reference")
    assert t["verdicts"].filter(is_clp, property="density")["verdict"].to_list() == ["differs"]
    word = pl.when(is_clp & (pl.col("property") == "density")).then(pl.lit("equivalent")).otherwise("verdict")
    t["verdicts"] = t["verdicts"].with_columns(verdict=word)
    assert "Use clp (no learned model is needed)" in rec.recommend(t)[0]
    assert "not told from" not in rec.recommend(t)[0]
    assert "the cheapest of what is within the margins" in rec.how_close(t)[0]


def test_that_no_difference_was_found_is_said_to_be_no_more() -> None:
    """An interval as wide as the density holds every reference: to name the model without a word would be to call it right."""
    for truth, kind in ((None, "reference"), ("clp", "truth")):
        t = tables({"clp": 1000.0, "mace": 1010.0}, error=100.0, truth=truth, scatter=100.0)
        (row,) = t["verdicts"].filter(model_a="mace-both", model_b="reference", property="density").to_dicts()
        assert row["verdict"] == "not distinguishable" and row["holm_high"] - row["holm_low"] > 100
        assert f"not told from the {kind}" in rec.recommend(t)[0]


@pytest.mark.parametrize("poor", [(), ("dpmd",), ("dpmd", "mace")])
def test_the_truth_of_a_study_is_no_model_without_a_reference(poor: tuple[str, ...]) -> None:
    """Whichever stands first in the tables: what models are held against is not judged, and has not to be."""
    t = tables({"clp": 1000.0, "dpmd": 1040.0, "mace": 1000.5}, reference=None, truth="clp", poor=poor)
    assert not t["verdicts"].filter(model_a="clp", property="density").height
    said = rec.recommend(t)
    assert ("Use mace-both" in said[0]) is ("mace" not in poor)
    assert "without a reference" not in " ".join(said) and "no reference" not in " ".join(said)
    good = t["summary"].filter(property="density").to_dicts()
    (line, *_) = standing.liquid_sentence(good, t["verdicts"], "density")
    assert ("of the truth" in line or "from the truth" in line) is ("mace" not in poor)
    assert "no reference" not in line
    if "mace" in poor:
        assert "the truth, clp, the method of the labels itself, is 1000" in line and "clp gives" not in line


def test_the_truth_has_its_own_interval_beside_a_model() -> None:
    (said,) = rec.how_close(tables({"clp": 1000.0, "mace": 1000.5}, reference=None, truth="clp"))
    assert re.search(r"against 1000\.\d ± \d+\.\d kg/m³, the truth", said), said


def test_the_truth_has_no_mark_and_its_row_is_named() -> None:
    t = tables({"clp": 1000.0, "dpmd": 1040.0, "mace": 1000.5}, reference=None, truth="clp")
    state = overview.state_at(t, LIQUID, T)
    (line,) = overview.cell_of(state, {"model": "clp", "dataset": None}, "density", [])
    assert (line.mark, "held against nothing" in line.why) == (None, True)
    (other,) = overview.cell_of(state, {"model": "mace", "dataset": "both"}, "density", [])
    assert other.mark is not None
    row = overview.reference_of(state, ["density"], 1)
    assert row is not None and row.name == "truth (clp)"


def test_the_truth_is_not_taken_for_a_measured_value() -> None:
    """Models are held against the truth, and the truth against experiment: two numbers, and no order that holds for both."""
    t = tables({"clp": 1000.0, "dpmd": 1040.0, "mace": 1000.5}, reference=1100.0, truth="clp")
    (said,) = rec.how_close(t)
    assert "Use mace-both" in rec.recommend(t)[0]
    assert re.search(r"mace-both: 1000\.5 ± \d\.\d kg/m³ against 1000\.0 ± \d\.\d kg/m³, the truth", said), said
    fronts = {r["model"]: r["front"] for r in t["pareto"].filter(property="density").to_dicts()}
    assert fronts == {"dpmd": "yes", "mace": "yes"}, (
        "of |model - truth| and |truth - experiment| neither is the smaller"
    )
    state = overview.state_at(t, LIQUID, T)
    row = overview.reference_of(state, ["density"], 1)
    assert row is not None and row.name == "measured, truth (clp)"
    assert [line.text.rpartition(", ")[2] for line in row.cells[0]] == ["measured", "the truth"]
    rows = t["summary"].filter(property="density").to_dicts()
    (sentence, *_) = standing.liquid_sentence(rows, t["verdicts"], "density")
    of_truth, _, of_experiment = sentence.partition("no model agrees with the reference, 1100")
    assert "mace-both" in of_truth and "the truth, 1000" in of_truth and "clp is off" in of_experiment


def test_who_is_closer_to_experiment_says_nothing_against_a_model_that_is_held_against_the_truth() -> None:
    """mace-both gives the truth, and dpmd, from elsewhere, what was measured, a hundred off it."""
    t = tables(
        {"clp": 1000.0, "dpmd": 1100.0, "mace": 1000.5}, reference=1100.0, truth="clp", untrained=("clp", "dpmd")
    )
    (between,) = t["verdicts"].filter(model_a="dpmd", model_b="mace-both", property="density").to_dicts()
    assert between["verdict"] == "a" and between["reason"].startswith("reference: s")
    assert (
        rec.recommend(t)[0].startswith("Use mace-both for the density")
        and "another is closer" not in rec.how_close(t)[0]
    )
    state = overview.state_at(t, LIQUID, T)
    marks = {}
    for model, dataset in (("clp", None), ("dpmd", None), ("mace", "both")):
        (line,) = overview.cell_of(state, {"model": model, "dataset": dataset}, "density", [])
        marks[model] = line.mark and line.mark.word
    assert marks == {"clp": "worse", "dpmd": "better", "mace": "undecided"}, (
        "the truth and dpmd are held against experiment"
    )
    beaten = tables({"clp": 1000.0, "dpmd": 1006.0, "mace": 1000.5}, error=0.5, reference=1100.0, truth="clp")
    state = overview.state_at(beaten, LIQUID, T)
    (line,) = overview.cell_of(state, {"model": "dpmd", "dataset": "both"}, "density", [])
    assert line.mark is not None and line.mark.word == "worse", "of two that are held against the truth one is closer"
    assert line.why.startswith("dpmd-both is off the reference;"), "a name keeps its letters"


def test_a_model_from_elsewhere_is_held_against_experiment_where_the_truth_is_too_short() -> None:
    t = tables(
        {"dpmd": 1040.0, "clp": 1000.0, "mace": 1000.5},
        reference=1100.0, truth="clp", poor=("clp",), untrained=("clp", "dpmd"),
    )  # fmt: skip
    said, (close,) = rec.recommend(t), rec.how_close(t)
    assert "no model agrees with the reference (1100" in close and "the nearest is dpmd, off by" in close
    assert "by mace-both (without a reference" in said[1]
    t["distillation"] = pl.DataFrame(of_teacher(t, "clp"))
    assert "by mace-both (the truth, clp, is not converged)" in rec.recommend(t)[1]
    rows = t["summary"].filter(property="density").to_dicts()
    (line, *_) = standing.liquid_sentence(rows, t["verdicts"], "density", rec.teachers(t))
    assert "no model agrees with the reference, 1100" in line and "dpmd is off by" in line
    assert line.endswith("of mace-both nothing can be said: the truth, clp, is not converged.")


def of_teacher(t: dict[str, pl.DataFrame], truth: str) -> list[dict[str, Any]]:
    """Return what the table `distillation` says of who is held against a truth."""
    rows = t["summary"].filter(pl.col("property") == "density", pl.col("dataset").is_not_null()).to_dicts()
    return [{column: row[column] for column in (*STATE, "model", "dataset")} | {"teacher": truth} for row in rows]


def test_a_truth_that_is_not_converged_is_the_reason_and_not_that_there_is_none() -> None:
    t = tables({"clp": 1000.0, "mace": 1000.5}, reference=None, truth="clp", poor=("clp",))
    t["distillation"] = pl.DataFrame(of_teacher(t, "clp"))
    said = rec.recommend(t)
    assert said[0].startswith("No model can be recommended yet, since the truth, clp, is not converged;")
    assert "(the truth, clp, is not converged)" in said[1] and "reference" not in " ".join(said)
    rows = t["summary"].filter(property="density").to_dicts()
    (line, *_) = standing.liquid_sentence(rows, t["verdicts"], "density", rec.teachers(t))
    assert "mace-both gives 1000" in line and "; the truth, clp, is not converged" in line and "reference" not in line
    (cell,) = overview.cell_of(overview.state_at(t, LIQUID, T), {"model": "mace", "dataset": "both"}, "density", [])
    assert cell.why == "The truth, clp, is not converged."


def test_what_gave_no_number_stands_below_all_that_did() -> None:
    """It has no mark against it; a model whose run broke says more of the liquid."""
    off = {"clp": 960.0, "dpmd": 1040.0}
    for broken, order in (((), ["clp", "dpmd-both"]), (("clp",), ["dpmd-both", "clp"])):
        t = tables(off | {"mace": None}, broken=broken, forces=False)
        made = overview.matrix(Results(t, {"models": [{"id": "mace"}, {"id": "clp"}, {"id": "dpmd"}]}, {}))
        assert made is not None
        assert [row.name for row in made.states[0].rows] == [*order, "mace-both"]


def test_what_broke_soon_has_no_price_of_a_nanosecond() -> None:
    """Its steps took next to nothing of its tasks, those of the others all."""
    t = tables({"clp": 1000.0, "mace": 1001.0, "dpmd": 1040.0}, broken=("dpmd",))
    speeds = pl.when(pl.col("model") == "dpmd").then(1e12).otherwise(1.0)
    t["survival"] = t["survival"].with_columns(n_atoms=pl.lit(1, pl.Int64), atom_steps_per_s=speeds)
    made = overview.matrix(Results(t, {"models": [], "md": {"timestep_fs": 0.5}}, {}))
    assert made is not None
    prices = {row.name: row.cells[-1][0] for row in made.states[0].rows}
    assert prices["dpmd-both"].text == "–" and "too short" in prices["dpmd-both"].why
    assert "–" not in (prices["clp"].text, prices["mace-both"].text)
    rows = {row["model"]: row for row in pareto.table(t, [], timestep_fs=0.5).filter(property="density").to_dicts()}
    assert rows["dpmd"]["md_core_h_per_ns"] is None and rows["clp"]["md_core_h_per_ns"] > 0


def test_a_model_from_elsewhere_is_not_the_truth() -> None:
    t = tables({"clp": 1000.0, "dpmd": 1040.0, "mace": 1000.5}, reference=None, truth="clp", untrained=("clp", "dpmd"))
    rows = {r["model"]: r for r in t["summary"].filter(property="density").to_dicts()}
    assert [is_the_truth(rows[model], list(rows.values())) for model in ("clp", "dpmd", "mace")] == [True, False, False]


def test_the_method_of_the_labels_beats_no_model_by_its_forces() -> None:
    """Its error is 0 by construction: that it is cheaper as well says nothing of the models that learnt from it."""
    t = tables({"clp": 1000.0, "mace": 1000.5}, truth="clp")
    exact = {
        "property": "force_rmse",
        "model": "clp",
        "dataset": None,
        "value": 1e-9,
        "ci95_low": 0.0,
        "ci95_high": 2e-9,
    }
    mine = t["summary"].filter(property="force_rmse", model="mace").head(1)
    exact_row = mine.with_columns(pl.lit(x).cast(mine.schema[c]).alias(c) for c, x in exact.items())
    t["summary"] = pl.concat([t["summary"], exact_row])
    of = {truth: pareto.table(t, [], truth).filter(property="force_rmse") for truth in (None, "clp")}
    assert set(of[None]["model"]) == {"clp", "mace"} and of["clp"]["model"].to_list() == ["mace"]


def test_models_that_one_seed_cannot_judge_are_not_called_alike() -> None:
    t = tables(GOOD)
    t["verdicts"] = t["verdicts"].with_columns(
        verdict=pl.when(pl.col("property") == "force_rmse").then(pl.lit("design cannot decide")).otherwise("verdict")
    )
    said = rec.best_forces(t)
    assert said is not None and "without a verdict against dpmd-both" in said and "not told apart" not in said


def of_liquids(count: int, models: dict[str, float], **options: Any) -> dict[str, pl.DataFrame]:
    """Return the tables of a study of several liquids, in all of which the models give the same."""
    one = tables(models, **options)
    every = {
        name: pl.concat([table.with_columns(liquid=pl.lit(f"liquid{i}")) for i in range(count)])
        for name, table in one.items() if "liquid" in table.columns
    }  # fmt: skip
    return one | every


def test_two_sentences_are_short_however_much_there_is_to_say() -> None:
    """One model is named once for all of a liquid; what has no room is counted, and stands below."""
    said = rec.recommend(of_liquids(1, GOOD))
    assert said[0] == (
        "Use mace-both for the density of liquid0 at 430\u00a0K (13 core-hours to 1 ns), not told from the reference."
    )
    for count in (2, 3, 9):
        for options in ({}, {"poor": ("clp", "dpmd")}, {"reference": None}, {"broken": ("clp", "dpmd", "mace")}):
            t = of_liquids(count, GOOD, **options)
            said, behind = rec.recommend(t), [*rec.how_close(t), *rec.not_decided(t)]
            assert max(len(sentence.split()) for sentence in said) <= 45, said
            missing = [int(n) for n in re.findall(r"(\d+) more in the report", " ".join(said))]
            assert len(missing) == 0 or count > 2
            for i in range(count):
                assert f"liquid{i}" in " ".join(behind)
    assert len(re.findall("[Uu]se mace-both", rec.recommend(of_liquids(9, GOOD))[0])) == 1


def test_a_price_and_a_model_are_said_once_for_all_properties_of_a_liquid() -> None:
    t = tables(GOOD)
    ions = {"density": (None,), "diffusion": ("li", "bf4")}
    states = [(name, species) for name, of in ions.items() for species in of]
    for table in ("summary", "verdicts", "pareto"):
        rows = t[table].filter(property="density")
        more = [rows.with_columns(property=pl.lit(n), species=pl.lit(s, pl.String)) for n, s in states]
        t[table] = pl.concat(more)
    assert rec.recommend(t)[0] == (
        "Use mace-both for the density and diffusion of li and bf4 in pyr14bf4 at 430\u00a0K (13 core-hours to 1 ns), not told from the "
        "reference."
    )
    assert len(rec.how_close(t)) == 3


def test_errors_of_all_liquids_are_called_so() -> None:
    t = tables(GOOD)
    t["verdicts"] = t["verdicts"].filter(property="force_rmse").with_columns(liquid=pl.lit("all"))
    assert {row[0] for row in report_verdicts.table_verdicts(t, "force_rmse").rows} == {"all liquids"}


def test_what_a_name_was_trained_on_stands_right_under_the_table() -> None:
    study = {"models": [], "datasets": {"eq": ["eq"], "both": ["eq", "neq"]}, "seeds": [1]}
    empty = {name: pl.DataFrame(schema=schema) for name, schema in TABLES.items()}
    models = pl.DataFrame(schema={"model": pl.String, "dataset": pl.String, "same_theory": pl.Boolean})
    made = overview.blocks(Results(empty | tables({"clp": 1000.0, "mace": 1001.0}), study, {}, models=models))
    kinds = [type(block).__name__ for block in made]
    words = made[kinds.index("Matrix") + 1]
    assert isinstance(words, Note) and "eq (eq), both (eq + neq); 1 seed each" in words.text


def test_forces_that_only_the_correction_leaves_undecided_are_said_so() -> None:
    t = tables({"mace": 1000.0, "dpmd": 1001.0})
    for p, said in (
        (0.03, ", after the correction for many tests not told apart from "),
        (0.3, ", not told apart from "),
    ):
        lost = t["verdicts"].with_columns(verdict=pl.lit("not distinguishable"), p_value=pl.lit(p))
        line = rec.best_forces(t | {"verdicts": lost}) or ""
        assert f"{said}dpmd-both" in line
