"""The engines of DeePMD against its plain calculator, replicas in one call, and a run that is killed."""

from pathlib import Path

import pytest
import tiny_training as tiny
from engine_tests import *  # noqa: F403  (its tests and fixtures)

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
