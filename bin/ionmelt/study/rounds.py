"""What a round does with the results of the one before, in active learning or where the equilibrium is refined."""

from ionmelt.frames.settings import ChooseSettings, ExploreSettings
from ionmelt.liquid.settings import Liquid
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.study.files import Plan
from ionmelt.study.keys import committees, seed_of
from ionmelt.study.reading import Problems
from ionmelt.study.refinement import FIELD, check_refinement
from ionmelt.study.round_before import Before
from ionmelt.study.rows import ChooseRow, ExploreRow, ModelRow
from ionmelt.study.schema import Study


def retrained(study: Study, before: Before) -> set[str]:
    """Return the keys of the models that go on from their weights of the round before: those that began from nothing.

    A framework that cannot tune weights begins from nothing in each round.
    """
    if not before.cards:
        return set()
    return {
        key
        for committee in committees(study)
        if committee.model.mode is None and "finetune" in FRAMEWORKS[committee.model.framework].modes
        for key in committee.members
    }


def check_before(study: Study, before: Before, problems: Problems) -> None:
    """Judge the results that a round goes on from."""
    if study.active is None and not study.refines:
        text = f"missing: --previous {before.folder} is for active learning; give active: {{frames: ...}}, or sampling.eq.refine: 1"
        problems.add(("active",), text)
        return
    if not before.cards:
        text = f"--previous {before.folder}: holds no models/*/model.json: give the results of a round that has ended"
        problems.add(("active",) if study.active else FIELD, text)
        return
    if study.refines:
        check_refinement(study, before, problems)
    for key in [key for committee in committees(study) for key in committee.members]:
        if key not in before.cards:
            problems.add(("active",), f"--previous {before.folder}: has no model {key}: is it of another study?")


def plan_rounds(plan: Plan, study: Study, models: list[ModelRow], before: Before) -> None:
    """Add the explorations of a round, and what is chosen of what they find."""
    rows: list[ExploreRow] = []
    choices: list[ChooseRow] = []
    by_key = {model.key: model for model in models}
    for liquid in study.liquids if study.active and before.round else ():
        assert study.active is not None
        name = f"{liquid.id}-active{before.round}"
        choices.append(ChooseRow(name, liquid.id))
        choice = ChooseSettings(id=name, liquid=liquid.id, frames=study.active.frames)
        plan.settings(f"choose/{name}.json", choice)
        for kelvin in liquid.temperatures_K:
            state = f"{liquid.id}-{kelvin:g}K-r1"
            for committee in committees(study):
                member = by_key[committee.members[0]]
                row = ExploreRow(
                    key=f"{state}-{committee.model.id}-{committee.dataset}",
                    liquid=liquid.id,
                    state=state,
                    dataset=committee.dataset,
                    members=" ".join(committee.members),
                    image=member.image,
                    environment=member.environment,
                )
                rows.append(row)
                settings = explore_settings(study, liquid, kelvin, row, committee.model.id, before.round)
                plan.settings(f"explore/{row.key}.json", settings)
    plan.csv("explore.csv", ExploreRow, rows)
    plan.csv("choose.csv", ChooseRow, choices)


def explore_settings(
    study: Study, liquid: Liquid, kelvin: float, row: ExploreRow, model: str, number: int
) -> ExploreSettings:
    """Return the settings of EXPLORE_LIQUID for one committee of a model at one temperature; `number` is that of the round."""
    assert study.active is not None
    return ExploreSettings(
        **study.active.model_dump(exclude={"seed"}),
        timestep_fs=study.md.timestep_fs,
        thermostat_fs=study.md.thermostat_fs,
        barostat_fs=study.md.barostat_fs,
        engine=study.md.engine,
        liquid=liquid.id,
        temperature_K=kelvin,
        pressure_bar=liquid.pressure_bar,
        id=row.key,
        model=model,
        dataset=row.dataset,
        seed=(study.active.seed + seed_of(row.key)) % 2**31,
        round=number,
    )
