"""What the command line gives is judged before anything runs: types, names, units, paths, one line for each mistake."""

import json
import os
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
def judged(pipeline, tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Return the lines that refuse each case, the right ones last, from one start of Nextflow."""
    place = tmp_path_factory.mktemp("parameters")
    (place / "folder.yaml").mkdir()
    os.mkfifo(place / "pipe.yaml")
    (place / "endless.yaml").symlink_to("/dev/zero")
    with (place / "huge.yaml").open("wb") as file:
        file.truncate(1 << 34)
    for name in ("README.md", "main.nf", "s[1].yaml"):
        (place / name).write_text("name: s\n")
    cases = [{name: value} for name, value, _ in WRONG] + [{name: value} for name, value in RIGHT]
    (place / "cases.json").write_text(json.dumps([*cases, {"threads": "two", "studdy": 1, "spot": "on"}]))
    script = pipeline.folder / "judge.nf"
    script.write_text(
        "include { wrong_parameters } from './modules/help.nf'\n"
        "workflow {\n"
        "    new groovy.json.JsonSlurper().parse(file('cases.json').toFile())\n"
        "        .each { given -> println 'JUDGED ' + groovy.json.JsonOutput.toJson(wrong_parameters(given)) }\n"
        "}\n"
    )
    command = [str(pipeline.folder / "nextflow"), "-q", "run", str(script)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=600, check=False)
    script.unlink()
    lines = [
        json.loads(line.removeprefix("JUDGED ")) for line in done.stdout.splitlines() if line.startswith("JUDGED ")
    ]
    assert len(lines) == len(cases) + 1, done.stdout + done.stderr
    return lines


def test_a_wrong_value_is_one_line_that_says_what_is_right(judged: list[list[str]]) -> None:
    for (name, value, words), lines in zip(WRONG, judged, strict=False):
        assert len(lines) == 1, (name, value)
        assert lines[0].startswith(f"--{name}: {words}"), lines
        assert "\n" not in lines[0]


def test_what_is_right_is_left_alone(judged: list[list[str]]) -> None:
    for (name, value), lines in zip(RIGHT, judged[len(WRONG) :], strict=False):
        assert lines == [], (name, value)


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
