"""The small study in containers against the same study in this machine's own environments.

Between the two lie other versions of Python, numpy and libm, so that numbers differ in their last bits. The classical
melt is chaotic: 18 ps later such a difference is another liquid. So both runs take the melt that the container made,
and all that follows is compared: what was sampled, labelled and split exactly, numbers within what 100 steps of
dynamics and 2 epochs of training make of a last bit.
"""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from runs import TABLES, TIMINGS, tables

# Everything but the melt in the environments of this machine.
HERE = """
process {
    withName: '!(PLAN_STUDY|BUILD_LIQUID|EQUILIBRATE)' {
        container    = null
        beforeScript = { ". '${projectDir}/containers/activate' ${task.ext.engine}" }
    }
}
"""
# Relative to the largest value of the column.
EXACT = 0.0
ROUNDING = 1e-9
TRAINED = 1e-3


@pytest.fixture(scope="module")
def runs(images, pipeline) -> tuple[Path, Path]:
    """The results in containers, and here."""
    arguments = ("-work-dir", "work", "--label_store", "none", "-resume")
    pipeline.run("-profile", "podman,test", "--outdir", "contained", *arguments)
    (pipeline.folder / "here.config").write_text(HERE)
    pipeline.run("-profile", "podman,test", "--outdir", "here", "-c", "here.config", *arguments)
    return pipeline.folder / "contained", pipeline.folder / "here"
