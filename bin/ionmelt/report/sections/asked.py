"""What the study asked."""

from collections.abc import Sequence

from ionmelt.dataset.settings import kinds_of
from ionmelt.labels.engines import ENGINES
from ionmelt.report.results import Results
from ionmelt.report.words import Row, listed

# As their authors write them
FRAMEWORKS = {
    "mace": "MACE",
    "deepmd": "DeePMD",
    "nequip": "NequIP",
    "classical": "classical force field",
    "xtb": "xTB",
}


def asked(results: Results) -> list[tuple[str, str]]:
    """Return (heading, words): what the study asked."""
    study = results.study
    md = study.get("md") or {}
    liquids = []
    for x in study.get("liquids", []):
        ions = ", ".join(
            f"{n if isinstance(n, int) else n['count']} {results.names.ion(name)}"
            for name, n in (x["ions"] | (x.get("molecules") or {})).items()
        )
        liquids.append(
            f"{results.names.liquid(x['id'])} ({ions}) at {listed([f'{t:g}' for t in x['temperatures_K']])}\u00a0K"
        )
    rows = [("Liquids" if len(liquids) > 1 else "Liquid", "; ".join(liquids))]
    rows.append(
        (
            "Models",
            ", ".join(f"{m['id']} ({FRAMEWORKS.get(m['framework'], m['framework'])})" for m in study.get("models", [])),
        )
    )
    data = [f"{name} ({mixture_words(entries)})" for name, entries in (study.get("datasets") or {}).items()]
    if data:
        seeds = len(study.get("seeds") or [])
        rows.append(("Trained on", f"{', '.join(data)}; {seeds} seed{'s' if seeds > 1 else ''} each"))
    rows.append(("Labels", theory(results.labels)))
    if {"npt_ps", "nvt_ps"} <= md.keys():
        rows.append(
            (
                "Dynamics",
                f"{md['npt_ps']:g} ps at constant pressure and {md['nvt_ps']:g} ps at constant volume, "
                f"{md.get('replicas', 1)} replica{'s' if md.get('replicas', 1) > 1 else ''}",
            )
        )
    return rows


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
