"""What the tests of imported models share: the settings of an import, and how its mistakes are said."""

import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ionmelt.files import sha256
from ionmelt.models import confined as models_confined
from ionmelt.models import own as own_module
from ionmelt.models import trial

COMMON = {
    "id": "own", "model": "own", "dataset": None, "seed": None, "licence": "MIT", "theory": "PBE", "dispersion": None,
    "head": None, "dtype": "float32", "liquid_elements": ["F", "Li"],
}  # fmt: skip


def ask_here(
    _script: Path, request: dict[str, Any], _environment: dict[str, str], _what: str, *files: Path
) -> dict[str, Any]:
    """Do what the confined process does in this one, which has imported the libraries already."""
    opened = [os.open(path, os.O_WRONLY | os.O_CREAT) for path in files]
    with mock.patch.object(models_confined, "confine", lambda **_: "a test"):
        return json.loads(json.dumps(trial.work(request | {"files": opened})))


def do_import(
    folder: Path, weights: Path | None, confined: bool = False, **settings: Any
) -> tuple[int, list[str], Path]:
    """Import a model in a folder; returns the exit code, the lines of the errors file, and the model folder.

    It is opened in a confined process where the test is about that; it takes seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = {"weights": weights.name, "sha256": sha256(weights)} if weights else {"weights": None, "sha256": None}
    (folder / "own.json").write_text(json.dumps(COMMON | own | settings))
    given = ["--weights", str(weights)] if weights else []
    errors = folder / "errors.txt"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        if not confined:
            patch.setattr(models_confined, "ask", ask_here)
        arguments = ["--id", "own", "--settings", "own.json", *given, "--out", "own", "--errors", "errors.txt"]
        code = own_module.main(arguments)
    return code, errors.read_text().splitlines() if errors.exists() else [], folder / "own"
