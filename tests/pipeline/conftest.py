"""Put tests/ on the path, and a copy of the project that the tests of the pipeline share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from runs import Pipeline, copy_project


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The copy that the whole session shares."""
    return Pipeline(copy_project(tmp_path_factory.mktemp("project") / "ionmelt"))


@pytest.fixture(scope="session")
def results(pipeline: Pipeline) -> Path:
    """One real run of the small study, from nothing."""
    pipeline.run("--study", "studies/test.yaml", "-with-dag")
    return pipeline.folder / "results"
