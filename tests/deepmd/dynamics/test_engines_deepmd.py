"""The engines of DeePMD against its plain calculator, replicas in one call, and a run that is killed."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
import tiny_training as tiny
import torch
from engine_tests import *  # noqa: F403  (its tests and fixtures)

from ionmelt.dynamics.engines import choice
from ionmelt.models import train

# torch and deepmd warn of each other when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def names() -> tuple[str, ...]:
    """The engines, fastest first."""
    return ("direct",)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    split = tiny.make_dataset(tmp_path_factory.mktemp("data"), ions=True)
    return tiny.trained_once(train, tiny.DEEPMD, split, tmp_path_factory.mktemp("train"))


@pytest.mark.parametrize("descriptor", ["se_atten", "dpa3"])
def test_later_descriptors_are_run_by_the_plain_calculator(
    descriptor: str, state: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    split = tiny.make_dataset(tmp_path_factory.mktemp("data"), ions=True)
    model = tiny.trained_once(train, tiny.DESCRIPTORS[descriptor], split, tmp_path_factory.mktemp("train"))
    engine, (direct, plain) = choice.load_engine(model, state, 1, ase.io.read(state / "start.extxyz"))
    assert (engine.name, plain.engine) == ("plain", "plain")
    assert direct.reason == "ValueError: a descriptor of mixed types, or one that passes messages"


def test_threads_share_the_atoms_and_change_nothing(model: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ionmelt.dynamics.engines import deepmd as engines_deepmd  # it loads torch

    monkeypatch.setattr(engines_deepmd, "LEAST_ATOMS", 2)
    atoms = ase.io.read(state / "start.extxyz")
    rng = np.random.default_rng(8)
    frames = [(atoms.positions + rng.normal(scale=0.1, size=(16, 3)), atoms.cell.array * s) for s in (1.0, 1.1)]
    before, answers = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            engine, _ = choice.load_engine(model, state, threads, atoms, "direct")
            answers.append(engine.compute(frames, [0, 1]))
            assert engine.threads == threads
    finally:
        torch.set_num_threads(before)
    for other in answers[1:]:
        for one, same in zip(answers[0], other, strict=True):
            assert same.energy == pytest.approx(one.energy, abs=1e-5)
            np.testing.assert_allclose(same.forces, one.forces, atol=1e-5)
            np.testing.assert_allclose(same.stress, one.stress, atol=1e-7)
