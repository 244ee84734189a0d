"""The engines of DeePMD against its plain calculator, replicas in one call, and a run that is killed."""

from pathlib import Path

import ase.io
import pytest
import tiny_training as tiny
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
