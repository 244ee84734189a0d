"""An edit of a file of the package repeats the tasks whose scripts import it, and nothing else, on both parsers of Nextflow."""

import json
import os
from pathlib import Path

import pytest
from runs import Pipeline, copy_project
from used_files import BIN, all_imports

ARGUMENTS = ("-stub", "--study", "studies/test.yaml")
EDIT = "\n# an edit that changes no result\n"
IMPORTED = {script.name: all_imports(script) for script in BIN.glob("*.py")}
# Prints the digest of each script, as it is and after the edit of each file in turn.
DIGESTS = """\
include {{ code }} from './modules/code.nf'
workflow {{
    def scripts = {scripts}
    def files = [null] + {files}
    files.each {{ name ->
        if (name) {{ projectDir.resolve(name).append({edit}) }}
        println('DIGESTS ' + groovy.json.JsonOutput.toJson(scripts.collectEntries {{ script -> [script, code(script)] }}))
    }}
}}
"""
parsers = pytest.mark.parametrize("parser", ["v1", "v2"])


def project(parser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Return a copy of the project whose path has an apostrophe, which breaks nothing."""
    monkeypatch.setenv("NXF_SYNTAX_PARSER", parser)
    return Pipeline(copy_project(tmp_path / "somebody's project"))


def file_used_by(*scripts: str) -> str:
    """Return a file of the package, by its path in a copy of the project, that these scripts import and no other."""
    files = {path for path in set().union(*IMPORTED.values()) if path.name != "__init__.py" and path.parent != BIN}
    ours = {path for path in files if {name for name, used in IMPORTED.items() if path in used} == set(scripts)}
    return str(min(ours).relative_to(BIN.parent))


def edit(pipeline: Pipeline, *files: str) -> None:
    for name in files:
        path = pipeline.folder / name
        path.write_text(path.read_text() + EDIT)


@pytest.mark.all
@parsers
def test_the_digest_of_a_script_is_that_of_all_it_imports(
    parser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = project(parser, tmp_path, monkeypatch)
    shared = ("ionmelt/frame.py", "ionmelt/measure/series.py", "ionmelt/models/frameworks/deepmd_training.py")
    alone = ("compare_models.py", "measure_liquid.py", "train_model.py", "equilibrate.py", "import_labels.py")
    files = [f"bin/{name}" for name in (*shared, "ionmelt/report/page.js", "ionmelt/labels/__init__.py", "run_md.py")]
    files += [file_used_by(name) for name in alone]
    text = DIGESTS.format(scripts=json.dumps(sorted(IMPORTED)), files=json.dumps(files), edit=json.dumps(EDIT))
    (pipeline.folder / "digests.nf").write_text(text)
    screen = pipeline.run(program=("./nextflow", "run", "digests.nf"))
    said = [json.loads(line.removeprefix("DIGESTS ")) for line in screen.splitlines() if line.startswith("DIGESTS ")]
    assert len(said) == len(files) + 1
    for name, before, after in zip(files, said, said[1:], strict=False):
        changed = {script for script in before if before[script] != after[script]}
        assert changed == {script for script, used in IMPORTED.items() if BIN.parent / name in used}, name


@pytest.mark.all
@parsers
def test_an_edit_repeats_the_tasks_whose_scripts_import_it(
    parser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stubs leave the same empty files, so that what follows a repeated task is repeated where it takes a new folder of it."""
    pipeline = project(parser, tmp_path, monkeypatch)
    pipeline.run(*ARGUMENTS)
    tasks = {row["name"] for row in pipeline.trace()}
    after = {"EVALUATE_MODEL", "RUN_MD", "MEASURE_LIQUID", "COMPARE_MODELS"}

    # A file that is touched, the training of one framework, and an engine that does not label here
    for path in (pipeline.folder / "bin").rglob("*"):
        os.utime(path, (0, 0))
    frameworks, engines = "bin/ionmelt/models/frameworks", "bin/ionmelt/labels/engines"
    edit(pipeline, f"{frameworks}/deepmd_training.py", f"{engines}/cp2k_output.py")
    pipeline.run(*ARGUMENTS, "-resume")
    of_model = {name for name in tasks if "dpmd" in name} | {"COMPARE_MODELS"}
    assert {row["name"] for row in pipeline.trace() if row["status"] != "CACHED"} == of_model
    assert {"TRAIN_MODEL (dpmd-both-s1)", "EXPORT_MODEL (dpmd-both-s1)"} < of_model

    # What scripts import, and the engine that labels
    edit(pipeline, file_used_by("measure_liquid.py"), file_used_by("train_model.py"), f"{engines}/xtb.py")
    pipeline.run(*ARGUMENTS, "-resume")
    assert pipeline.executed() == {"LABEL_FRAMES", "TRAIN_MODEL", "EXPORT_MODEL", *after}
