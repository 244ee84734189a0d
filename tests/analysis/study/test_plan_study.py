"""PLAN_STUDY as a whole: all mistakes at once, and a plan that is the same bytes for the same study."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planned_studies import (
    ASSETS,
    DEMO,
    ION_NAMES,
    STUDIES,
    Planned,
    Study,
    class_model,
    contents,
    demo,
    loaded,
    md,
    model,
    rows,
    sampling,
    study,
)

from ionmelt.errors import UserError
from ionmelt.study import advice, paths, writing
from ionmelt.study import plan as plan_module
from ionmelt.study.melting import read_melting


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
        f"liquids[0].ions.pyr15: unknown ion 'pyr15'; did you mean pyr14? known: {ION_NAMES}; or give {{smiles: ..., count: ...}}",
        "liquids[1].presure_bar: unknown field; did you mean pressure_bar?",
        "liquids[1].ions: the charges sum to -28 (2 x li +1, 30 x bf4 -1); 30 of li would make it neutral",
        "datasets.eq[0]: unknown kind 'eqq'; did you mean eq? known: eq, neq, active",
        "models[0].epochs: -1 is below 1",
        "models[0].datasets[0]: unknown dataset 'boht'; did you mean both? known: both, eq",
        "models[1].rcut_A: 14 A is more than the box of b, about 13.0 A: give a smaller cut-off or a larger box",
        "md.timestep_fs: 0.0005 is below 0.05 fs: is it 0.0005 ps? give fs, 0.5",
        f"references[0]: 'mine.csv': no such file: {tmp_path}/mine.csv; a path is relative to the study file",
        "outdir: '/proc/ionmelt': cannot be written (No such file or directory): give a folder that you may write to",
    ])  # fmt: skip


@pytest.mark.parametrize("name", ["demo", "pyr14bf4", "litfsi-pyr14tfsi", "pyr14tfsi", "test"])
def test_studies_of_the_repository(planned: Planned, name: str) -> None:
    assert planned((STUDIES / f"{name}.yaml").read_text()) == (0, [])


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
    class_model()(content := demo())
    planned_content = {"liquids": content["liquids"], "models": content["models"][:1], "budget_core_hours": 1e6}
    code, errors = planned(planned_content)
    assert (code, errors) == (0, [])
    assert rows("models.csv")[0]["framework"] == "ase"
    assert loaded("imports/own.json")["liquid_elements"] == ["B", "C", "F", "H", "N"]
    run = loaded("runs/pyr14bf4-430K-r1-own.json")
    assert (run["npt_ps"], run["nvt_ps"]) == (100, 1000)


def test_two_plans_are_the_same_bytes(planned: Planned) -> None:
    assert planned(DEMO) == (0, [])
    assert planned(DEMO, out="again") == (0, [])
    assert planned(DEMO) == (0, []), "an earlier plan is replaced"
    assert contents(Path("plan")) == contents(Path("again"))


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
    assert differ - {"plan.txt"} == only  # which is for the screen: estimate and warnings in words


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


PATHS = paths.Paths(str(STUDIES), ASSETS, True)


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-10, 10), st.integers(), st.floats(), st.text(max_size=8),
    st.lists(st.integers(-1, 3), max_size=3), st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
    st.sampled_from(["eq", "mace", "clandp", "auto", "frames", "count", "smiles", "xtb", "1e3", "a\nb", "", [], {}, [[]],
                     {"smiles": "C", "count": 1}, {"frames": "x"}, {"framework": "xtb", "id": "z"}]),
)  # fmt: skip


def every_path(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at] * bool(at) + [path for key, inner in items for path in every_path(inner, (*at, key))]


@st.composite
def spoiled(draw: st.DrawFn) -> Any:
    """Return the demo with one to four values repathd, removed, renamed or doubled."""
    content = yaml.safe_load(DEMO)
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(every_path(content) or [("name",)]))
        owner = content
        for item in path[:-1]:
            owner = owner[item]
        last = path[-1]
        what = draw(st.sampled_from(["repath", "remove", "rename", "double"]))
        if what == "repath":
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
        study, boxes, references, estimate = plan_module.read_study(text, "study.yaml", PATHS)
    except UserError as error:
        assert error.errors
        for line in error.errors:
            assert line.isprintable(), line
            assert ": " in line
            assert len(line) < 1000
        return
    plan = writing.make_plan(study, boxes, references, PATHS)
    plan.json("estimate.json", estimate.content())
    advice.warn(study, boxes, (), read_melting(ASSETS))


@settings(max_examples=examples(200), suppress_health_check=list(HealthCheck))
@given(spoiled())
def test_no_content_gives_a_stack_trace(content: Any) -> None:
    judge(yaml.safe_dump(content, allow_unicode=True))


@settings(max_examples=examples(200), suppress_health_check=list(HealthCheck))
@given(st.integers(0, len(DEMO) - 1), st.integers(0, 40), st.text(max_size=5))
def test_no_text_gives_a_stack_trace(start: int, length: int, inserted: str) -> None:
    judge(DEMO[:start] + inserted + DEMO[start + length :])


def test_the_plan_of_a_study_from_any_folder(tmp_path: Path) -> None:
    """A reader that has read enough of it ends nothing, and the ions are those of the project."""
    top = Path(__file__).resolve().parents[3]
    command = f"{sys.executable} {top}/bin/plan_study.py --study {top}/studies/demo.yaml --json"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} | head -c 10"], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", '{\n  "study')
