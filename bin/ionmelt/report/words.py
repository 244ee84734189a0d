"""Numbers, names and sentences of the report, made from the gathered tables only."""

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from ionmelt.compare import errors
from ionmelt.compare import groups as compare_groups
from ionmelt.compare import summary as ils
from ionmelt.frame import kinds_of
from ionmelt.measure.observables import OBSERVABLES
from ionmelt.theory import ENGINES, two_levels

Tables = dict[str, pl.DataFrame]
Row = dict[str, Any]

# factor and unit in which a quantity is shown
UNITS = {
    "eV/A": (1e3, "meV/Å"),
    "eV/atom": (1e3, "meV/atom"), "eV": (1e3, "meV"),
    "eV/A^3": (1e3, "meV/Å³"), "eV/A3": (1e3, "meV/Å³"),
} | {observable.unit: observable.shown for observable in OBSERVABLES}  # fmt: skip
NAMES = {
    "force_rmse": "Force error",
    "scan_energy_rmse": "Volume-scan energy error", "density_error": "Density error", "diffusion_error": "Diffusion error",
    "survival": "Share of runs that broke", "energy_per_atom": "energy per atom", "force": "force",
    "force_translation": "force, translation of whole ions (inter)",
    "force_rotation": "force, rotation of whole ions (inter)", "force_vibration": "force, vibration (intra)",
    "molecular_pressure": "molecular pressure (inter)", "stress": "stress",
} | {observable.name: observable.title for observable in OBSERVABLES}  # fmt: skip


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with so many significant digits, a true minus sign, and a dash for nothing."""
    if value is None or not math.isfinite(value):
        return "–"
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    places = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    groups = "," if abs(value) >= 1e4 else ""
    return f"{value:{groups}.{min(places, 6)}f}".replace("-", "−").replace(",", "\u202f")


def rounded(values: Sequence[float | None], scale: float) -> list[str]:
    """Write numbers with the decimals that suit an uncertainty of ``scale`` (two significant digits)."""
    places = 3
    if scale > 0 and math.isfinite(scale):
        places = min(8, max(0, 1 - math.floor(math.log10(scale))))
    return ["–" if v is None else f"{v:.{places}f}".replace("-", "−") for v in values]


def measured(row: Row) -> str:
    """Write value ± half of the 95 % interval with its unit, or why there is none."""
    factor, unit = UNITS.get(row["unit"], (1.0, row["unit"]))
    if row["value"] is None:
        return "no value"
    if row["ci95_low"] is None:
        return f"{number(row['value'] * factor)} {'× ' if unit.startswith('10') else ''}{unit} (no error bar)"
    half = factor * (row["ci95_high"] - row["ci95_low"]) / 2
    value, error = rounded([row["value"] * factor, half], half)
    return f"({value} ± {error}) × {unit}" if unit.startswith("10") else f"{value} ± {error} {unit}"


def interval(row: Row, value: str, low: str, high: str) -> str:
    """Write value [low, high] in the unit shown to the reader."""
    factor, unit = UNITS.get(row["unit"], (1.0, row["unit"] or ""))
    if row[value] is None:
        return "–"
    if row[low] is None:
        return f"{number(row[value] * factor)} {'× ' if unit.startswith('10') else ''}{unit} (no interval)"
    v, a, b = (row[c] * factor for c in (value, low, high))
    words = rounded([v, a, b], max((b - a) / 2, 1e-12))
    return f"{words[0]} [{words[1]}, {words[2]}] {'× ' if unit.startswith('10') else ''}{unit}"


def seen_ends(v: Row) -> tuple[str, str]:
    """Return the columns of the interval that a verdict rests on: the corrected one, where there was a test."""
    return ("ci95_low", "ci95_high") if v["holm_low"] is None else ("holm_low", "holm_high")


def difference(v: Row) -> str:
    """Write the difference of a verdict with the interval that the verdict rests on."""
    return interval(v, "difference", *seen_ends(v))


def off_by(v: Row, r: Row) -> str:
    """Write how far a summary row is off its reference, as the verdict on the two has it."""
    return f"off by {difference(v)}" + (
        " once corrected for the size of the box" if r.get("finite_size_correction") else ""
    )


def p_value(p: float | None) -> str:
    """Write a p-value, a dash for none."""
    return "–" if p is None else "< 0.001" if p < 0.001 else number(p, 2)


def theory(labels: Row) -> str:
    """Name the level of theory of the labels; a semi-empirical one is called so."""
    engine = labels.get("engine")
    if engine == "xtb":
        return f"{labels.get('method', 'xTB')} (semi-empirical tight binding, not DFT)"
    if engine in ENGINES:
        parts = [labels.get("functional"), labels.get("dispersion"), labels.get("basis")]
        name = "-".join(str(p) for p in parts[:2] if p and p != "none")
        return f"{name} / {parts[2]} ({ENGINES[engine]})"
    return f"{labels['theory']} (labels brought by the user)" if labels.get("theory") else "no labels in this study"


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def state_name(row: Row) -> str:
    """Name liquid, temperature and species of a row."""
    parts = [row["liquid"] or ""]
    if row["temperature_K"] is not None:
        parts.append(f"{row['temperature_K']:g}\u00a0K")
    if row.get("species"):
        parts.append(row["species"])
    return ", ".join(parts)


def asked(extra: Row) -> list[tuple[str, str]]:
    """Return (heading, words): what the study asked."""
    study = extra["study"]
    md = study.get("md") or {}
    found = []
    for x in study.get("liquids", []):
        ions = ", ".join(f"{n if isinstance(n, int) else n['count']} {name}" for name, n in x["ions"].items())
        found.append(f"{x['id']} ({ions}) at {listed([f'{t:g}' for t in x['temperatures_K']])}\u00a0K")
    rows = [("Liquids" if len(found) > 1 else "Liquid", "; ".join(found))]
    rows.append(("Models", ", ".join(f"{m['id']} ({m['framework']})" for m in study.get("models", []))))
    data = [f"{name} ({mixture_words(entries)})" for name, entries in (study.get("datasets") or {}).items()]
    if data:
        seeds = len(study.get("seeds") or [])
        rows.append(("Trained on", f"{', '.join(data)}; {seeds} seed{'s' if seeds > 1 else ''} each"))
    rows.append(("Labels", theory(extra["labels"])))
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


def in_short(t: Tables, extra: Row) -> list[tuple[str, list[str]]]:
    """Return (heading, sentences): what the tables support, and what they do not, in plain words."""
    found: list[tuple[str, list[str]]] = []
    longest = max(t["survival"]["planned_ps"].drop_nulls().to_list(), default=None)
    caveats = []
    if longest is not None and longest < 100:
        caveats.append(f"the runs are short ({longest:g} ps each), so this shows the method, not the liquid")
    if extra["labels"].get("engine") == "xtb":
        caveats.append("the labels are semi-empirical (xTB): the models imitate that, not DFT")
    second = t["references"].filter(pl.col("second_hand"))
    for dated, words in (
        (True, "is second-hand"),
        (False, "is second-hand and without a temperature: not used"),
    ):
        names = second.filter(pl.col("temperature_K").is_not_null() == dated)["liquid"].unique().sort().to_list()
        if names:
            caveats.append(f"a reference of {listed(names)} {words}")
    other = extra["models"].filter(~pl.col("same_theory")).unique("model", keep="first", maintain_order=True)
    levels = [two_levels(m["model"], m["theory"], m["labels_theory"]) for m in other.to_dicts()]
    care = [sentence("; ".join(caveats))] * bool(caveats) + [sentence(x) for x in levels]
    if care := care + equilibration_sentences(t["equilibration"], t["labels"], t["survival"]):
        found.append(("Read with care", care))
    for quantity in ils.LIQUID_UNITS:
        rows = t["summary"].filter(pl.col("property") == quantity).to_dicts()
        if rows:
            found.append((NAMES[quantity], liquid_sentence(rows, t["verdicts"], quantity)))
    for quantity in ("force_rmse", "scan_energy_rmse"):
        rows = t["summary"].filter(pl.col("property") == quantity).sort("value").to_dicts()
        rows = [r for r in rows if r["model"] not in labellers(extra)]
        if rows:
            found.append((NAMES[quantity], error_sentence(rows, t["verdicts"], quantity)))
    if t["forgetting"].height:
        found.append(("What tuning kept", [forgetting_sentence(r) for r in t["forgetting"].to_dicts()]))
    runs = t["survival"]
    if runs.height:
        done = runs.filter(pl.col("end") == "completed").height
        text = f"{done} of {runs.height} planned runs reached the end."
        broken = runs.filter(pl.col("end") != "completed").sort("model_key", "run_id").to_dicts()
        ended = [f"{r['run_id']} ({r['end']}{at_time(r)})" for r in broken[:3]]
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        found.append(("Survival", [text + (f" Not: {', '.join(ended)}{more}." if broken else "")]))
    if lines := domain_sentences(t["domain"]):
        found.append(("Beyond the training data", lines))
    return found


def equilibration_sentences(states: pl.DataFrame, labels: pl.DataFrame, runs: pl.DataFrame) -> list[str]:
    """Say which liquids are not equilibrated and what comes from them; nothing where all are."""
    poor = states.filter(~pl.col("converged").fill_null(False)).sort("key").to_dicts()
    if not poor:
        return []
    named = [f"{r['key']} ({r['reason'] or 'no reason given'})" for r in poor[:3]]
    more = f" and {len(poor) - 3} more" if len(poor) > 3 else ""
    frames, started = (table.filter(~pl.col("equilibrated")).height for table in (labels, runs))
    parts = [f"{n} {what}" for n, what in ((frames, "labelled frames of kind eq"), (started, "runs")) if n]
    text = f"{len(poor)} of {states.height} liquids are not equilibrated: {', '.join(named)}{more}"
    come = (
        f"; {listed(parts)} come from them, and what these say may be of a liquid that still changes" if parts else ""
    )
    return [f"{text}{come}."]


def domain_sentences(domain: pl.DataFrame) -> list[str]:
    """Say which runs left what their model was trained on, in what, and of how many runs that could be told."""
    judged = domain.filter(pl.col("verdict") != "not judged")
    if not judged.height:
        return []
    runs = judged["run_id"].n_unique()
    left = judged.filter(pl.col("verdict") != "inside").sort("share_outside", "run_id", descending=[True, False])
    if not left.height:
        return [f"None of the {runs} runs of trained models left what its model was trained on."]
    parts = []
    for quantity in ("density", "temperature", "composition", "surroundings"):
        rows = left.filter(pl.col("quantity") == quantity).to_dicts()
        if rows:
            worst = f"{rows[0]['run_id']} with {rows[0]['share_outside']:.0%} of its frames"
            name = "surroundings of the atoms" if quantity == "surroundings" else quantity
            parts.append(f"{len(rows)} in {name} ({'most of all ' if len(rows) > 1 else ''}{worst})")
    text = f"{left['run_id'].n_unique()} of {runs} runs of trained models left what their model was trained on: "
    return [text + "; ".join(parts) + ". What they measured there is extrapolation."]


def forgetting_sentence(r: Row) -> str:
    """Say whether a tuned model still knows the chemistry of the held-out frames, and by how much its error changed."""
    if r["force_rmse_before"] is None:
        return f"{r['model_key']}: nothing can be said of the held-out frames: {r['reason']}."
    before, after = (number(r[f"force_rmse_{x}"] * 1000) for x in ("before", "after"))
    change = f"{before} to {after} meV/Å on {r['frames']} held-out frames ({r['groups']} groups)"
    if r["verdict"] == "not judged":
        return f"{r['model_key']}: force error from {change}; {r['reason']}."
    ends = [number(r[c] * 1000) for c in ("difference", "ci95_low", "ci95_high")]
    change += f", a change of {ends[0]} [{ends[1]}, {ends[2]}] meV/Å"
    words = {
        "lost": "has lost some of what it knew: its force error on other chemistry went from",
        "gained": "got better at other chemistry too: its force error went from",
        "not distinguishable": "kept what it knew, as far as can be told: its force error went from",
    }
    return f"{r['model_key']} {words[r['verdict']]} {change}."


def labellers(extra: Row) -> list[str]:
    """Return the models that are the very method of the labels: their error is 0 by construction."""
    labels = extra["labels"]
    return [
        m["id"]
        for m in extra["study"].get("models", [])
        if m["framework"] == "xtb" and labels.get("engine") == "xtb" and m.get("method") == labels.get("method")
    ]


def at_time(run: Row) -> str:
    """Say when a run ended, where it ran at all."""
    return f" at {run['survived_ps']:g} ps" if run["survived_ps"] is not None else ""


def sentence(text: str) -> str:
    """Return the text as a sentence."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def liquid_sentence(rows: list[Row], verdicts: pl.DataFrame, quantity: str) -> list[str]:
    """Say which models are off the reference, which are not told from it, and for how many nothing can be said."""
    verdicts = verdicts.filter(pl.col("property") == quantity)
    good = [r for r in rows if r["converged"]]
    if not good:
        return [
            f"No verdict: none of the {len(rows)} values is converged. Hollow points below show what was "
            "measured, for orientation only."
        ]
    texts = []
    for state in dict.fromkeys(state_name(r) for r in good):
        here = [r for r in good if state_name(r) == state]
        against = {
            v["model_a"]: v for v in verdicts.to_dicts() if v["model_b"] == "reference" and state_name(v) == state
        }
        parts = against_reference(here, against) if against else [range_of(here)]
        poor = [
            compare_groups.label(r["model"], r["dataset"])
            for r in rows
            if state_name(r) == state and not r["converged"]
        ]
        parts += [f"not converged: {listed(poor)}"] if poor else []
        texts.append(f"{state}: {'; '.join(parts)}.")
    shown = texts[:4] + ([f"{len(texts) - 4} more states are in the tables."] if len(texts) > 4 else [])
    pairs = verdicts.filter(pl.col("model_b") != "reference")
    counts = {
        v: pairs.filter(pl.col("verdict").is_in(w)).height
        for v, w in (
            ("with a winner", ["a", "b"]),
            ("different, without a winner", ["differs"]),
            ("not distinguishable", ["not distinguishable"]),
            ("not converged", ["not converged"]),
        )
    }
    tail = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    return shown + ([f"Model against model, {pairs.height} pairs: {tail}."] if tail else [])


def against_reference(rows: list[Row], against: dict[str, Row]) -> list[str]:
    """Say which of the models are off the reference of one state, and which cannot be told from it, with how far off they may be.

    A difference that the test does not find is no agreement: the interval is said with it.
    """
    level, off, undecided = [], [], []
    for r in rows:
        name = compare_groups.label(r["model"], r["dataset"])
        v = against[name]
        if v["verdict"] == "differs":
            off.append(f"{name} is {off_by(v, r)}")
        elif v["verdict"] == "not distinguishable":
            level.append(f"{name} ({off_by(v, r)})")
        else:
            undecided.append(f"{name}: no verdict")
    factor, unit = UNITS[rows[0]["unit"]]
    kind = "second-hand reference" if rows[0]["reference_second_hand"] else "reference"
    reference = f"the {kind} ({number(rows[0]['reference'] * factor, 4)} {unit})"
    verb = "is" if len(level) == 1 else "are"
    first = [f"{listed(level)} {verb} not told from {reference}"] if level else []
    if off and not level and not undecided:
        first = [f"no model agrees with {reference}"]
    return [*(first or [f"against {reference}"]), *off, *undecided]


def range_of(rows: list[Row]) -> str:
    """Say from where to where the models' values go, when there is no reference."""
    low, high = min(rows, key=lambda r: r["value"]), max(rows, key=lambda r: r["value"])
    names = [compare_groups.label(r["model"], r["dataset"]) for r in (low, high)]
    if low is high:
        return f"{names[0]} gives {measured(low)}; there is no reference"
    return f"from {measured(low)} ({names[0]}) to {measured(high)} ({names[1]}); there is no reference"


def error_sentence(rows: list[Row], verdicts: pl.DataFrame, quantity: str) -> list[str]:
    """Say which model has the lowest error per liquid, from which others it can be told apart, and which failed to answer.

    A model that gave no answer on a part of the test is not ranked: the error of the rest is that of what it could do.
    Nor is one without an interval.
    """
    texts = []
    for liquid in dict.fromkeys(r["liquid"] for r in rows):
        here = [r for r in rows if r["liquid"] == liquid]
        lacking = [r for r in here if errors.lacks(r)]
        ranked = [r for r in here if r["converged"]]
        on = "" if liquid == "all" else f" on {liquid}"
        text = f"No verdict{on}: no error of a model that answered everything has an interval"
        if ranked:
            best = compare_groups.label(ranked[0]["model"], ranked[0]["dataset"])
            mine = verdicts.filter((pl.col("property") == quantity) & (pl.col("liquid") == liquid)).to_dicts()
            beaten = [v["model_b"] for v in mine if v["model_a"] == best and v["verdict"] == "a"]
            beaten += [v["model_a"] for v in mine if v["model_b"] == best and v["verdict"] == "b"]
            level = [v["model_b"] for v in mine if v["model_a"] == best and v["verdict"] == "not distinguishable"]
            level += [v["model_a"] for v in mine if v["model_b"] == best and v["verdict"] == "not distinguishable"]
            whole = " of those that answered everything" if lacking else ""
            text = f"{best} has the lowest error{on}{whole}, {measured(ranked[0])}"
            if beaten:
                text += f"; it is better than {listed(sorted(beaten))}"
            if level:
                text += f"; it cannot be told apart from {listed(sorted(level))}"
            if any(r["dataset"] is not None and r["runs"] == 1 for r in ranked):
                text += "; with one training seed this is said of these models, not of their kind"
        for r in lacking:
            name = compare_groups.label(r["model"], r["dataset"])
            rest = "" if r["value"] is None else f", and {measured(r)} on the rest, which is no comparison"
            text += f"; {name} gave {listed(errors.lacks(r))}{rest}"
        texts.append(text + ".")
    return texts[:4]


def verdict_words(v: Row) -> str:
    """Say one verdict in plain words."""
    a, b = v["model_a"], v["model_b"]
    if v["verdict"] in ("a", "b"):
        winner, loser = (a, b) if v["verdict"] == "a" else (b, a)
        better = "has the lower error than" if v["property"].endswith("rmse") else "is closer to the reference than"
        return f"{winner} {better} {loser}"
    if v["verdict"] == "differs":
        return f"{a} is off the reference" if b == "reference" else f"{a} and {b} differ; neither wins"
    if v["verdict"] == "not distinguishable":
        return f"{a} is not told from the reference" if b == "reference" else f"{a} and {b}: no difference seen"
    return f"{a} against {b}: no verdict"
