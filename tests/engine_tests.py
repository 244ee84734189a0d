"""What the engines of every framework must do: their test files import these tests, and give `model` and `names`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import polars as pl
import pytest
import restart
import tiny_training as tiny

from ionmelt.dynamics import run
from ionmelt.dynamics.engines import choice


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_state(tmp_path_factory.mktemp("state") / "state")


def test_the_engine_gives_the_plain_calculators_numbers(model: Path, state: Path, names: tuple[str, ...]) -> None:
    atoms = ase.io.read(state / "start.extxyz")
    for name in names:
        engine, _ = choice.load_engine(model, state, 1, atoms, name)
        assert engine.name == name
        rng = np.random.default_rng(2)
        plain, _ = choice.load_engine(model, state, 1, atoms, "plain")
        for scale in (0.95, 1.0, 1.3):
            positions = atoms.positions * scale + rng.normal(scale=0.1, size=atoms.positions.shape)
            frame = (positions + 40.0, atoms.cell.array * scale)  # boxes away, as unwrapped atoms are
            answer, expected = (e.compute([frame], [0])[0] for e in (engine, plain))
            assert answer.energy == pytest.approx(expected.energy, abs=2e-4)
            np.testing.assert_allclose(answer.forces, expected.forces, atol=1e-4)
            np.testing.assert_allclose(answer.stress, expected.stress, atol=1e-5)
            engine.forget(0)


def test_replicas_together_are_what_they_are_alone(model: Path, state: Path) -> None:
    atoms = ase.io.read(state / "start.extxyz")
    engine, _ = choice.load_engine(model, state, 1, atoms)
    rng = np.random.default_rng(4)
    frames = [(atoms.positions + rng.normal(scale=0.1, size=(16, 3)), atoms.cell.array * s) for s in (1.0, 1.1, 0.97)]
    together = engine.compute(frames, [0, 1, 2])
    for slot, (frame, answer) in enumerate(zip(frames, together, strict=True)):
        engine.forget(slot)
        alone = engine.compute([frame], [slot])[0]
        assert answer.energy == pytest.approx(alone.energy, abs=1e-4)
        np.testing.assert_allclose(answer.forces, alone.forces, atol=1e-4)
        np.testing.assert_allclose(answer.stress, alone.stress, atol=1e-5)


@pytest.mark.all
def test_the_check_of_a_gpu_machine_computes_here_too(model: Path, state: Path) -> None:
    """Where there is no GPU nobody would see that tests/gpu cannot load a model."""
    here = Path(__file__).parent
    frames = state / "start.extxyz"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", here / "gpu", "--forces", model, frames], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(here.parent / "bin"), "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    said = json.loads(done.stdout.splitlines()[-1])
    atoms = ase.io.read(frames)
    plain, _ = choice.load_engine(model, state, 1, atoms, "plain")
    expected = plain.compute([(atoms.positions, atoms.cell.array)], [0])[0].forces
    np.testing.assert_allclose(said["plain"]["forces"], expected, atol=1e-6)
    assert said["plain"]["replicas_differ_ev_a"] < 1e-6


@pytest.mark.all
def test_a_killed_run_ends_with_the_same_bytes(model: Path, state: Path, tmp_path: Path) -> None:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    same, repeated = restart.compare("run", tiny.RUN, state, model, tmp_path / "runs", kills=1, seed=1, env=env)
    assert same
    assert repeated <= 1


def test_two_replicas_run_in_one_task(
    model: Path, state: Path, names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [
        "--id",
        "a",
        "--model",
        str(model),
        "--state",
        str(state),
        str(state),
        "--settings",
        "a.json",
        "b.json",
    ]
    short = tiny.RUN | {"npt_ps": 0.02, "nvt_ps": 0.0, "batch": 2}
    for name, timestep in (("a", 1.0), ("b", 40.0)):  # the second breaks; the first goes on
        Path(f"{name}.json").write_text(
            json.dumps(short | {"id": name, "timestep_fs": timestep, "save_every_fs": 5 * timestep})
        )
    assert run.main([*arguments, "--out", "runs/a", "runs/b"]) == 0
    records = [json.loads(Path(f"runs/{name}/run.json").read_text()) for name in "ab"]
    assert records[0]["end"] == "completed"
    assert records[1]["end"] != "completed"
    thermo = pl.read_parquet("runs/a/thermo.parquet")
    trace = thermo.select(pl.mean_horizontal([f"pressure_{c}{c}_bar" for c in "xyz"])).to_series().to_numpy()
    np.testing.assert_allclose(trace, thermo["pressure_bar"].to_numpy(), rtol=1e-9)
    assert [record["probe"][0]["engine"] for record in records] == [names[0]] * 2
