"""Engines that do what they should not, in the table of engines."""

from dataclasses import replace
from pathlib import Path

import pytest
from faulty_engines import FAULTY_ENGINE, TWO_STATES_ENGINE, Faulty, TwoStates

from ionmelt.labels.engines import ENGINES


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the prefix of the files that are written, in the folder of the test."""
    (tmp_path / "faulty_engine.py").write_text(FAULTY_ENGINE)
    (tmp_path / "two_states_engine.py").write_text(TWO_STATES_ENGINE)
    monkeypatch.syspath_prepend(tmp_path)
    for name, section in (("faulty", Faulty), ("two_states", TwoStates)):
        row = replace(ENGINES["xtb"], settings=section, module=f"{name}_engine")
        monkeypatch.setitem(ENGINES, name, row)
    monkeypatch.chdir(tmp_path)
    return str(tmp_path / "out")
