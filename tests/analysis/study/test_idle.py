"""What a study gives and nothing uses is said; what is used is not."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from planned_studies import Planned, Spoil, Study, demo, md, model, study

WEIGHTS = {"weights": "w.model", "licence": "MIT", "theory": "GFN1-xTB"}
CLASSICAL = {"models": [{"id": "clp", "framework": "classical"}]}


def with_weights(**fields: Any) -> Spoil:
    """Return what makes the first model one of some weights, with nothing of a net or a training but these fields."""

    def spoil(content: Study) -> None:
        Path("w.model").write_bytes(b"weights")
        fields_of_weights = (
            {"id": "mace", "framework": "mace", "sha256": hashlib.sha256(b"weights").hexdigest()} | WEIGHTS | fields
        )
        content["models"][0] = fields_of_weights

    return spoil


def warned(planned: Planned, spoil: Spoil) -> list[str]:
    content = demo()
    spoil(content)
    assert planned(content) == (0, [])
    lines = Path("plan/warnings.txt").read_text().splitlines()
    return [line for line in lines if "not used" in line or "bring their own" in line]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (study(**CLASSICAL, training={"core_minutes": 5}), ["datasets: are not used", "training: is not used", "seeds: are not used"]),
        (study(**CLASSICAL, sizes=[5], seeds=[1]), ["datasets: are not used", "sizes: is not used"]),
        (lambda s: (model(0, datasets=["eq"])(s), model(1, datasets=["eq"])(s)), ["datasets.both: is not used"]),
        (md(truth_times=10), ["md.truth_times: 10: is not used"]),
        (lambda s: (s["models"].pop(), md(engine="openmm")(s)), ["md.engine: openmm: is not used: it is for classical, and"]),
        (lambda s: (md(nvt_ps=0)(s), study(margins={"density_percent": 1, "viscosity_percent": 10})(s)), ["margins.viscosity_percent: is not"]),
        (with_weights(mode="zero-shot", epochs=50, batch_size=2), ["models[0]: epochs and batch_size: not used"]),
        (with_weights(mode="finetune", channels=64, epochs=50), ["models[0]: channels: the weights bring their own"]),
    ],
)  # fmt: skip
def test_what_nothing_uses_is_said(planned: Planned, spoil: Spoil, said: list[str]) -> None:
    lines = warned(planned, spoil)
    assert len(lines) == len(said), lines
    for line in said:
        assert any(one.startswith(line) for one in lines), lines


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: None,
        study(training={"trials": 2}),
        lambda s: (s["models"].pop(0), study(labels={"engine": "classical"})(s), md(truth_times=10)(s)),
        md(engine="openmm"),
        md(engine="plain"),
        with_weights(mode="zero-shot", dtype="float64"),
        with_weights(mode="finetune", epochs=50),
    ],
)
def test_what_is_used_is_not(planned: Planned, spoil: Spoil) -> None:
    assert warned(planned, spoil) == []
