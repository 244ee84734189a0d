"""A state folder, and all frames that are sampled of it: made once."""

from pathlib import Path

import pytest
from ase import Atoms
from breathing_salt import asked, write_state

from ionmelt.frames.counts import RecipeCount
from ionmelt.frames.sampling import sample
from ionmelt.frames.state import State


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state folder."""
    path = tmp_path_factory.mktemp("states") / "libf4-430K-r1"
    write_state(path)
    return path


@pytest.fixture(scope="session")
def sampled(folder: Path) -> tuple[list[Atoms], list[RecipeCount]]:
    """Return all frames of `SETTINGS` and the rows of the table."""
    return sample(asked(), [State(folder, seed=7)])


@pytest.fixture
def without_force_field(folder: Path, tmp_path: Path) -> Path:
    """Return a state folder of a liquid with xtb."""
    path = tmp_path / folder.name
    path.mkdir()
    for name in ("topology.json", "trajectory.dcd", "equilibration.json"):
        (path / name).write_bytes((folder / name).read_bytes())
    return path
