"""An observable is a file and a row: in a copy of the package a further one is measured, judged, shown and asked for by a study."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from known_runs import write_npt_run

from ionmelt.measure.observables import OBSERVABLES
from ionmelt.tables.columns import RUN_MODEL

BIN = Path(__file__).resolve().parents[3] / "bin"
# What reads the table of observables, asked about the new one
CHECK = """
from pathlib import Path

import polars as pl

from ionmelt.compare.judgement import run_rows
from ionmelt.compare.settings import Margins
from ionmelt.compare.summary import summarise_runs
from ionmelt.measure.observables import NAMED
from ionmelt.measure.run import measure
from ionmelt.report.sections import overview, properties, recommendation, verdicts
from ionmelt.report.words import NAMES
from ionmelt.study.reference_files import COLUMNS, read_references
from ionmelt.tables.published import TABLES
from ionmelt.tables.references import REFERENCES
from ionmelt.tables.runs import SURVIVAL
from ionmelt.tables.words import page, words

rows = measure(Path("run"))["lightness"].select(*TABLES["lightness"])
runs = run_rows(rows, NAMED["lightness"], pl.DataFrame(schema=SURVIVAL))
(group,) = summarise_runs(runs, "lightness", pl.DataFrame(schema=REFERENCES))
assert abs(group.estimate.value - 1200) < 1 and group.unit == "kg/m3"
assert NAMES["lightness"] == "Lightness" and "lightness" in overview.SHOWN and "lightness" in properties.OTHERS
assert "lightness" in verdicts.QUANTITIES and "lightness" in recommendation.PROPERTIES
assert "## lightness" in page() and words("lightness", "lightness_kg_m3") == "lightness"
assert Margins(lightness_percent=1).lightness_percent == 1
values = {"ions": "li:1 bf4:1", "property": "lightness", "temperature_K": "400", "value": "1.2", "unit": "g/cm3", "source": "x", "second_hand": "false"}
Path("r.csv").write_text("\\n".join([",".join(COLUMNS), ",".join(values.get(name, "") for name in COLUMNS)]) + "\\n")
assert [value.value for value in read_references(Path("r.csv"), None)] == [1200.0]
"""


def test_units_are_the_same_wherever_they_are_named() -> None:
    """The unit of the column, of files of references and of the report: 1 mPa.s is 1e-3 Pa.s in all of them."""
    for observable in OBSERVABLES:
        assert observable.units[observable.unit] == 1.0
        scale, unit = observable.shown
        name = {"kg/m³": "kg/m3", "10⁻¹² m²/s": "pm2/s", "mPa·s": "mPa.s"}.get(unit, unit)
        assert scale * ({"pm2/s": 1e-12} | dict(observable.units))[name] == pytest.approx(1.0)
        assert observable.possible[0] < observable.possible[1]
        assert observable.column == f"{observable.name}_{observable.suffix}"
        assert {observable.column, *RUN_MODEL} <= set(observable.columns)
        assert observable.phase == ("npt" if observable.name in ("density", "compressibility") else "nvt")
        interval = {f"ci95_low_{observable.suffix}", f"ci95_high_{observable.suffix}"}
        assert ({"n_effective"} if observable.name == "density" else interval) <= set(observable.columns)
    assert [observable.name for observable in OBSERVABLES if observable.of_motion] == [
        "diffusion",
        "conductivity",
        "viscosity",
    ]


def test_a_further_one_is_a_file_and_a_row(tmp_path: Path) -> None:
    package = shutil.copytree(BIN, tmp_path / "bin", ignore=shutil.ignore_patterns("__pycache__")) / "ionmelt"
    table = package / "measure" / "observables" / "__init__.py"
    text = (table.parent / "density.py").read_text()
    for old, new in (("density", "lightness"), ("Density", "Lightness"), ('_ps", "lightness', '_ps", "density')):
        text = text.replace(old, new)
    (table.parent / "lightness.py").write_text(text)
    row = "from ionmelt.measure.observables.lightness import OBSERVABLE as LIGHTNESS\n\nOBSERVABLES: tuple[Observable, ...] = (LIGHTNESS, "
    changed = table.read_text().replace("\nOBSERVABLES: tuple[Observable, ...] = (", row)
    assert changed != table.read_text()
    table.write_text(changed)

    folder = tmp_path / "run"
    folder.mkdir()
    density = 1200 + np.random.default_rng(1).normal(size=4000)
    thermo = {"phase": ["npt"] * 4000, "time_ps": 0.01 * np.arange(4000), "density_kg_m3": density, "volume_A3": 1e4}
    write_npt_run(folder, 400.0, pl.DataFrame(thermo))
    environ = os.environ | {"PYTHONPATH": str(package.parent)}
    done = subprocess.run([sys.executable, "-c", CHECK], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
