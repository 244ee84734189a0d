"""Equilibrium frames of what a model of the round before made of the liquid: which model's, and where its runs are."""

import math

from ionmelt.dynamics.record import RunRecord
from ionmelt.study.reading import Problems
from ionmelt.study.round_before import Before
from ionmelt.study.rows import FileRow
from ionmelt.study.schema import Study

FIELD = ("sampling", "eq", "refine")
ROLE = ".".join(FIELD)  # and the state: what a run is named for in files.csv (modules/labelled.nf)


def check_refinement(study: Study, before: Before, problems: Problems) -> None:
    """Judge whether the runs of the round before are what the equilibrium frames of this one can be taken from."""
    assert study.sampling is not None and study.sampling.eq is not None
    rounds = study.sampling.eq.refine
    if before.round > rounds:
        text = f"{rounds}: --previous {before.folder} is of round {before.round - 1} already: give {before.round}, or more, to go on"
        problems.add(FIELD, text)
    elif not refining_runs(study, before):
        text = f"--previous {before.folder}: no trained model ran to the end at constant pressure in the first box of every liquid and temperature"
        problems.add(FIELD, f"{text}: train on more frames, or give md.models and shorter runs")


def refining_runs(study: Study, before: Before) -> list[RunRecord]:
    """Return the runs at constant pressure that equilibrium frames are taken from, one for each liquid and temperature; none where there are none.

    They are of one trained model: of those whose runs all reached their end, the one with the least force errors on test frames; the
    round that follows has others.
    """
    if not study.refines or not before.cards:
        return []
    wanted = [(liquid.id, kelvin) for liquid in study.liquids for kelvin in liquid.temperatures_K]
    whole = {
        (run.model_key, run.liquid, run.temperature_K): run
        for run in before.runs
        if run.dataset is not None and run.replica == 1 and run.npt_survived_ps >= run.npt_planned_ps
    }
    keys = {key for key, _, _ in whole}
    complete = [key for key in keys if all((key, *state) in whole for state in wanted)]
    if not complete:
        return []
    best = min(complete, key=lambda key: (before.force_errors.get(key, math.inf), key))
    return [whole[best, *state] for state in wanted]


def files_of_refinement(study: Study, before: Before) -> list[FileRow]:
    """Return the rows of files.csv for the runs that equilibrium frames are taken from."""
    runs = refining_runs(study, before)
    return [FileRow(f"{ROLE} {run.liquid} {run.temperature_K:g}", run.liquid, before.trajectory(run)) for run in runs]
