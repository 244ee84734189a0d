"""What tasks left: a model that left nothing, and could say nothing, is a failure with a reason."""

from pathlib import Path

import polars as pl
import pytest

from ionmelt.compare.reading import ended_by_the_machine
from ionmelt.tables.columns import TEXT

MODELS = """\
key,model,framework,trained,imported,role
mace-eq-s1,mace,mace,true,false,model
mpa0,mpa0,mace,false,true,model
gfn1,gfn1,xtb,false,false,model
mace-start,mace-start,mace,false,true,start
"""
MADE = {"mace-eq-s1", "mpa0", "gfn1", "mace-start"}
SAID = pl.DataFrame(
    [("import", "mpa0", None, "no such head")],
    dict.fromkeys(("stage", "model_key", "run_id", "reason"), TEXT),
    orient="row",
)


@pytest.mark.parametrize(
    ("delivered", "evaluated", "said", "stages"),
    [
        (MADE, MADE, 0, {}),
        (MADE - {"mace-eq-s1"}, MADE, 0, {"mace-eq-s1": "training"}),
        (MADE - {"mpa0"}, MADE, 0, {"mpa0": "import"}),
        (MADE - {"mpa0"}, MADE, 1, {}),  # it has a reason of its own
        (MADE - {"gfn1", "mace-start"}, MADE, 0, {}),  # one is no work of a task, the other no model of the study
        (MADE, {"gfn1"}, 0, {"mace-eq-s1": "evaluation", "mpa0": "evaluation"}),
        (MADE, set(), 0, {}),  # nothing was labelled
    ],
)
def test_a_model_that_left_nothing_is_a_failure(
    delivered: set[str], evaluated: set[str], said: int, stages: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "models.csv").write_text(MODELS)
    lost = ended_by_the_machine(tmp_path, delivered, evaluated, SAID.head(said))
    assert dict(lost.select("model_key", "stage").iter_rows()) == stages
    assert lost["reason"].is_not_null().all()
    assert lost.schema == SAID.schema
