"""Fetching of named weights: from a server of this test's own, whole or not, and what is printed for a study."""

import dataclasses
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ionmelt.models import fetching
from ionmelt.models.frameworks.named import NamedModel
from ionmelt.models.named import mace
from ionmelt.study.reading import Problems, read_draft

CONTENT = b"weights" * 1000


class Server(http.server.BaseHTTPRequestHandler):
    """Give the content, or less of it than was promised."""

    def do_GET(self) -> None:
        if self.path.endswith("absent.model"):
            self.send_error(404)
            return
        if self.path.endswith("garbage.model"):
            self.wfile.write(b"not HTTP\r\n\r\n")
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:100] if self.path.endswith("cut.model") else CONTENT)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def table(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {}
    for name, licence, theory, sha256 in (
        ("good", "MIT", "PBE+U", hashlib.sha256(CONTENT).hexdigest()),
        ("unpublished", "ASL", "PBE+U", None),
        ("heads", "ASL", "", None),
        ("wrong", "MIT", "PBE", 64 * "0"),
        ("cut", "MIT", "PBE", None),
        ("absent", "MIT", "PBE", None),
        ("garbage", "MIT", "PBE", None),
    ):
        rows[name] = mace(name, theory, licence, "arXiv:1", f"{server}/{name}.model", sha256=sha256)
        rows[name] = dataclasses.replace(rows[name], address=f"{server}/{name}.model")
    monkeypatch.setattr(fetching, "FETCHED", rows)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.model").touch()


@pytest.mark.usefixtures("table")
def test_what_came_is_checked_and_can_be_pasted_into_a_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetching.main(["good"]) == 0
    assert (tmp_path / "good.model").read_bytes() == CONTENT
    screen = capsys.readouterr().out
    assert screen.startswith("licence: MIT")
    assert "(as published)" in screen
    models = yaml.safe_load(screen[screen.index("models:") :])["models"]
    problems = Problems()
    draft = read_draft({"models": models}, problems)
    assert [line for line in problems.lines() if line.startswith("models")] == []
    (model,) = draft.models.values()
    assert isinstance(model, NamedModel)
    assert (model.model, model.sha256) == ("good", None)  # that of the table


@pytest.mark.usefixtures("table")
def test_a_path_may_hold_what_means_something_to_yaml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "it's: mine #1, é"
    folder.mkdir()
    assert fetching.main(["good", "--out", str(folder / "good.model")]) == 0
    screen = capsys.readouterr().out
    (model,) = yaml.safe_load(screen[screen.index("models:") :])["models"]
    assert model["weights"] == str(folder / "good.model")


@pytest.mark.usefixtures("table")
def test_a_licence_and_a_missing_hash_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert fetching.main(["unpublished", "--out", "mine.model"]) == 0
    screen = capsys.readouterr().out
    assert "academic, non-commercial use only" in screen
    assert "the project publishes none" in screen
    assert f"    sha256: {hashlib.sha256(CONTENT).hexdigest()}\n" in screen
    assert fetching.main(["heads"]) == 0
    assert "    head: ...\n" in capsys.readouterr().out


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["wrong"], "sha256 is "),
        (["cut"], "cannot be fetched|100 of 7000 bytes came: try again"),
        (["absent"], "cannot be fetched: HTTP Error 404"),
        (["garbage"], "garbage.model: cannot be fetched: not HTTP"),
        (["good", "--out", "/proc/good.model"], "error: /proc/.good.model."),
        (["none"], "'none' is not known: give one of good, unpublished"),
        (["sevennet-0"], "sevennet-0: its weights are in sevenn==0.13.0: there is nothing to fetch"),
        (["uma-s-omol"], "uma-s-omol: no address of its weights is known here: bring the file, see arXiv:2506.23971"),
        (
            ["grace-1l-oam"],
            "grace-1l-oam: its weights are where its library keeps them (its files lie where grace_models",
        ),
        (["good", "--out", "no/such/folder.model"], "there is no folder no/such"),
        (["good", "--out", "there.model"], "is there already"),
    ],
)
def test_what_goes_wrong_leaves_no_file(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetching.main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert any(word in said for word in words.split("|"))
    assert [path.name for path in tmp_path.iterdir()] == ["there.model"]
