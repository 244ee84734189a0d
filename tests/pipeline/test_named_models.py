"""Ten models of others in one study: one whose library is not there and one that hangs are rows with a reason, and stop no other."""

import hashlib
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from pipeline_study import without_training

MINUTES = 4  # that the opening of a model may take here: many times what those need that do not hang
MODELS = """\
models:
  - {id: clp, framework: classical}
  - {id: gfn1, framework: xtb}
  - {id: gfn2, framework: ase, calculator: tblite.ase.TBLite, arguments: {method: GFN2-xTB, verbosity: 0}, theory: GFN2-xTB}
  - {id: lj, framework: ase, calculator: ase.calculators.lj.LennardJones, arguments: {sigma: 1.8, rc: 4.5, smooth: true}, theory: LJ}
  - {id: sevennet, framework: named, model: sevennet-0}
  - {id: sevennet_mf, framework: named, model: sevennet-mf-0-r2scan}
  - {id: chgnet, framework: named, model: chgnet-0.3.0}
  - {id: chgnet_r2scan, framework: named, model: chgnet-r2scan}
  - {id: absent, framework: named, model: uma-s-omol, weights: named/empty, sha256: EMPTY, environment: analysis}
  - {id: hanging, framework: named, model: nequix-mp-1, weights: named/empty, sha256: EMPTY, environment: HANGING}
md: {timestep_fs: 0.5, npt_ps: 0.005, nvt_ps: 0, save_every_fs: 0.5}
"""


def hanging_environment(folder: Path) -> Path:
    """Return an environment with the packages of this one, and a library that sleeps when it is imported."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (mine,) = Path(sys.prefix).glob("lib/python3*/site-packages")
    (packages / "mine.pth").write_text(f"{mine}\n")
    (packages / "nequix").mkdir()
    (packages / "nequix" / "__init__.py").touch()
    (packages / "nequix" / "calculator.py").write_text("import time\n\ntime.sleep(1e6)\n")
    return folder


@pytest.mark.long
def test_a_model_that_fails_and_one_that_hangs_stop_no_other(pipeline, tmp_path: Path) -> None:
    studies = pipeline.folder / "studies"
    (studies / "named").mkdir()
    (studies / "named" / "empty").touch()
    models = MODELS.replace("EMPTY", hashlib.sha256(b"").hexdigest())
    models = models.replace("HANGING", str(hanging_environment(tmp_path / "hanging")))
    text = without_training(studies).split("\nmd: ")[0]
    (studies / "named.yaml").write_text(f"{text}\n{models}")
    confined = pipeline.folder / "bin" / "ionmelt" / "models" / "confined.py"
    code = confined.read_text()
    assert "WALL_S = 1200" in code
    confined.write_text(code.replace("WALL_S = 1200", f"WALL_S = {60 * MINUTES}"))
    try:
        screen = pipeline.run("--study", "studies/named.yaml", "--outdir", "named")
    finally:
        confined.write_text(code)
    assert "models that could not be used: absent (import), hanging (import)" in screen
    results = pipeline.folder / "named"
    failures = pl.read_parquet(results / "tables" / "failures.parquet").sort("model")
    assert failures.select("stage", "model").rows() == [("import", "absent"), ("import", "hanging")]
    absent, hanging = failures["reason"]
    assert "fairchem.core.FAIRChemCalculator.from_model_checkpoint cannot be imported here" in absent
    assert f"it was not opened and tried within {MINUTES} minutes" in hanging
    others = {"clp", "gfn1", "gfn2", "lj", "sevennet", "sevennet_mf", "chgnet", "chgnet_r2scan"}
    survival = pl.read_parquet(results / "tables" / "survival.parquet")
    ends = dict(survival.select("model", "end").iter_rows())
    assert {name for name, end in ends.items() if end != "missing"} == others
    lasting = others - {"lj"}  # which has no bonds: BF4- comes apart at once
    assert {name for name, end in ends.items() if end == "completed"} >= lasting
    density = pl.read_parquet(results / "tables" / "density.parquet").drop_nulls("density_kg_m3")
    assert set(density["model"]) >= lasting
    page = (results / "report.html").read_text()
    assert all(name in page for name in (*others, "absent", "hanging"))
