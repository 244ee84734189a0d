"""Learning curves: what a training took is told in the hours of where it ran."""

import polars as pl
import pytest

from ionmelt.models.card import Card, Cost
from ionmelt.report.results import Results
from ionmelt.report.sections.learning import figure_compute
from ionmelt.tables.training import CURVES

DEVICES = {
    "cpu": Cost(wall_s=50.0, cpu_s=100.0, device="cpu"),
    "gpu": Cost(wall_s=20.0, cpu_s=25.0, device="cuda"),
}


@pytest.mark.parametrize(
    ("models", "ends", "title"),
    [
        (("cpu",), [100.0], "training (core-s)"),
        (("gpu",), [20.0], "training (GPU-s)"),
        (("cpu", "gpu"), [100.0, 20.0], "training (core-s or GPU-s)"),
    ],
)
def test_time_on_an_accelerator_is_not_called_that_of_a_core(
    models: tuple[str, ...], ends: list[float], title: str
) -> None:
    cards = [
        Card(id=f"{model}-eq-s1", model=model, framework="mace", files={}, dataset="eq", seed=1, cost=DEVICES[model])
        for model in models
    ]
    rows = [
        {"model_key": card.id, "model": card.model, "dataset": "eq", "seed": 1, "framework": "mace", "step": step, "set": "valid",
         "quantity": "force_rmse", "value": 1.0 / step, "unit": "eV/A"}
        for card in cards for step in (10, 20, 40)
    ]  # fmt: skip
    nothing = pl.DataFrame(schema={"model": pl.String, "dataset": pl.String})
    t = {"curves": pl.DataFrame(rows, schema=CURVES)} | dict.fromkeys(("summary", "survival", "errors"), nothing)
    study = {"models": [{"id": model} for model in models], "datasets": {"eq": ["eq"]}}
    figure = figure_compute(Results(t, study, {}, cards=cards))
    assert figure is not None and figure.layout.xaxis.title.text == title
    for line, end in zip(figure.data, ends, strict=True):
        assert list(line.x) == [end / 4, end / 2, end]
        assert ("GPU-s" in line.hovertemplate) is (end == 20.0)
