"""Studies and files of references that are spoiled in any way cost lines, not a stack trace."""

import math
from pathlib import Path

import numpy as np
import pytest
from fuzz import corpus, inputs

from ionmelt.errors import UserError
from ionmelt.liquid.ions import library
from ionmelt.study import advice, paths, writing
from ionmelt.study import plan as plan_module
from ionmelt.study.reference_files import read_references

ROOT = Path(__file__).resolve().parents[3]
ASSETS = ROOT / "assets"
STUDIES = [path.read_text() for path in sorted((ROOT / "studies").glob("*.yaml"))]
OWN = """\
name: own
liquids:
  - {id: a, ions: {li: 8, x: {smiles: "F[B-](F)(F)F", count: 8}}, temperatures_K: [500, 520], force_field: xtb, density_guess_kg_m3: 1500}
sampling: {eq: {frames: 20}, neq: {volume_scan: {frames: 10}, rattle: {frames: 5}, clusters: {frames: 3}}}
labels: {engine: cp2k, theory: PBE-D3(BJ), quality: economy}
datasets: {eq: [eq], both: [eq, neq], al: [eq, active]}
active: {frames: 4}
models:
  - {id: m, framework: mace, channels: 16, r_max_A: 4.5, epochs: 5}
  - {id: d, framework: deepmd, steps: 100, datasets: [eq]}
  - {id: o, framework: ase, calculator: tblite.ase.TBLite, theory: GFN2-xTB, arguments: {a: [1, {b: 2.5}]}}
  - {id: x, framework: xtb}
seeds: [1, 2]
sizes: [5]
md: {npt_ps: 1, nvt_ps: 1, replicas: 3}
budget_core_hours: 1.0e+6
"""
REFERENCES = (ASSETS / "references/ilthermo.csv").read_text().splitlines(keepends=True)
PATHS = paths.Paths(str(ROOT / "studies"), ASSETS, False)
CHARGES = {name: entry["charge"] for name, entry in library(ASSETS).items()}


def check_lines(error: UserError) -> None:
    """Assert that mistakes are said in lines for a person."""
    assert error.errors
    for line in error.errors:
        assert line.isprintable(), line
        assert ": " in line
        assert len(line) < 1000, line


def judge_study(text: str, folder: Path) -> None:
    """Plan a study; one that is taken must cost something and stay within its budget."""
    path = folder / "study.yaml"
    path.write_bytes(text.encode(errors="surrogatepass"))
    try:
        study, boxes, references, estimate = plan_module.read_study(plan_module.read_text(path), path.name, PATHS)
    except UserError as error:
        check_lines(error)
        return
    plan = writing.make_plan(study, boxes, references, PATHS)
    plan.json("estimate.json", estimate.content())
    advice.warn(study, boxes, (), {})
    assert not [name for name, content in plan.files.items() if "NaN" in content or "Infinity" in content]
    for liquid, box in zip(study.liquids, boxes.values(), strict=True):
        assert 1 <= len(set(liquid.temperatures_K)) == len(liquid.temperatures_K)
        assert all(0 < kelvin < 10_000 for kelvin in liquid.temperatures_K)
        assert sum(ion.charge * box.counts[ion.name] for ion in box.ions) == 0


def judge_references(text: str, folder: Path) -> None:
    """Read references; a value that is taken must be one that a liquid of ions can have, within its own range."""
    path = folder / "mine.csv"
    path.write_bytes(text.encode(errors="surrogatepass"))
    try:
        values = read_references(path, CHARGES)
    except UserError as error:
        check_lines(error)
        return
    bounds = {
        "density": (100, 20000),
        "viscosity": (1e-5, 1e9),
        "diffusion": (1e-20, 1e-6),
        "conductivity": (1e-12, 1e4),
    }
    for value in values:
        low, high = bounds[value.property]
        assert low <= value.value <= high
        assert value.temperature_K is None or 100 <= value.temperature_K <= 3000
        assert value.low is None or value.high is None or value.low <= value.value <= value.high
        assert value.standard_uncertainty is None or 0 <= value.standard_uncertainty < math.inf
        assert value.source and sum(CHARGES[ion] * count for ion, count in value.composition) == 0
        assert value.n is None or value.n >= 1


def references() -> list[str]:
    """Return some lines of the references that there are, under their columns."""
    rng = np.random.default_rng(1)
    return [
        "".join(
            [REFERENCES[0], *(REFERENCES[i] for i in sorted(rng.choice(range(1, len(REFERENCES)), 8, replace=False)))]
        )
        for _ in range(20)
    ]


JUDGES = {"study": (judge_study, [*STUDIES, OWN, OWN]), "references": (judge_references, references())}


@pytest.mark.parametrize("kind", JUDGES)
def test_what_is_spoiled_is_good(kind: str, tmp_path: Path) -> None:
    judge, good = JUDGES[kind]
    for text in good:
        judge(text, tmp_path)


@pytest.mark.long
@pytest.mark.budget(36000, hangs_s=36000)
@pytest.mark.parametrize("kind", JUDGES)
def test_spoiled_texts(kind: str, tmp_path: Path) -> None:
    judge, good = JUDGES[kind]
    for number, text in inputs(good):
        try:
            judge(text, tmp_path)
        except BaseException as error:
            raise AssertionError(f"{kind}, input {number}, which is in {tmp_path}") from error


@pytest.mark.parametrize(
    "path", [path for kind in JUDGES for path in corpus(kind)], ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_texts_that_were_handled_wrongly_once(path: Path, tmp_path: Path) -> None:
    JUDGES[path.parent.name][0](path.read_bytes().decode(), tmp_path)
