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
    """One real run of the small study, from nothing, killed in the middle and resumed."""
    arguments = ("--study", "studies/test.yaml", "-with-dag")
    pipeline.kill_in("TRAIN_MODEL", *arguments)
    pipeline.run(*arguments, "-resume")
    repeated = pipeline.executed()
    assert "TRAIN_MODEL" in repeated
    assert repeated.isdisjoint(
        {"PLAN_STUDY", "BUILD_LIQUID", "EQUILIBRATE", "SAMPLE_FRAMES", "LABEL_FRAMES", "SPLIT_DATASET"}
    )
    return pipeline.folder / "results"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with all that looks at the real run: it is the longest."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here and "results" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.budget(1500, hangs_s=2400))  # the run itself is some 350
    items.sort(key=lambda item: item.path.parent != here or "results" not in getattr(item, "fixturenames", ()))
