"""Every benchmark runs: at its smallest size its last line is JSON with the keys that its page names, and what must be right is right.

Figures of speed and of coverage mean nothing at these sizes and are not looked at.
"""

import ast
import json
import math
import re
import runpy
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from ionmelt.dynamics.engines.choice import FORCE_TOLERANCE_EV_A

TOP = Path(__file__).resolve().parents[2]
FOLDER = TOP / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
HOME = Path(sys.prefix).parents[1]  # that of the environment of these tests
# Keys that a smallest run leaves out, and why.
LEFT_OUT = {
    "coverage": ["needed_*"],  # searches for a length, which takes as long with few cases as with many
    "labels_chain": ["wall_*"],
    "melts": ["melts_NAME"],  # of each liquid
}
STUDY = """
name: tiny
liquids: [{id: libf4, ions: {li: 4, bf4: 4}, temperatures_K: [900], density_guess_kg_m3: 1500}]
equilibration: {anneal_K: 1200, anneal_ps: 2, cool_ps: 1, settle_ps: 1, production_ps: 4, save_every_ps: 0.2}
models: [{id: clp, framework: classical}]
md: {timestep_fs: 0.5, npt_ps: 0.05, nvt_ps: 0.05, save_every_fs: 5}
references: []
"""


def docstring(name: str) -> str:
    return ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text())) or ""


def section(name: str) -> str:
    """Return what the page of the benchmarks says of one."""
    pages = re.split(r"^## ", (FOLDER / "README.md").read_text(), flags=re.M)
    return next((page for page in pages if page.split("\n")[0] == name), "")


def documented(name: str) -> set[str]:
    """Return the keys that a benchmark says it prints: lines of its help, and first cells of the tables of its section."""
    keys: set[str] = set()
    for names in re.findall(r"^  ([a-z*][\w*]*(?:, [a-z*][\w*]*)*)(?:  +\S.*)?$", docstring(name), re.M):
        keys |= set(names.split(", "))
    cells = re.findall(r"^\| ([^|]*) \|", section(name), re.M)
    keys |= {word for cell in cells for word in re.findall(r"`([a-z]\w*)`", cell)}
    return {key for key in keys if not any(fnmatch(key, pattern) for pattern in LEFT_OUT.get(name, []))}


def result_of(name: str, folder: Path, *arguments: str, keys: bool = True) -> dict[str, Any]:
    """Run a benchmark in a folder; return its last line, which holds the keys that are documented."""
    done = subprocess.run(
        [FOLDER / "run", name, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert "cores" in result["cpu"]
    missing = {key for key in documented(name) if keys and not any(fnmatch(given, key) for given in result)}
    assert not missing, f"{name}: {sorted(missing)}"
    return result


def test_each_has_a_page_and_a_smallest_run() -> None:
    mine = Path(__file__).read_text()
    for name in NAMES:
        assert docstring(name), name
        assert section(name), f"benchmarks/README.md says nothing of {name}"
        assert f'result_of("{name}"' in mine, f"{name} has no smallest run"


def test_keys_are_read_from_help_and_page() -> None:
    assert documented("restart") == {"kills", "identical", "repeated_segments"}
    assert {"mace_ratio", "deepmd_ratio", "deepmd_lammps_ratio_1_core", "max_force_difference_ev_a"} <= documented("md")
    assert "*_short" in documented("coverage")
    assert not any(key.startswith("needed") for key in documented("coverage"))


@pytest.mark.long
def test_msd(tmp_path: Path) -> None:
    result = result_of("msd", tmp_path, "--frames", "200", "--file-frames", "400", "--threads", "2")
    assert result["threads_identical"] is True
    assert result["max_relative_difference"] < 1e-9
    assert not result["missing"]
    assert result["file_msd_off"] < 0.3  # a walk of 400 frames


@pytest.mark.long
def test_measures(tmp_path: Path) -> None:
    result = result_of("measures", tmp_path, "--frames", "2", "--pairs", "1", "--mb", "1", "--across", "1")
    assert not result["missing"]
    assert result["trajectory_atoms"] == result["atoms"] == 514
    assert result["trajectory_mb"] > 1
    for peer in ("freud", "mdanalysis"):
        assert result[f"contacts_same_{peer}"] is True
        assert (
            0 <= result[f"rdf_difference_{peer}"] < 0.5
        )  # one distance beyond the edge of its shell, where g(r) goes up to ten
    assert result["peak_memory_mb"] < 1000


@pytest.mark.long
def test_coverage(tmp_path: Path) -> None:
    quantities = ("diffusion", "density", "difference", "conductivity", "viscosity")
    result = result_of("coverage", tmp_path, "--cases", "10", "--only", *quantities)
    for name in quantities:
        assert 0.7 < result[f"{name}_all"] <= 1  # of 95 %, by some hundred cases


@pytest.mark.long
def test_diffusion(tmp_path: Path) -> None:
    result = result_of("diffusion", tmp_path, "--cases", "4", "--lags", "20")
    assert not result["missing"]
    for name in ("coverage_ours", "coverage_kinisi"):
        assert 0 <= result[name] <= 1


@pytest.mark.long
def test_melts(tmp_path: Path) -> None:
    result = result_of("melts", tmp_path, "--length-ps", "20", "--block-ps", "5", "--pairs", "16")
    assert result["melts_blocks"] <= result["melts_all"]


@pytest.mark.long
def test_groups(tmp_path: Path) -> None:
    result = result_of("groups", tmp_path, "--cases", "2")
    shares = [value for value in result.values() if isinstance(value, float)]
    assert len(shares) > 5
    assert all(0 <= share <= 1 for share in shares)


@pytest.mark.long
def test_growth(tmp_path: Path) -> None:
    result = result_of("growth", tmp_path, "--smallest", "--draw", "growth.svg")
    for name in documented("growth"):
        assert len(result[name]["sizes"]) == len(result[name]["seconds"]) == 2
        (small, large), (first, last) = result[name]["sizes"], result[name]["seconds"]
        assert result[name]["exponent"] == pytest.approx(math.log(last / first) / math.log(large / small), abs=0.01)
    assert (tmp_path / "growth.svg").read_text().count("exponent") == len(documented("growth"))


@pytest.mark.long
def test_labels_chain(tmp_path: Path) -> None:
    sizes = ("--engine", "xtb", "--frames", "3", "--pairs", "8", "--spacing-fs", "20")
    result = result_of("labels_chain", tmp_path, *sizes)
    assert result["atoms"] == 48
    assert result["max_force_difference_ha_bohr"] < 1e-5
    assert result["scf_steps_ratio"] <= 1


def test_figures_of_labels_scale_have_limits() -> None:
    beyond = runpy.run_path(str(FOLDER / "labels_scale.py"))["beyond"]
    measured = {"driver_memory_mb": 462, "resume_s": 19.1, "overhead_ratio": 0.0032, "relabelled": 0}
    assert beyond(measured) == []
    for name, value in {"driver_memory_mb": 1001, "resume_s": 60.1, "overhead_ratio": 0.0101, "relabelled": 1}.items():
        assert [text.split()[0] for text in beyond(measured | {name: value})] == [name]


@pytest.mark.long
def test_labels_scale(tmp_path: Path) -> None:
    result = result_of("labels_scale", tmp_path, "--frames", "10", "--small", "8")
    assert result["frames"] == 10
    assert result["tasks"] <= 10
    assert result["relabelled"] == result["failed"] == 0


@pytest.mark.long
def test_restart(tmp_path: Path) -> None:
    result = result_of("restart", tmp_path, "--kills", "1")
    assert result["runs"] == ["classical", "mace", "deepmd"]
    assert result["identical"] is True
    assert result["kills"] == 3
    assert result["repeated_segments"] == 1


@pytest.mark.long
def test_faults(tmp_path: Path) -> None:
    result = result_of("faults", tmp_path, "--stage", "plan", "--short")
    assert result["injected"] == result["detected"] + result["recovered"] > 0
    assert result["wrong"] == result["unclear"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--module", "absent"], "--module: absent: there is no bin/ionmelt/absent.py"),
        (["--module", "theory", "--replace", "no such text", ""], "--replace: theory holds 'no such text' 0 times"),
    ],
)
def test_a_mistake_is_a_line_before_any_test_runs(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / "mutation.py", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2 and said in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


@pytest.mark.long
def test_mutation(tmp_path: Path) -> None:
    result = result_of("mutation", tmp_path, "--module", "theory", "--sample", "2")
    assert result["drawn"] == 2 <= result["mutants"]
    assert result["killed"] + result["equivalent"] + result["survived"] == result["drawn"]


@pytest.mark.long
def test_demo(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    result = result_of("demo", tmp_path, "--study", "study.yaml", "--home", str(HOME))
    assert result["setup_s"] is None
    assert result["tasks"] > 5
    assert result["rerun_on_resume"] == 0


@pytest.mark.long
def test_md(tmp_path: Path) -> None:
    sizes = ("--smallest", "--threads", "1", "--repeats", "1", "--seconds", "0.5")
    result = result_of("md", tmp_path, *sizes)
    assert result["device"] == "cpu"
    assert result["max_force_difference_ev_a"] < FORCE_TOLERANCE_EV_A
    assert result["deepmd_lammps_force_difference_ev_a"] < FORCE_TOLERANCE_EV_A
    assert result["density_difference_zero"] is True
    for framework in ("mace", "deepmd"):
        assert result[f"{framework}_engine"] != "plain"
        assert result[f"{framework}_probe_force_difference_ev_a"] < FORCE_TOLERANCE_EV_A
        plain, engine = result[f"{framework}_drift_ev_atom_ps"]
        assert engine == pytest.approx(plain, abs=1e-3)
        assert len(result[f"{framework}_force_differences_ev_a"]) == 5


@pytest.mark.long
def test_training(tmp_path: Path) -> None:
    result = result_of("training", tmp_path, "--smallest", "--seeds", "1")
    for framework in ("mace", "deepmd"):
        errors = result[f"{framework}_force_rmse_mev_a"]
        (ours,), (theirs,) = errors["ours"], errors["theirs"]
        assert 0 < ours < math.inf
        assert 0 < theirs < math.inf
        assert result[f"{framework}_force_ratio"] == pytest.approx(ours / theirs, rel=1e-3)
        assert result[f"{framework}_frames_per_s_ratio"] > 0


@pytest.mark.long
def test_selection(tmp_path: Path) -> None:
    result = result_of("selection", tmp_path, "--frames", "4", "8", "--seeds", "2", "--steps", "40")
    assert result["frames"] == [4, 8]
    for key in ("force_error_ratio", "scan_error_ratio"):
        value, low, high = result[key]
        assert 0 < low <= value <= high


@pytest.mark.long
def test_tuning(tmp_path: Path) -> None:
    result = result_of("tuning", tmp_path, "--seeds", "1", "--epochs", "1", keys=False)
    assert result["zero"]["force"][0] > 0
    assert {name.split("_")[0] for name in result} == {"cpu", "zero", "naive", "replay", "scratch"}
