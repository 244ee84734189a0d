"""The small study in containers against the same study in this machine's own environments.

Between the two lie other versions of Python, numpy and libm, so that numbers differ in their last bits. The classical
melt is chaotic: 18 ps later such a difference is another liquid; and frames are written to 1e-6 A, where a last bit may
turn a digit and so a frame's id. So both runs take the melt and the frames that the containers made, and all that
follows is compared: which frames were labelled, how they were split, what ended how, exactly; numbers within what
each stage makes of a last bit.
"""

import sys

import numpy as np
import polars as pl
import pytest
from runs import TABLES, TIMINGS, tables

# From the labels on in the environments of this machine.
HERE = """
process {
    withName: '!(PLAN_STUDY|BUILD_LIQUID|EQUILIBRATE|SAMPLE_FRAMES)' {
        container    = null
        beforeScript = { ". '${projectDir}/containers/activate' ${task.ext.engine}" }
    }
}
"""

# Differences allowed, in units of the largest number of the column. The classical force field is summed in single
# precision; what is labelled, split and trained does not see it.
TOLERANCE = 1e-3
TOLERANCES = {"labels": 1e-9, "dataset": 0.0, "sampling": 0.0, "curves": 1e-6}


@pytest.fixture(scope="module")
def runs(images, pipeline) -> tuple[dict[str, pl.DataFrame], dict[str, pl.DataFrame]]:
    """The tables of the run in containers, and of the one here."""
    arguments = ("-work-dir", "work", "--label_store", "none", "-resume")
    pipeline.run("-profile", "podman,test", "--outdir", "contained", *arguments)
    (pipeline.folder / "here.config").write_text(HERE)
    pipeline.run("-profile", "podman,test", "--outdir", "here", "-c", "here.config", *arguments)
    executed = pipeline.executed("here")
    assert {"LABEL_FRAMES", "TRAIN_MODEL", "RUN_MD", "COMPARE_MODELS"} <= executed
    assert "EQUILIBRATE" not in executed
    return tables(pipeline.folder / "contained"), tables(pipeline.folder / "here")


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(TABLES) - {"versions"}))
def test_the_same_tables(runs, name: str) -> None:
    contained, here = (run[name] for run in runs)
    assert contained.shape == here.shape
    timings = TIMINGS | {"reason"} if name == "pareto" else TIMINGS
    for column in set(contained.columns) - timings:
        left, right = contained[column], here[column]
        if not left.dtype.is_float():
            assert left.to_list() == right.to_list(), column
            continue
        a, b = left.to_numpy(), right.to_numpy()
        largest = np.nanmax(np.abs(a), initial=0.0)
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCES.get(name, TOLERANCE) * largest, err_msg=column)


@pytest.mark.long
def test_what_ran_where(runs) -> None:
    """The two runs are two: each task says with which Python it ran."""
    for table, python in zip(runs, ("3.13.", None), strict=True):
        rows = table["versions"].filter(pl.col("library") == "python")
        late = rows.filter(~pl.col("process").is_in(["PLAN_STUDY", "BUILD_LIQUID", "EQUILIBRATE", "SAMPLE_FRAMES"]))
        expected = python or f"{sys.version_info.major}.{sys.version_info.minor}."
        assert late.height
        assert late["version"].str.starts_with(expected).all()
