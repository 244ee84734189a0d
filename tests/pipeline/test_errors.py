"""Errors by kind: what is tried again, what stops at once, what the user is told; and that nothing leaks on the way."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from runs import Pipeline, copy_project

from ionmelt.errors import Exit

TOP = Path(__file__).resolve().parents[2]
STUDY = ("--study", "studies/test.yaml", "-stub")
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "s3cr3t-of-the-cloud",
    "HF_TOKEN": "t0ken-of-the-hub",
    "MY_PASSWORD": "passw0rd-of-mine",
}


def retried() -> set[str]:
    """Return the exit codes that conf/resources.config has tried again."""
    match = re.search(
        r"errorStrategy = \{\s+task\.exitStatus in \[([^]]*)\]\s+\? \(.*?'ignore' : 'retry'\)\s+: .*?'finish'\s+\}",
        (TOP / "conf" / "resources.config").read_text(),
        re.DOTALL,
    )
    assert match
    return {code.strip() for code in match[1].split(",")}


def test_the_scripts_and_the_configuration_mean_the_same_by_a_code() -> None:
    assert {str(int(code)) for code in (Exit.DISK, Exit.MEMORY)} <= retried()
    assert retried().isdisjoint(str(int(code)) for code in (Exit.DONE, Exit.BUG, Exit.USER))
    ended = (TOP / "modules" / "ended.nf").read_text()
    for code in set(Exit) - {Exit.DONE}:
        assert f"'{int(code)}': " in ended
    assert {"137", "143", "Integer.MAX_VALUE"} <= retried(), "killed, ended by a scheduler, lost with its node"


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """A project whose stubs fail by kind, at their first attempt or for good, run once with credentials around."""
    mine = Pipeline(copy_project(tmp_path_factory.mktemp("faulty") / "ionmelt"))
    first = "[ ${task.attempt} = 1 ] &&"
    for module, line in {
        "build_liquid": f"{first} echo 'error: out_of_memory: x' >&2 && exit {Exit.MEMORY}",
        "equilibrate": f"{first} kill -9 \\$\\$",
        "sample_frames": f"{first} sleep 60",
        "label_frames": f"{first} exit {Exit.DISK}",
        "train_model": "if [ ${key} = mace-both-s1 ]; then echo 'error: model x: theory_id: not that of the labels' >&2; "
        f"exit {Exit.USER}; fi",
    }.items():
        path = mine.folder / "modules" / f"{module}.nf"
        start, stub = path.read_text().split("    stub:\n", 1)
        path.write_text(start + "    stub:\n" + stub.replace('"""\n', f'"""\n    {line}\n    true\n', 1))
    (mine.folder / "short.config").write_text(
        "process { withName: SAMPLE_FRAMES { time = { task.attempt == 1 ? 2.s : 1.h } } }\n"
    )
    before = dict(os.environ)
    os.environ.update(SECRETS)
    try:
        screen = mine.run(*STUDY, "-c", "short.config", fails=True)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return mine, screen


def statuses(rows: list[dict[str, str]], process: str) -> list[tuple[str, str]]:
    """Return status and exit code of the attempts at the tasks of a process, in their order."""
    rows = sorted((row for row in rows if row["name"].startswith(process)), key=lambda row: int(row["task_id"]))
    return [(row["status"], row["exit"]) for row in rows]


@pytest.mark.all
@pytest.mark.parametrize(
    ("process", "code"),
    [("BUILD_LIQUID", "75"), ("EQUILIBRATE", "137"), ("SAMPLE_FRAMES", "-"), ("LABEL_FRAMES", "74")],
)
def test_what_the_machine_is_to_blame_for_is_tried_again(faulty, process: str, code: str) -> None:
    assert statuses(faulty[0].trace(), process) == [("FAILED", code), ("COMPLETED", "0")]


@pytest.mark.all
def test_a_mistake_stops_at_once_with_the_last_lines_of_the_task(faulty) -> None:
    pipeline, screen = faulty
    assert statuses(pipeline.trace(), "TRAIN_MODEL (mace-both-s1)") == [("FAILED", "2")]
    assert "error: model x: theory_id: not that of the labels" in screen
    assert "Submitted process > COMPARE_MODELS" not in screen


@pytest.mark.all
def test_the_end_is_a_line_for_each_thing_that_failed(faulty) -> None:
    lines = [line for line in faulty[1].splitlines() if line.startswith("failed: ")]
    assert len(lines) == 1, "what was tried again with success has not failed"
    assert re.fullmatch(
        r"failed: TRAIN_MODEL \(mace-both-s1\): a mistake in the study or in a file: model x: theory_id: not that of the "
        r"labels; see /.*/\.command\.err",
        lines[0],
    )


@pytest.mark.all
def test_the_end_says_how_many_labels_failed_and_runs_broke(pipeline, tmp_path) -> None:
    (tmp_path / "some" / "tables").mkdir(parents=True)
    (tmp_path / "none" / "tables").mkdir(parents=True)
    reasons = ["", "net_force", "", "scf_not_converged", "net_force"]
    labels = "".join(f'{n},"x, y",{reason}\n' for n, reason in enumerate(reasons))
    (tmp_path / "some" / "tables" / "labels.csv").write_text(f"frame_id,group,reason\n{labels}")
    (tmp_path / "some" / "tables" / "survival.csv").write_text("run_id,end\na,completed\nb,bond_broken\n")
    (tmp_path / "none" / "tables" / "survival.csv").write_text("run_id,end\na,completed\n")
    why = '"4.2 effective samples, 10 wanted; the halves of the production differ by +9.0 kg/m3"'
    (tmp_path / "some" / "tables" / "equilibration.csv").write_text(
        f"key,converged,reason\na-r1,true,\nb-r1,false,{why}\n"
    )
    (tmp_path / "none" / "tables" / "equilibration.csv").write_text("key,converged,reason\na-r1,true,\n")
    trace = "task_id\tname\tstatus\texit\tworkdir\n"
    for number, files in enumerate(
        [(".command.err", ".command.log"), (".command.log",), ()]
    ):  # the last: its node was lost
        (tmp_path / str(number)).mkdir()
        for name in files:
            (tmp_path / str(number) / name).write_text(f"some words\nerror: said in {name}\n")
        trace += f"{number}\tA:TASK (t{number})\tFAILED\t2\t{tmp_path}/{number}\n"
    (tmp_path / "trace.tsv").write_text(trace)
    script = pipeline.folder / "say.nf"
    script.write_text(
        "include { say_what_failed; say_what_is_missing } from './modules/ended.nf'\n"
        f"workflow {{\n    say_what_is_missing('{tmp_path}/none/tables')\n    say_what_is_missing('{tmp_path}/some/tables')\n"
        f"    say_what_failed('{tmp_path}/trace.tsv')\n}}\n"
    )
    done = subprocess.run(["./nextflow", "-q", "run", "say.nf"], cwd=pipeline.folder, capture_output=True, text=True)
    script.unlink()
    assert [line for line in done.stdout.splitlines() if " of " in line] == [
        f"liquids that are not equilibrated: 1 of 2 (b-r1: {why[1:-1]}); see {tmp_path}/some/tables/equilibration.csv",
        f"labels that failed: 3 of 5 (net_force 2, scf_not_converged 1); see {tmp_path}/some/tables/labels.csv",
        f"runs that broke: 1 of 2 (bond_broken 1); see {tmp_path}/some/tables/survival.csv",
    ], done.stdout + done.stderr
    mistake = "a mistake in the study or in a file"
    assert [line for line in done.stdout.splitlines() if line.startswith("failed: ")] == [
        f"failed: TASK (t0): {mistake}: said in .command.err; see {tmp_path}/0/.command.err",
        f"failed: TASK (t1): {mistake}: said in .command.log; see {tmp_path}/1/.command.log",
        f"failed: TASK (t2): {mistake}; see {tmp_path}/2",
    ]


@pytest.mark.all
def test_no_secret_is_written_anywhere(faulty) -> None:
    for path in faulty[0].folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            assert not [name for name, secret in SECRETS.items() if secret.encode() in content], path


def test_a_stub_run_does_not_replace_what_a_real_one_has_left(pipeline, tmp_path) -> None:
    report = tmp_path / "results" / "report.html"
    report.parent.mkdir()
    report.write_text("a report")
    arguments = (
        "--study",
        "studies/test.yaml",
        "--outdir",
        str(report.parent),
        "-stub",
        "-work-dir",
        str(tmp_path / "w"),
    )
    screen = pipeline.run(*arguments, fails=True)
    assert "holds a finished study, which -stub would replace by empty files: give another folder" in screen
    assert report.read_text() == "a report" and "PLAN_STUDY" not in screen


@pytest.mark.all
def test_no_name_of_a_folder_or_file_reaches_a_shell(pipeline, tmp_path) -> None:
    folder = tmp_path / "a'; touch pwned; ' \"$(touch pwned)\" `touch pwned` & touch pwned"
    folder.mkdir()
    study = folder / "it's; touch pwned; $(touch pwned).yaml"
    study.write_text((TOP / "studies" / "test.yaml").read_text())
    process = pipeline.start(
        "--study", str(study), "--outdir", str(folder / "o'; touch pwned; '"), "-stub", "-work-dir", str(tmp_path / "w")
    )
    screen, _ = process.communicate(timeout=600)
    assert "PLAN_STUDY" in screen
    for top in (tmp_path, pipeline.folder):
        assert not list(top.rglob("pwned")), screen
