"""What is wrong with active learning."""

import pytest
from planned_studies import Planned, Study, learning


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"seeds": [1]}, "seeds: 1 is no committee: active needs two at least, such as [1, 2, 3]"),
        ({"datasets": {"both": ["eq", "neq"], "al": ["eq"]}}, "active: no dataset takes its frames: give one such as {al: [eq, active]}"),
        ({"datasets": {"al": ["active"], "both": ["eq", "active"]}}, "datasets.al: the first round has no active frames: give eq or neq beside active"),
        ({"active": None}, "datasets.al[1]: no active frames are sampled: give active, or leave 'active' out"),
        ({"active": {"npt_ps": 0, "ramp_ps": 0, "swing_ps": 0}}, "active.npt_ps: 0, as ramp_ps and swing_ps are: give one of the three a length"),
        ({"active": {"every_fs": 0.7}}, "active.every_fs: 0.7 is not a multiple of md.timestep_fs 0.5"),
        ({"active": {"every_fs": 20, "npt_ps": 0.01}}, "active.npt_ps: 0.01 ps is shorter than every_fs 20"),
        ({"active": {"swing_amplitude": 6}}, "active.swing_amplitude: 6 is above 0.2"),
    ],
)  # fmt: skip
def test_active_learning_that_cannot_be(planned: Planned, fields: Study, line: str) -> None:
    content = learning(**fields)
    if fields.get("active", 1) is None:
        del content["active"]
    assert planned(content) == (2, [line])
