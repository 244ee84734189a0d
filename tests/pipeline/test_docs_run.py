"""What the documentation says to type is run: studies are written, planned and compared, and parts of studies are judged."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from documentation import PAGES, TOP, blocks, commands, each_page

from ionmelt.compare import two_studies
from ionmelt.errors import UserError
from ionmelt.study import new, plan
from ionmelt.study.paths import Paths
from ionmelt.study.schema import Study

# Finished results that a page compares, by what it calls them.
RESULTS = {"results": "nacl", "my_results": "demo", "out": "nacl", "other": "demo"}
# What a page leaves to the reader, with something that is right there.
LEFT_OPEN = {"sha256: ...": f"sha256: '{'0' * 64}'", "...": "mace", ", -LIQUID": ""}
MODELS = [{"id": name, "framework": name} for name in ("mace", "deepmd", "classical")]


def page_named(name: str) -> Path:
    """Return a page of the documentation."""
    return next(page for page in PAGES if page.stem == name)


# --- Commands ------------------------------------------------------------------------------------------


def status(words: list[str]) -> int:
    """Run a command that needs no task of Nextflow's, in the folder that is the current one; return its exit code, 0 of any other."""
    program, *rest = words
    try:
        if program == "bin/compare_studies.py":
            return two_studies.main(rest)
        if program == "bin/plan_study.py":
            return plan.main(rest)
        if program == "./nextflow" and "--new_study" in rest:
            at = rest.index("--new_study")
            return new.main(rest[at + 1 :])
        if program == "./nextflow" and "--study" in rest and Path(study := rest[rest.index("--study") + 1]).is_file():
            return plan.main(["--study", study, "--json"])
    except SystemExit as stop:  # of argparse
        return int(stop.code or 0)
    return 0


def refused(text: str, folder: Path) -> list[list[str]]:
    """Run the commands of a page, one after the other; return those that end with an error."""
    for name, published in RESULTS.items():
        (folder / name).symlink_to(TOP / "docs" / "results" / published)
    return [words for words in commands(text) if status(words)]


@each_page
def test_commands_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(page.read_text(), tmp_path) == []


@pytest.mark.parametrize(
    ("page", "right", "wrong"),
    [
        ("first-study", "--ions li,pf6 --molecules ec:1,dmc:1", "--ions lipf6 --molecules ec,dmc"),
        ("first-study", "compare_studies.py results my_results", "compare_studies.py results"),
        ("AGENTS", "plan_study.py --study my.yaml", "plan_study.py --study mine.yaml"),
        ("README", "--ions emim,bf4 --temperature 353", "--ions emim,bf4 --temperature 25"),
    ],
)
def test_a_wrong_command_is_found(
    page: str, right: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page_named(page).read_text()
    assert text.count(right) == 1
    monkeypatch.chdir(tmp_path)
    assert refused(text.replace(right, wrong), tmp_path)


# --- Parts of studies ----------------------------------------------------------------------------------


def parts(text: str) -> Iterator[dict[str, Any]]:
    """Yield what a page says of a study, as sections of it: blocks, of models alone too, and ``section: {...}`` in the text."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    in_text = re.findall(r"`([a-z_]+: [\[{][^`\n]*)`", prose)
    for written in [*blocks(text, "yaml"), *blocks(text, ""), *in_text]:
        filled = written
        for left_open, right in LEFT_OPEN.items():
            filled = filled.replace(left_open, right)
        try:
            content = yaml.safe_load(filled)
        except yaml.YAMLError:
            assert written in blocks(text, ""), f"no YAML: {written}"  # commands
            continue
        if isinstance(content, list):
            content = {"models": content}
        if isinstance(content, dict):
            yield content


def mistakes(sections: dict[str, Any]) -> list[str]:
    """Return what is wrong with a part of a study, in one that is right beside it.

    What is missing is left to the reader. Models that imitate a level of theory have labels of that.
    """
    study = yaml.safe_load((TOP / "studies" / "demo.yaml").read_text())
    del study["budget_core_hours"]
    study["models"], study["sampling"]["eq"]["frames"], study["equilibration"]["production_ps"] = MODELS, 400, 400
    theories = [model["theory"] for model in sections.get("models", ()) if "theory" in model]
    if theories and "labels" not in sections:
        study["labels"] = {"frames": "labels.extxyz", "theory": theories[-1]}
    for name, content in sections.items():
        study[name] = study[name] | content if name in ("md", "sampling") else content
    if "frames" in study["labels"]:
        del study["sampling"]
    try:
        plan.read_study(yaml.safe_dump(study), "page", Paths(str(TOP), TOP / "assets", False))
    except UserError as error:
        return [line for line in error.errors if ": missing: " not in line]
    return []


def mistakes_of(text: str) -> list[str]:
    """Return what is wrong with the parts of studies in a page."""
    return [line for sections in parts(text) for line in mistakes(sections)]


@each_page
def test_studies_in_the_text_are_right(page: Path) -> None:
    assert mistakes_of(page.read_text()) == []


def test_fields_in_the_text_are_there() -> None:
    """All that stands as the section of a study is one."""
    names = [name for page in PAGES for sections in parts(page.read_text()) for name in sections]
    assert set(names) <= Study.model_fields.keys() and len(names) > 25


@pytest.mark.parametrize(
    ("page", "right", "wrong", "field"),
    [
        ("models", "framework: named, model: sevennet-0}\n", "framework: nmaed, model: sevennet-0}\n", "framework"),
        ("named", "model: sevennet-0}", "model: sevenet-O}", "model"),
        ("active", "swing_ps: 5", "swing_pss: 5", "swing_pss"),
        ("production", "{frames: 100, refine: 1}", "{frames: 100, refin: 1}", "refin"),
        ("production", "training: {trials: 4}", "training: {trails: 4}", "trails"),
        ("tuning", "mode: lora", "mode: lroa", "mode"),
        ("first-study", "solvent_parts: mass", "solvent_parts: weight", "solvent_parts"),
        ("statistics", "density_percent: 1", "density_percnt: 1", "density_percnt"),
    ],
)
def test_a_wrong_field_is_found(page: str, right: str, wrong: str, field: str) -> None:
    text = page_named(page).read_text()
    assert right in text
    assert any(field in line for line in mistakes_of(text.replace(right, wrong, 1)))
