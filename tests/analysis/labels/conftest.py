"""What the tests of the import share: frames of LiBF4 with GFN1-xTB labels, so that energy, forces and stress belong
together, and a function that imports files as the task does.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from ase import Atoms
from foreign_labels import ASSETS, EDGE_A, LIBF4, THEORY, Run

from ionmelt.frame import make_frame, set_label
from ionmelt.frame_file import read_frames
from ionmelt.labels import importing
from ionmelt.labels.engines.settings import XtbLabels
from ionmelt.labels.engines.xtb import Engine
from ionmelt.labels.settings import OwnLabels
from ionmelt.liquid.ions import geometry, library


@pytest.fixture(scope="session")
def frames() -> list[Atoms]:
    """Twenty frames of two LiBF4 pairs that move a little from one to the next, as does the box."""
    bf4 = geometry(library(ASSETS)["bf4"]["smiles"])
    rng = np.random.default_rng(3)
    anions = [bf4 + np.array([4.2, 1.0, 0.8]), bf4 + np.array([1.0, 4.4, 4.6])]
    start = np.concatenate([[[0.5, 0.5, 0.5], [4.5, 4.2, 4.4]], *anions])
    velocity = rng.normal(scale=0.02, size=start.shape)
    engine = Engine(XtbLabels(engine="xtb", accuracy=0.01), 1)
    molecule = [0, 1, *[2] * 5, *[3] * 5]
    names = ["li", "li", *["bf4"] * 10]
    frames_read = []
    for step in range(20):
        numbers = [3, 3, *[9, 5, 9, 9, 9] * 2]
        positions = start + velocity * np.sin(step / 3.0)
        edge = EDGE_A * (1 + 0.004 * np.sin(0.7 * step))
        info = {"liquid": "libf4", "kind": "eq", "recipe": "eq", "group": f"g{step // 4}"}
        frame = make_frame(numbers, positions * edge / EDGE_A, np.array([edge] * 3), molecule, names, **info)
        label = engine.label(Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True))
        assert label.converged
        set_label(frame, label.energy_ev, label.forces_ev_a, label.stress_ev_a3, THEORY, True, label.scf_steps)
        frames_read.append(frame)
    return frames_read


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that imports files as the task does: exit code, lines on the screen, table, frames."""
    monkeypatch.chdir(tmp_path)

    def go(files: dict[str, str] | Sequence[Path], liquids: Sequence[dict[str, Any]] = (LIBF4,), **given: Any) -> Any:
        paths = list(files) if not isinstance(files, dict) else []
        for name, text in files.items() if isinstance(files, dict) else ():
            Path(name).write_text(text)
            paths.append(Path(name))
        labels = OwnLabels(frames=[path.name for path in paths], theory="GFN1", **given)
        settings = labels.model_dump(mode="json") | {"theory_id": THEORY, "liquids": list(liquids), "id": "labels"}
        Path("labels.json").write_text(json.dumps(settings))
        for old in tmp_path.glob("out.*"):
            old.unlink()
        where = ["--settings", "labels.json", "--assets", str(ASSETS), "--out", "out", "--errors", "errors.txt"]
        code = importing.main([*where, "--frames", *map(str, paths)])
        screen = capsys.readouterr()
        lines = (screen.out if code == 0 else screen.err).splitlines()
        assert "Traceback" not in screen.err
        if code:
            assert [f"error: {line}" for line in Path("errors.txt").read_text().splitlines()] == lines
        table = pl.read_parquet("out.labels.parquet") if Path("out.labels.parquet").exists() else None
        labelled = read_frames("out.labelled.extxyz", labelled=True) if code == 0 else []
        return code, lines, table, labelled

    return go
