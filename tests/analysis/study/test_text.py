"""The text of a study file: what is not YAML, and what no person would read as YAML does."""

import os
from pathlib import Path

import pytest
import yaml
from planned_studies import ASSETS, DEMO, Planned, demo

from ionmelt.study import plan as plan_module


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
