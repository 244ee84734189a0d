"""What the tests of imported models share: the settings of an import, and how its mistakes are said."""

import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ionmelt.files import sha256
from ionmelt.models import confined as models_confined
from ionmelt.models import importing, trial

COMMON = {
    "id": "own", "model": "own", "dataset": None, "seed": None, "licence": "MIT", "theory": "PBE", "dispersion": None,
    "head": None, "dtype": "float32", "liquid_elements": ["F", "Li"],
}  # fmt: skip


def ask_here(
    _script: Path,
    request: trial.Request,
    kind: type[trial.Answer],
    _environment: dict[str, str],
    _what: str,
    *files: Path,
) -> trial.Answer:
    """Do what the confined process does in this one, which has imported the libraries already."""
    opened = tuple(os.open(path, os.O_WRONLY | os.O_CREAT) for path in files)
    asked = request.model_copy(update={"files": opened}).model_dump_json(exclude_unset=True, by_alias=True)
    with mock.patch.object(models_confined, "confine", lambda **_: "a test"):
        said = trial.work(trial.Request.model_validate_json(asked))
        return kind.model_validate_json(said.model_dump_json(exclude_unset=True, by_alias=True))


def do_import(
    folder: Path, weights: Path | None, *more: Path, confined: bool = False, **settings: Any
) -> tuple[int, list[str], Path]:
    """Import a model in a folder; returns the exit code, the lines of the errors file, and the model folder.

    It is opened in a confined process where the test is about that; it takes seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights_fields = (
        {"weights": weights.name, "sha256": sha256(weights)} if weights else {"weights": None, "sha256": None}
    )
    (folder / "own.json").write_text(json.dumps(COMMON | weights_fields | settings))
    files = [weights, *more] if weights else list(more)
    given = ["--weights", *map(str, files)] if files else []
    errors = folder / "why.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        if not confined:
            patch.setattr(models_confined, "ask", ask_here)
        arguments = ["--id", "own", "--settings", "own.json", *given, "--out", "own", "--errors", errors.name]
        code = importing.main(arguments)
    return code, json.loads(errors.read_text())["reason"] if errors.exists() else [], folder / "own"
