"""For a paper: a paragraph on the methods of the study, and what it has to cite."""

from pathlib import Path

import polars as pl
from markupsafe import Markup

from ionmelt.mistakes import listed
from ionmelt.report.blocks import Block, Folded, Note, Sentences
from ionmelt.report.citations import used
from ionmelt.report.results import Results
from ionmelt.report.sections.asked import asked, framework, heavy_hydrogens, longer_runs, theory

FORCE_FIELDS = {
    "clandp": "the CL&P force field",
    "openff": "CL&P and OPLS-AA where they have types, else OpenFF Sage, else UFF, with charges of NAGL or GFN2-xTB",
    "xtb": "GFN1-xTB",
}
STATISTICS = (
    "Densities have errors from their autocorrelation after the detected equilibration (Gamma method) or from blocks, whichever is larger; diffusion coefficients come from a "
    "covariance-aware fit to the displacements of the ions' centres of mass. Intervals are of 95 %; comparisons are paired by box "
    "where both models ran in it, and corrected by Holm's method."
)


def counted(number: int, noun: str) -> str:
    """Write a number of things."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def liquids_sentence(results: Results) -> str:
    """Say which liquids were simulated, and how their boxes came about."""
    study = results.study
    words = dict(asked(results))
    said = [f"The liquid was {words['Liquid']}." if "Liquid" in words else f"The liquids were {words['Liquids']}."]
    names = dict.fromkeys(liquid.get("force_field") for liquid in study.get("liquids") or [])
    fields = [FORCE_FIELDS.get(name, f"the force field {Path(name).name}") for name in names if name]
    given = study.get("equilibration") or {}
    if fields and {"anneal_K", "anneal_ps", "cool_ps", "settle_ps", "production_ps"} <= given.keys():
        said.append(
            f"Boxes were packed with Packmol and melted with {listed(fields)} ({given['anneal_ps']:g} ps at {given['anneal_K']:g} K, "
            f"cooled over {given['cool_ps']:g} ps; of the rest {given['settle_ps']:g} ps were discarded and "
            f"{given['production_ps']:g} ps kept)."
        )
    return " ".join(said)


def labels_sentence(results: Results) -> str:
    """Say what was labelled, by what, and how it was divided."""
    t = results.tables
    good = t["labels"].filter(pl.col("converged").fill_null(False))
    if not good.height:
        return "No frames were labelled."
    equilibrium = good.filter(pl.col("kind") == "eq").height
    said = f"{counted(good.height, 'frame')} {'were' if good.height != 1 else 'was'} labelled with {theory(results.labels)}, {equilibrium} of them from the liquid at equilibrium"
    failed = t["labels"].height - good.height
    said += f"; {counted(failed, 'label')} failed." if failed else "."
    tested = t["dataset"].filter(pl.col("split") == "test")["frame_id"].n_unique()
    return said + (f" Frames were split by trajectory; {tested} served as a test set of all models." if tested else "")


def models_sentence(results: Results) -> str:
    """Say which models were compared, and how they were trained."""
    study = results.study
    models = [f"{model['id']} ({framework(model)})" for model in study.get("models") or []]
    if not models:
        return ""
    seeds = len(study.get("seeds") or [])
    trained = (
        results.models.filter(pl.col("dataset").is_not_null()).height if "dataset" in results.models.columns else 0
    )
    return f"The models were {listed(models)}" + (
        f"; trained ones had {counted(seeds, 'seed')} each." if seeds and trained else "."
    )


def dynamics_sentence(results: Results) -> str:
    """Say how the models ran, where that is known."""
    md = results.study.get("md") or {}
    if not {"npt_ps", "nvt_ps", "timestep_fs", "replicas", "thermostat_fs", "barostat_fs"} <= md.keys():
        return ""
    boxes = "box" if md["replicas"] == 1 else f"{md['replicas']} boxes"
    integrators = " The classical model ran with OpenMM's own integrators." if md.get("engine") == "openmm" else ""
    volume = f", then stochastic velocity rescaling at the mean density for {md['nvt_ps']:g} ps" if md["nvt_ps"] else ""
    who = f"{listed(list(md['models']))} alone" if md.get("models") else "Every model"
    longer, heavy = longer_runs(results), heavy_hydrogens(md)
    apart = f" {longer}, since the others are held against it." if longer else ""
    masses = f", {heavy}" if heavy else ""
    return (
        f"{who} ran the same dynamics from the same {boxes} of each state: BAOAB Langevin dynamics with a "
        f"Langevin-Hoover barostat for {md['npt_ps']:g} ps{volume}; time step {md['timestep_fs']:g} fs, time constants "
        f"{md['thermostat_fs']:g} fs (thermostat) and {md['barostat_fs']:g} fs (barostat){masses}.{apart}{integrators}"
    )


def paragraph(results: Results) -> str:
    """Return the methods of the study, as a paper could have them."""
    sentences = [
        "The models were compared with Ionmelt.", liquids_sentence(results), labels_sentence(results), models_sentence(results),
        dynamics_sentence(results), STATISTICS,
    ]  # fmt: skip
    return " ".join(filter(None, sentences))


def blocks(results: Results) -> list[Block]:
    """Return the paragraph, and the works to cite with their addresses."""
    sources = results.tables["references"]["source"].drop_nulls().unique(maintain_order=True)
    works = Markup("<br>").join(
        Markup('{} <a href="{}">{}</a>').format(work.text, work.link, work.link.split("//")[1])
        if work.link
        else work.text
        for work in used(results.study, results.labels, sources)
    )
    words = "A paragraph to start from, and what to cite beside Ionmelt itself; versions, model cards and the study are below."
    return [
        Folded("For a paper: methods, and what to cite", [Note(words), Sentences([paragraph(results)]), Note(works)])
    ]
