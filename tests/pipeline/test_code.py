"""An edit of a file of the package repeats the tasks whose scripts import it, and nothing else, on both parsers of Nextflow."""

import os
from pathlib import Path

import pytest
from runs import Pipeline, copy_project
from used_files import BIN, all_imports

ARGUMENTS = ("-stub", "--study", "studies/test.yaml")


def file_used_by(*scripts: str) -> Path:
    """Return a file of the package, by its path in a copy of the project, that these scripts import and no other."""
    imported = {script.stem: all_imports(script) for script in BIN.glob("*.py")}
    ours = set.intersection(*(imported[name] for name in scripts))
    others = set.union(*(files for name, files in imported.items() if name not in scripts))
    path = min(path for path in ours - others if path.name != "__init__.py" and path.parent != BIN)
    return path.relative_to(BIN.parent)


@pytest.mark.all
@pytest.mark.parametrize("parser", ["v1", "v2"])
def test_an_edit_repeats_the_tasks_whose_scripts_import_it(
    parser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stubs leave the same empty files, so that what follows a repeated task is repeated where it takes a new folder of it."""
    monkeypatch.setenv("NXF_SYNTAX_PARSER", parser)
    pipeline = Pipeline(copy_project(tmp_path / "project"))
    pipeline.run(*ARGUMENTS)
    trainings = {script.stem for script in BIN.glob("train_*.py")}
    assert {name.upper() for name in trainings} <= pipeline.executed()
    for path in (pipeline.folder / "bin").rglob("*"):
        os.utime(path, (0, 0))
    pipeline.run(*ARGUMENTS, "-resume")
    assert pipeline.executed() == set()
    for scripts, executed in (
        (("compare_models",), {"COMPARE_MODELS"}),
        (("measure_liquid",), {"MEASURE_LIQUID", "COMPARE_MODELS"}),
        (
            trainings,
            {name.upper() for name in trainings}
            | {"EXPORT_MODEL", "EVALUATE_MODEL", "RUN_MD", "MEASURE_LIQUID", "COMPARE_MODELS"},
        ),
    ):
        edited = pipeline.folder / file_used_by(*scripts)
        edited.write_text(edited.read_text() + "\n# an edit that changes no result\n")
        pipeline.run(*ARGUMENTS, "-resume")
        assert pipeline.executed() == executed, edited
    edited = pipeline.folder / "bin/ionmelt/models/frameworks/deepmd_training.py"
    edited.write_text(edited.read_text() + "\n# an edit that changes no result\n")
    pipeline.run(*ARGUMENTS, "-resume")
    repeated = {row["name"] for row in pipeline.trace() if row["status"] != "CACHED"}
    assert {name for name in repeated if name.startswith("TRAIN_")} == {"TRAIN_MODEL (dpmd-both-s1)"}
