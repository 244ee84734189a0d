"""What the tests of imported models share: the settings of an import, and how its mistakes are said."""

import json
from pathlib import Path
from typing import Any

import pytest

import import_model
from il_models import sha256_of

COMMON = {
    "id": "own", "model": "own", "dataset": None, "seed": None, "licence": "MIT", "theory": "PBE", "dispersion": None,
    "head": None, "dtype": "float32", "liquid_elements": ["F", "Li"],
}  # fmt: skip


def do_import(folder: Path, weights: Path | None, **settings: Any) -> tuple[int, list[str], Path]:
    """Import a model in a folder; returns the exit code, the lines of the errors file, and the model folder."""
    folder.mkdir(parents=True, exist_ok=True)
    own = {"weights": weights.name, "sha256": sha256_of(weights)} if weights else {"weights": None, "sha256": None}
    (folder / "own.json").write_text(json.dumps(COMMON | own | settings))
    given = ["--weights", str(weights)] if weights else []
    errors = folder / "errors.txt"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        arguments = ["--id", "own", "--settings", "own.json", *given, "--out", "own", "--errors", "errors.txt"]
        code = import_model.main(arguments)
    return code, errors.read_text().splitlines() if errors.exists() else [], folder / "own"
