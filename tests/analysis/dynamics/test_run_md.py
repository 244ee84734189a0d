"""RUN_MD on a real small liquid with the classical model: what it leaves, that it repeats, and how it ends."""

import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import polars as pl
import pytest
import yaml
from ase.calculators.lj import LennardJones

from ionmelt import files as files_module
from ionmelt.dynamics import run as run_module
from ionmelt.dynamics import thermo as thermo_columns
from ionmelt.dynamics import trajectory
from ionmelt.dynamics.settings import start_volume
from ionmelt.liquid import equilibration, packing
from ionmelt.measure.series import error_of_mean, series_mean
from ionmelt.study import plan
from ionmelt.topology import Topology

TOP = Path(__file__).resolve().parents[3]


def melted(folder: Path, **equilibration_settings: float) -> Path:
    """Write the plan of the test study at 1200 K, and the equilibrated liquid in `state`; return the folder."""
    content = yaml.safe_load((TOP / "studies" / "test.yaml").read_text())
    content["liquids"][0]["temperatures_K"] = [1200]
    content["equilibration"] |= equilibration_settings
    (folder / "study.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert plan.main(["--study", "study.yaml", "--assets", str(TOP / "assets")]) == 0
        box = ["--id", "libf4-r1", "--settings", "plan/boxes/libf4-r1.json", "--assets", str(TOP / "assets")]
        assert packing.main([*box, "--out", "libf4-r1"]) == 0
        key = "libf4-1200K-r1"
        state = ["--id", key, "--settings", f"plan/states/{key}.json", "--box", "libf4-r1", "--out", "state"]
        assert equilibration.main(state) == 0
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return melted(tmp_path_factory.mktemp("study"))


def run(study: Path, out: Path, checkpoints: Path | None = None, code: str = "", **changes: Any) -> dict[str, Any]:
    """Run the classical model with changed settings into `out`; return its run.json."""
    key = "libf4-1200K-r1-clp"
    settings = files_module.read_json(study / "plan" / "runs" / f"{key}.json") | changes
    out.mkdir(parents=True)
    (out / "settings.json").write_text(json.dumps(settings))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(out)
        arguments = ["--id", key, "--settings", "settings.json", "--state", str(study / "state")]
        arguments += ["--checkpoints", str(checkpoints)] if checkpoints else []
        arguments += ["--code", code] if code else []
        assert run_module.main([*arguments, "--model", str(study / "plan" / "cards" / "clp"), "--out", "run"]) == 0
    record: dict[str, Any] = json.loads((out / "run" / "run.json").read_text())
    return record


def test_a_run_leaves_what_was_planned(study: Path, tmp_path: Path) -> None:
    record = run(study, tmp_path / "a", npt_ps=0.2, nvt_ps=0.3, timestep_fs=1.0, save_every_fs=20)
    assert (record["end"], record["survived_ps"], record["planned_ps"]) == ("completed", 0.5, 0.5)
    folder = tmp_path / "a" / "run"
    thermo = pl.read_parquet(folder / "thermo.parquet")
    assert thermo.group_by("phase").len().sort("phase").rows() == [("npt", 20), ("nvt", 30)]
    assert thermo.filter(pl.col("phase") == "npt")["pressure_bar"].null_count() == 0
    nvt = thermo.filter(pl.col("phase") == "nvt")
    npt = thermo.filter(pl.col("phase") == "npt")
    # constant volume, at the mean of the second half of the constant-pressure run
    assert nvt["volume_A3"].n_unique() == 1
    assert nvt["volume_A3"][0] == pytest.approx(npt["volume_A3"][10:].mean(), rel=1e-9)
    with trajectory.Reader(folder / "nvt.xtc") as file:
        positions, lengths = file.read(len(file))
    assert len(positions) == 15
    # unwrapped: no atom jumps by the edge of the box between frames
    assert np.abs(np.diff(positions, axis=0)).max() < 2.0 < lengths[0, 0] / 2


def test_same_seed_same_bytes_and_another_seed_another_run(study: Path, tmp_path: Path) -> None:
    short = {"npt_ps": 0.1, "nvt_ps": 0.1, "timestep_fs": 1.0}
    records = [run(study, tmp_path / name, **short, **({"seed": 99} if name == "c" else {})) for name in "abc"]
    files = [[(tmp_path / n / "run" / f).read_bytes() for f in ("npt.xtc", "nvt.xtc", "thermo.parquet")] for n in "abc"]
    assert files[0] == files[1] != files[2]
    assert records[0]["end"] == "completed"


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a run whose bytes do not depend on when and how fast it ran."""
    return {name: (folder / "run" / name).read_bytes() for name in ("npt.xtc", "nvt.xtc", "thermo.parquet")}


@pytest.mark.parametrize("engine", ["auto", "openmm"])
def test_one_run_equals_its_parts(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    changes = {"npt_ps": 0.1, "nvt_ps": 0.1, "timestep_fs": 1.0, "segment_ps": 0.02, "engine": engine}
    run(study, tmp_path / "whole", **changes)
    # Stopped after each number of checkpoints, as a kill would, and taken up: in NPT, in NVT, and with the last written.
    write, left = run_module.Chain.write, 0

    def write_and_stop(chain: run_module.Chain, *content: Any) -> None:
        nonlocal left
        write(chain, *content)
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(run_module.Chain, "write", write_and_stop)
    checkpoints = tmp_path / "checkpoints"
    for number, stop in enumerate((2, 3, 1, 4)):
        left = stop
        with pytest.raises(KeyboardInterrupt):
            run(study, tmp_path / f"part-{number}", checkpoints, **changes)
    left = -1
    record = run(study, tmp_path / "end", checkpoints, **changes)
    assert (record["segments"], record["segments_resumed"], record["end"]) == (10, 10, "completed")
    assert files_of(tmp_path / "end") == files_of(tmp_path / "whole")
    assert not any(checkpoints.iterdir())


def test_a_changed_run_goes_on_from_nothing(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"npt_ps": 0.04, "nvt_ps": 0.0, "timestep_fs": 1.0, "segment_ps": 0.02}
    checkpoints = tmp_path / "checkpoints"
    monkeypatch.setattr(run_module, "write_results", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path / "a", checkpoints, **changes)
    monkeypatch.undo()
    assert run(study, tmp_path / "b", checkpoints, **(changes | {"seed": 5}))["segments_resumed"] == 0
    assert run(study, tmp_path / "d", checkpoints, code="edited", **changes)["segments_resumed"] == 0
    assert run(study, tmp_path / "c", checkpoints, **changes)["segments_resumed"] == 2


def test_trajectories_stay_within_the_size_that_is_set(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"npt_ps": 0.2, "nvt_ps": 0.2, "timestep_fs": 1.0, "save_every_fs": 5, "max_trajectory_mb": 0.01}
    record = run(study, tmp_path / "a", **changes)
    assert "max_trajectory_mb 0.01" in capsys.readouterr().err
    assert record["save_every_asked_fs"] == 5
    assert record["save_every_fs"] % 5 == 0
    size = sum((tmp_path / "a" / "run" / name).stat().st_size for name in ("npt.xtc", "nvt.xtc"))
    assert 0.002e6 < size <= 0.01e6


def test_what_is_not_computed_of_the_pressure_is_null(study: Path, tmp_path: Path) -> None:
    # Of the classical force field only the trace of the stress, and that only in NPT: it takes further energies.
    run(study, tmp_path / "a", npt_ps=0.02, nvt_ps=0.02, timestep_fs=1.0, save_every_fs=10)
    thermo = pl.read_parquet(tmp_path / "a" / "run" / "thermo.parquet")
    assert all(thermo[name].is_null().all() for name in thermo_columns.PRESSURE)
    assert thermo.filter(pl.col("phase") == "nvt")["pressure_bar"].is_null().all()


def test_a_run_that_breaks_is_kept_and_says_why(study: Path, tmp_path: Path) -> None:
    record = run(study, tmp_path / "a", npt_ps=1.0, nvt_ps=1.0, timestep_fs=12.0, save_every_fs=24)
    assert record["end"] == "temperature"  # six times that of the bath, within the first steps
    assert record["detail"].endswith(" K, the limit is 2400 K")
    assert 0 <= record["survived_ps"] < 0.1
    assert record["nvt_survived_ps"] == 0
    assert (tmp_path / "a" / "run" / "thermo.parquet").is_file()
    assert not (tmp_path / "a" / "run" / "nvt.xtc").exists()


class Twitchy(LennardJones):
    """A model that raises an error of its own in the midst of a run."""

    class HadEnoughError(Exception):
        """No error that anybody knows."""

    calls = 0

    def calculate(self, *arguments: Any, **named: Any) -> None:
        Twitchy.calls += 1
        if Twitchy.calls > 20:
            raise self.HadEnoughError("too many steps")
        super().calculate(*arguments, **named)


@pytest.mark.parametrize("calculator", ["Twitchy", "Nothing"])
def test_a_calculator_that_raises_ends_its_own_run(
    calculator: str, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the midst of a run, which is kept to there, or before it begins, which leaves the reason alone."""
    monkeypatch.chdir(tmp_path)
    Twitchy.calls = 0
    arguments = {"sigma": 1.0, "epsilon": 1e-4, "rc": 3.0, "smooth": True}
    settings = {"calculator": f"{__name__}.{calculator}", "arguments": arguments, "dispersion": None}
    Path("own").mkdir()
    Path("own", "model.json").write_text(
        json.dumps({"id": "own", "model": "own", "framework": "ase", "files": {}, "settings": settings})
    )
    planned = files_module.read_json(study / "plan" / "runs" / "libf4-1200K-r1-clp.json")
    Path("run.json").write_text(json.dumps(planned | {"npt_ps": 0.05, "nvt_ps": 0.0, "save_every_fs": 5}))
    command = ["--id", "own", "--settings", "run.json", "--state", str(study / "state"), "--model", "own"]
    code = run_module.main([*command, "--out", "run", "--errors", "why.txt"])
    if calculator == "Nothing":
        assert code == 2
        assert "has no Nothing" in Path("why.txt").read_text()
        assert not Path("run").exists()
    else:
        assert code == 0
        record = json.loads(Path("run", "run.json").read_text())
        assert (record["end"], record["detail"]) == ("error", "RuntimeError: HadEnoughError: too many steps")
        assert not Path("why.txt").exists()


def test_boxes_begin_on_both_sides_with_whole_ions(study: Path, tmp_path: Path) -> None:
    """The volume of the first step is the one asked for, and the bonds are as long as they were: ions move as a whole."""
    assert [start_volume(4.0, replica) for replica in (1, 2, 3, 4)] == pytest.approx([0.96, 1.04, 0.98, 1.02])
    equilibrated = ase.io.read(study / "state" / "start.extxyz")
    for volume in (0.96, 1.04):
        run(
            study,
            tmp_path / f"{volume}",
            npt_ps=0.02,
            nvt_ps=0.0,
            timestep_fs=1.0,
            save_every_fs=1,
            start_volume=volume,
        )
        folder = tmp_path / f"{volume}" / "run"
        thermo = pl.read_parquet(folder / "thermo.parquet").sort("time_ps")
        assert thermo["volume_A3"][0] == pytest.approx(volume * equilibrated.get_volume(), rel=0.01)
        with trajectory.Reader(folder / "npt.xtc") as file:
            positions, _ = file.read(1)
        bonds = Topology.load(study / "state" / "topology.json").bonds
        first, other = bonds[:, 0], bonds[:, 1]
        before = np.linalg.norm(equilibrated.positions[first] - equilibrated.positions[other], axis=1)
        assert np.linalg.norm(positions[0, first] - positions[0, other], axis=1) == pytest.approx(before, abs=0.15)


@pytest.mark.parametrize("engine", ["auto", "openmm"])
def test_other_masses_are_in_the_run_and_in_its_record(study: Path, tmp_path: Path, monkeypatch, engine: str) -> None:
    masses = []
    monkeypatch.setattr(
        run_module, "with_heavy_hydrogens", lambda topology, mass: topology.masses_u + mass
    )  # here is no hydrogen
    begin = run_module.run_phase

    def watched(phase: str, simulation: Any) -> None:
        begin(phase, simulation)
        masses.append(simulation.atoms.get_masses())

    monkeypatch.setattr(run_module, "run_phase", watched)
    record = run(study, tmp_path / "run", hydrogen_mass_u=2.0, npt_ps=0.02, nvt_ps=0, engine=engine)
    topology = Topology.load(tmp_path / "run" / "run" / "topology.json")
    assert record["hydrogen_mass_u"] == 2.0
    np.testing.assert_allclose(masses[0], topology.masses_u + 2)


@pytest.mark.all
def test_our_barostat_gives_the_density_of_another_one(tmp_path: Path) -> None:
    # EQUILIBRATE uses OpenMM's Monte Carlo barostat and constraints, RUN_MD a Langevin-Hoover barostat without.
    study = melted(tmp_path, timestep_fs=4, production_ps=80, save_every_ps=0.4)
    run(study, tmp_path / "a", npt_ps=15.0, nvt_ps=0.0, timestep_fs=2.0, save_every_fs=1000, barostat_fs=200)
    ours = pl.read_parquet(tmp_path / "a" / "run" / "thermo.parquet")["density_kg_m3"].to_numpy()
    other = pl.read_parquet(study / "state" / "thermo.parquet").filter(pl.col("phase") == "production")
    estimates = [series_mean(ours), series_mean(other["density_kg_m3"].to_numpy())]
    error = float(np.hypot(*(estimate.standard_error for estimate in estimates)))
    assert error < 0.02 * estimates[0].mean
    assert abs(estimates[0].mean - estimates[1].mean) < 3 * error


def test_openmm_keeps_the_ensembles(study: Path, tmp_path: Path) -> None:
    """The temperature of the liquid in both phases, and no noise that repeats with the segments."""
    long = {"npt_ps": 12.0, "nvt_ps": 12.0, "timestep_fs": 2.0, "save_every_fs": 100, "segment_ps": 4.0}
    record = run(study, tmp_path / "a", engine="openmm", **long)
    assert (record["end"], record["engine"], record["segments"]) == ("completed", "openmm", 6)
    thermo = pl.read_parquet(tmp_path / "a" / "run" / "thermo.parquet")
    npt, nvt = thermo.filter(pl.col("phase") == "npt"), thermo.filter(pl.col("phase") == "nvt")
    assert thermo["pressure_bar"].null_count() == len(thermo), "OpenMM has no virial"
    for table in (npt, nvt):
        kinetic = table["temperature_K"].to_numpy()
        assert abs(kinetic.mean() - 1200) < 5 * error_of_mean(kinetic)[0]
    first, second = (npt["temperature_K"].to_numpy()[k * 400 : (k + 1) * 400] for k in (1, 2))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.3
    assert nvt["volume_A3"].n_unique() == 1


def test_a_segment_shorter_than_the_moves_interval_still_moves_the_volume(study: Path, tmp_path: Path) -> None:
    short = {"npt_ps": 0.06, "nvt_ps": 0.0, "timestep_fs": 1.0, "save_every_fs": 2, "segment_ps": 0.003}
    run(study, tmp_path / "a", engine="openmm", **short)
    volumes = pl.read_parquet(tmp_path / "a" / "run" / "thermo.parquet")["volume_A3"]
    assert volumes.n_unique() > 5
