"""What the command line gives is judged before anything runs: types, names, units, paths, one line for each mistake."""

import fcntl
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

# Values as Nextflow hands them on (a bare --name is true), with the beginning of the line that refuses each.
WRONG: list[tuple[str, Any, str]] = [
    ("threads", "two", "'two' is not a whole number"),
    ("threads", True, "'true' is not a whole number"),
    ("threads", 1.5, "'1.5' is not a whole number"),
    ("threads", 0, "0 is not between 1 and "),
    ("threads", "-3", "-3 is not between 1 and "),
    ("threads", "99999999999999999999", "99999999999999999999 is not between 1 and "),
    ("threads", [1, 2], "[1, 2]: give one value"),
    ("gpus", "all", "'all' is not a whole number"),
    ("slurm_array", 1, "1 is not between 2 and "),
    ("publish_mode", "sylink", "'sylink': did you mean symlink? give one of copy, link, symlink"),
    ("publish_mode", "COPY", "'COPY': "),
    ("publish_mode", "", "no value is given"),
    ("max_memory", "lots", "'lots': give an amount of memory with its unit, such as 240 GB"),
    ("max_memory", 240, "'240': give an amount of memory with its unit, such as 240 GB"),
    ("max_memory", "0 GB", "'0 GB': give an amount of memory"),
    ("max_time", "7 weeks", "'7 weeks': give a time with its unit, such as 7 d or 36 h"),
    ("max_time", "-1 h", "'-1 h': give a time"),
    ("max_time", True, "no value is given"),
    ("estimate", "yes", "'yes': give true or false"),
    ("spot", 3, "'3': give true or false"),
    ("study", True, "no value is given: study file (YAML)"),
    ("study", "", "no value is given"),
    ("study", None, "no value is given"),
    ("study", "*.yaml", "'*.yaml': no such file: give one, not a pattern"),
    ("study", "absent.yaml", "'absent.yaml': no such file"),
    ("study", "README.md", "'README.md': give the path of a file whose name ends in .yaml or .yml"),
    ("study", "folder.yaml", "'folder.yaml': is a folder: give a file"),
    ("study", "pipe.yaml", "'pipe.yaml': is no regular file: give a file"),
    ("study", "endless.yaml", "'endless.yaml': is no regular file: give a file"),
    ("study", "huge.yaml", "'huge.yaml': is larger than 1 MB; is it a study?"),
    ("study", "http://example.org/s.yaml", "'http://example.org/s.yaml': give a path, or an address in an object store"),
    ("outdir", True, "no value is given"),
    ("outdir", "main.nf", "'main.nf': is no folder: give a folder"),
    ("outdir", "ftp://example.org/x", "'ftp://example.org/x': give a path, or an address in an object store (s3, gs, az)"),
    ("previous", "absent", "'absent': no such folder"),
    ("images", "main.nf", "'main.nf': is no folder: give a folder"),
    ("registry", True, "no value is given"),
    ("registry", "a b", "'a b': give one word, without spaces"),
    ("slurm_queue", "long --uid=root", "'long --uid=root': give one word, without spaces"),
    ("k8s_nodes", "spot", "'spot': give KEY=VALUE"),
    ("studdy", "x", "unknown parameter; did you mean --study? known: "),
    ("maxMemory", "1 GB", "unknown parameter; did you mean --max_memory? known: "),
    ("qqqqqqqqqqqqqq", "x", "unknown parameter; known: "),
]  # fmt: skip
PROGRAMS = ("sbatch", "ps", "python3", "docker", "podman", "singularity", "apptainer", "ch-run")
# Of `outdir`, the line that a site's configuration has for itself, its `project`, and a mistyped name, which are judged under a command line.
COMMANDS = {
    "nextflow run main.nf --outdir x -c site.config --project p": "outdir",
    "nextflow run main.nf --outdir x --studd-y=z": "outdir studdY",
    "nextflow run main.nf --studdY.part z": "outdir studdY",
    "nextflow run main.nf -params-file mine.yaml": "outdir studdY",
    "nextflow run main.nf -params-file 'my own.yaml'": "outdir studdY",
    "nextflow run main.nf -params-file out-of-reach.yaml": "outdir config_profile_contact project studdY",
}
RIGHT: list[tuple[str, Any]] = [
    ("threads", 2), ("threads", "2"), ("max_cpus", 128), ("estimate", True), ("estimate", "false"), ("spot", "False"),
    ("max_memory", "240 GB"), ("max_memory", "1.5TB"), ("max_memory", "512MB"),
    ("max_time", "7 d"), ("max_time", "36h"), ("max_time", "1 day 12 hours"), ("max_time", "90 min"),
    ("publish_mode", "symlink"), ("study", "s[1].yaml"), ("study", "s3://bucket/s.yaml"), ("outdir", "new/results"),
    ("outdir", "gs://bucket/results"), ("outdir", 2026), ("label_store", "none"), ("checkpoints", ""),
    ("registry", "ghcr.io/someone"), ("slurm_account", 12345), ("slurm_queue", None), ("k8s_nodes", "spot=true"),
    ("max-memory", "1 GB"),  # its camel-case form is judged
]  # fmt: skip


@pytest.fixture(scope="module")
def said(pipeline, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the lines of one start of Nextflow that judges each case, the right ones last, and looks at this machine."""
    folder = tmp_path_factory.mktemp("parameters")
    (folder / "folder.yaml").mkdir()
    os.mkfifo(folder / "pipe.yaml")
    (folder / "endless.yaml").symlink_to("/dev/zero")
    with (folder / "huge.yaml").open("wb") as file:
        file.truncate(1 << 34)
    for name in ("README.md", "main.nf", "s[1].yaml"):
        (folder / name).write_text("name: s\n")
    for name in ("mine.yaml", "my own.yaml"):
        (folder / name).write_text("outdir: x\nstuddY: z\n")
    (folder / "commands.json").write_text(json.dumps([*COMMANDS]))
    cases = [{name: value} for name, value, _ in WRONG] + [{name: value} for name, value in RIGHT]
    (folder / "cases.json").write_text(json.dumps([*cases, {"threads": "two", "studdy": 1, "spot": "on"}]))
    script = pipeline.folder / "judge.nf"
    script.write_text(
        "include { missing_programs; ours; says_something; wrong_of_slurm; wrong_parameters } from './modules/help.nf'\n"
        "include { alone_in } from './modules/earlier_results.nf'\n"
        "workflow {\n"
        "    try { alone_in('held') } catch (Exception why) { println('HELD ' + (why.cause ?: why).message) }\n"
        "    println('FREE ' + (alone_in('free') != null))\n"
        f"    println('MISSING ' + missing_programs({list(PROGRAMS)}).join(' | '))\n"
        "    println('SAYS ' + [['echo', 'x'], ['false'], ['no-such-program'], ['sleep', '60']].collect { words -> says_something(words) })\n"
        "    println('SLURM ' + [['gpu', 'slurm'], ['slurm'], ['test'], ['gpu', 'test']].collect { profiles -> wrong_of_slurm(profiles, 'slurm') })\n"
        "    println('ELSEWHERE ' + wrong_of_slurm(['gpu'], 'lsf'))\n"
        "    new groovy.json.JsonSlurper().parse(file('cases.json').toFile())\n"
        "        .each { given -> println 'JUDGED ' + groovy.json.JsonOutput.toJson(wrong_parameters(given)) }\n"
        "    new groovy.json.JsonSlurper().parse(file('commands.json').toFile())\n"
        "        .each { command -> println('OURS ' + ours([outdir: 'x', config_profile_contact: 'y', project: 'p', studdY: 'z'], command, 'params { project = null }').keySet().join(' ')) }\n"
        "}\n"
    )
    command = [str(pipeline.folder / "nextflow"), "-q", "run", str(script)]
    note = folder / "held" / "pipeline_info" / ".running"
    note.parent.mkdir(parents=True)
    with note.open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    script.unlink()
    lines = done.stdout.splitlines()
    assert sum(line.startswith("JUDGED ") for line in lines) == len(cases) + 1, done.stdout + done.stderr
    return lines


@pytest.fixture(scope="module")
def judged(said: list[str]) -> list[list[str]]:
    """Return the lines that refuse each case."""
    return [json.loads(line.removeprefix("JUDGED ")) for line in said if line.startswith("JUDGED ")]


def test_results_that_another_run_writes_to_are_refused(said: list[str]) -> None:
    (held,) = (line for line in said if line.startswith("HELD"))
    assert (
        held
        == "HELD --outdir: held: another run is writing its results there: give another folder, or wait until it has ended"
    )
    assert "FREE true" in said


def test_a_program_that_is_not_there_is_a_line_with_what_brings_it(said: list[str]) -> None:
    (missing,) = (line.removeprefix("MISSING ") for line in said if line.startswith("MISSING"))
    lines = [line for line in missing.split(" | ") if line]
    assert [line.split(":")[0] for line in lines] == [name for name in PROGRAMS if shutil.which(name) is None]
    for line in lines:
        assert re.fullmatch(r"[\w-]+: is not installed here: .*(apt install|module load|login node).*", line)
    assert "SAYS [true, false, false, false]" in said


def test_slurm_is_asked_for_gpus_by_its_profile_alone(said: list[str]) -> None:
    """A site's configuration that sends tasks there knows nothing of our GPUs."""
    line = "-profile: gpu,test; Slurm is asked for GPUs by profile slurm: name it too, as in -profile gpu,slurm"
    assert f"SLURM [[], [], [], [{line}]]" in said
    assert "ELSEWHERE []" in said


def test_a_wrong_value_is_one_line_that_says_what_is_right(judged: list[list[str]]) -> None:
    for (name, value, words), lines in zip(WRONG, judged, strict=False):
        assert len(lines) == 1, (name, value)
        assert lines[0].startswith(f"--{name}: {words}"), lines
        assert "\n" not in lines[0]


def test_what_is_right_is_left_alone(judged: list[list[str]]) -> None:
    for (name, value), lines in zip(RIGHT, judged[len(WRONG) :], strict=False):
        assert lines == [], (name, value)


def test_what_a_site_says_of_itself_is_no_mistake(said: list[str]) -> None:
    """Configurations of nf-core's for 150 sites have parameters of their own; a mistyped name is refused where it is typed."""
    assert [line.removeprefix("OURS ") for line in said if line.startswith("OURS ")] == [*COMMANDS.values()]


def test_all_mistakes_are_said_at_once(judged: list[list[str]]) -> None:
    assert sorted(line.split(":")[0] for line in judged[-1]) == ["--spot", "--studdy", "--threads"]


def test_every_parameter_says_what_it_takes(pipeline) -> None:
    """A parameter of the configuration is in the schema, and what the schema says can be judged."""
    schema = json.loads((pipeline.folder / "nextflow_schema.json").read_text())
    about = {name: words for group in schema["$defs"].values() for name, words in group["properties"].items()}
    for name, words in about.items():
        assert words["type"] in ("string", "integer", "boolean"), name
        assert words["type"] != "integer" or {"minimum", "maximum"} <= words.keys(), name
        assert ("pattern" in words) == ("errorMessage" in words), name
    given: set[str] = set()
    for path in [pipeline.folder / "nextflow.config", *sorted(Path(pipeline.folder, "conf").glob("*.config"))]:
        inside = False
        for line in path.read_text().splitlines():
            inside = line.startswith("params {") or (inside and not line.startswith("}"))
            if inside and line.startswith("    ") and "=" in line:
                given.add(line.split("=")[0].strip())
    assert given == about.keys()


def test_forms_of_nf_core_and_seqera_can_be_made_of_the_schema() -> None:
    """What nf-schema's own schema of such files asks for: an id, groups with a title, and no key that it does not know."""
    schema = json.loads((Path(__file__).resolve().parents[2] / "nextflow_schema.json").read_text())
    assert {"$schema", "$id", "title", "description", "type"} <= schema.keys()
    assert sorted(one["$ref"] for one in schema["allOf"]) == sorted(f"#/$defs/{name}" for name in schema["$defs"])
    keywords = {
        "type",
        "format",
        "exists",
        "mimetype",
        "pattern",
        "description",
        "errorMessage",
        "default",
        "minimum",
        "maximum",
        "enum",
    }
    for group in schema["$defs"].values():
        assert group["type"] == "object"
        assert group["title"]
        for name, about in group["properties"].items():
            assert about.keys() <= keywords, name
            assert about.get("format") in (None, "file-path", "directory-path"), name
            kinds = {"string": str, "integer": int, "boolean": bool}
            assert isinstance(about.get("default", kinds[about["type"]]()), kinds[about["type"]]), name
            assert about.get("default") != "", f"{name}: a form would show an empty default, and look for that path"
