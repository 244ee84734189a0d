"""What the study asked."""

from collections.abc import Sequence

import polars as pl

from ionmelt.dataset.settings import kinds_of
from ionmelt.labels.engines import ENGINES
from ionmelt.mistakes import listed
from ionmelt.report.results import Results
from ionmelt.report.words import Row

# As their authors write them
FRAMEWORKS = {
    "mace": "MACE",
    "deepmd": "DeePMD",
    "nequip": "NequIP",
    "classical": "classical force field",
    "xtb": "xTB",
}
CONCENTRATIONS = {"mole_fraction": "mole fractions", "molality": "molality (mol/kg)", "molarity": "molarity (mol/L)"}


def framework(model: Row) -> str:
    """Say what kind of model one of the study is: its framework, or the name of a model that has one."""
    return str(model.get("model") or FRAMEWORKS.get(model["framework"], model["framework"]))


def members(liquid: Row, results: Results) -> str:
    """Say what a liquid is made of: numbers of its box, or concentrations."""
    given = liquid.get("composition")
    if not given:
        counts = (liquid["ions"] | (liquid.get("molecules") or {})).items()
        return ", ".join(f"{n if isinstance(n, int) else n['count']} {results.names.ion(name)}" for name, n in counts)
    parts = [
        f"{words} of {', '.join(f'{results.names.ion(name)} {amount:g}' for name, amount in given[kind].items())}"
        for kind, words in CONCENTRATIONS.items()
        if given.get(kind)
    ]
    solvent = [f"{results.names.ion(name)} {amount:g}" for name, amount in (given.get("solvent") or {}).items()]
    parts += [f"in {', '.join(solvent)} by {given['solvent_parts']}"] if solvent else []
    return f"{' '.join(parts)}; about {given['atoms']} atoms"


def longer_runs(results: Results) -> str:
    """Say which models ran how much longer than the others, as the method of the labels may; empty where none did."""
    md, runs = results.study.get("md") or {}, results.tables["survival"]
    times = md.get("truth_times") or 1.0
    longer = runs.filter(pl.col("planned_ps") > 1.001 * (md.get("npt_ps", 0.0) + md.get("nvt_ps", 0.0)))
    names = [model["id"] for model in results.study.get("models") or [] if model["id"] in set(longer["model"])]
    return f"{listed(names)} ran {times:g} times as long" if names and times > 1 else ""


def heavy_hydrogens(md: Row) -> str:
    """Say which mass bonded hydrogens had, where it is not their own; empty where it is."""
    mass_u = md.get("hydrogen_mass_u")
    return f"bonded hydrogens of {mass_u:g} u, taken from their heavy atoms" if mass_u else ""


def asked(results: Results) -> list[tuple[str, str]]:
    """Return (heading, words): what the study asked."""
    study = results.study
    md = study.get("md") or {}
    liquids = []
    for x in study.get("liquids", []):
        liquids.append(
            f"{results.names.liquid(x['id'])} ({members(x, results)}) at {listed([f'{t:g}' for t in x['temperatures_K']])}\u00a0K"
        )
    rows = [("Liquids" if len(liquids) > 1 else "Liquid", "; ".join(liquids))]
    rows.append(
        (
            "Models",
            ", ".join(f"{m['id']} ({framework(m)})" for m in study.get("models", [])),
        )
    )
    rows.append(("Labels", theory(results.labels)))
    if {"npt_ps", "nvt_ps"} <= md.keys():
        rows.append(
            (
                "Dynamics",
                f"{md['npt_ps']:g} ps at constant pressure and {md['nvt_ps']:g} ps at constant volume, "
                f"{md.get('replicas', 1)} replica{'s' if md.get('replicas', 1) > 1 else ''}"
                + "".join(f"; {words}" for words in (longer_runs(results), heavy_hydrogens(md)) if words),
            )
        )
    return rows


def trained_on(study: Row) -> str:
    """Say what stands behind the names of trained models; empty where none is trained."""
    data = [f"{name} ({mixture_words(entries)})" for name, entries in (study.get("datasets") or {}).items()]
    if not data:
        return ""
    seeds = len(study.get("seeds") or [])
    return f"Trained on, behind a model's name: {', '.join(data)}; {seeds} seed{'s' if seeds > 1 else ''} each. {words_of_data(study)}"


def words_of_data(study: Row) -> str:
    """Say what the kinds of frames are, and the number behind a dataset's name where it was cut."""
    sizes = study.get("sizes") or []
    cut = f"; {listed([f'.{size}' for size in sizes])}: cut to so many frames" if sizes else ""
    return f"eq: frames of the liquid at equilibrium, neq: away from it{cut}."


def mixture_words(entries: Sequence[str]) -> str:
    """Say what a dataset is made of, and which liquids it leaves out."""
    kinds, left_out = kinds_of(entries)
    words = " + ".join(sorted(kinds, key=list(entries).index))
    return f"{words} without {', '.join(sorted(left_out))}" if left_out else words


def theory(labels: Row) -> str:
    """Name the level of theory of the labels; a semi-empirical one is called so."""
    if (engine := ENGINES.get(labels.get("engine", ""))) is not None:
        return engine.words(labels)
    return f"{labels['theory']} (labels brought by the user)" if labels.get("theory") else "no labels in this study"
