"""The tables of report.html, and the page put together from words, figures and tables."""

import json
from collections.abc import Callable

import numpy as np
import plotly.graph_objects as go
import polars as pl

from ionmelt.compare import groups as compare_groups
from ionmelt.compare import summary as ils
from ionmelt.frame import TEST_LEAST, kinds_of
from ionmelt.report import bill, picture, recommendation, trainings, worth_words
from ionmelt.report import figures as ilf
from ionmelt.report import page as report_page
from ionmelt.report import rounds as report_rounds
from ionmelt.report.words import (
    NAMES,
    UNITS,
    Row,
    Tables,
    asked,
    at_time,
    difference,
    domain_sentences,
    forgetting_sentence,
    in_short,
    interval,
    measured,
    number,
    p_value,
    rounded,
    state_name,
    theory,
    verdict_words,
)


def table_liquid(t: Tables, quantity: str, style: ilf.Style) -> Row:
    """Return the combined values of density or diffusion."""
    rows = t["summary"].filter(pl.col("property") == quantity).to_dicts()
    rows.sort(key=lambda r: (r["liquid"], r["temperature_K"], r["species"] or "", style.order(r)))
    body = []
    for r in rows:
        factor, unit = UNITS[r["unit"]]
        reference = "none"
        if r["reference"] is not None:
            reference = f"{number(r['reference'] * factor, 4)} {unit}"
            if r["reference_low"] is not None:
                reference += f" [{number(r['reference_low'] * factor, 4)}, {number(r['reference_high'] * factor, 4)}]"
            reference += " (second-hand)" if r["reference_second_hand"] else ""
        body.append(
            [
                state_name(r),
                compare_groups.label(r["model"], r["dataset"]),
                measured(r),
                reference,
                f"{r['runs']} of {r['planned_runs']}",
                "yes" if r["converged"] else "no",
                r["reason"] or "",
            ]
        )
    return {
        "head": ["state", "model", "value, 95 %", "reference", "runs used", "converged", "note"],
        "rows": body,
    }


def table_verdicts(t: Tables, quantity: str) -> Row:
    """Return the verdicts of one property, decided ones first."""
    rows = t["verdicts"].filter(pl.col("property") == quantity).to_dicts()
    rank = {"a": 0, "b": 0, "differs": 1, "not distinguishable": 2, "not converged": 3}
    rows.sort(key=lambda r: rank[r["verdict"]])
    body = [
        [
            state_name(v),
            verdict_words(v),
            f"{v['model_a']} − {v['model_b']}: {difference(v)}",
            p_value(v["p_holm"]),
            v["reason"] or "",
        ]
        for v in rows
    ]
    return {
        "head": ["state", "verdict", "first − second [95 %, corrected]", "p (Holm)", "why"],
        "rows": body,
    }


def table_errors(t: Tables, style: ilf.Style) -> Row:
    """Return RMSE with interval: quantities down, models across; training frames only as a whole."""
    known = t["errors"].filter(pl.col("rmse").is_not_null())
    errors = known.filter((pl.col("split") == "test") | (pl.col("split") == "train") & (pl.col("scope") == "all"))
    groups = style.groups(errors)
    quantities, scopes = list(NAMES), ["all", "liquid", "element", "ion", "kind", "recipe"]

    def place(key: Row) -> tuple:
        first = quantities.index(key["quantity"]) if key["quantity"] in quantities else len(quantities)
        return (
            first,
            scopes.index(key["scope"]) if key["scope"] in scopes else len(scopes),
            key["name"] or "",
            key["split"],
        )

    body = []
    for key in sorted(errors.select("quantity", "scope", "name", "unit", "split").unique().to_dicts(), key=place):
        factor, unit = UNITS.get(key["unit"], (1.0, key["unit"]))
        scope = f"all {key['split']} frames" if key["scope"] == "all" else f"{key['scope']} {key['name']}"
        line = [NAMES.get(key["quantity"], key["quantity"]), scope, unit]
        for _, _, part in groups:
            cell = part.filter(*(pl.col(c).eq_missing(pl.lit(v, pl.String)) for c, v in key.items()))
            words = "–"
            if cell.height:
                rmse, low, high = (cell[c].mean() for c in ("rmse", "rmse_ci95_low", "rmse_ci95_high"))
                ends = " (no interval)" if low is None else f" [{number(low * factor)}, {number(high * factor)}]"
                words = number(rmse * factor) + ends + missing_words(cell)
            line.append(words)
        body.append(line)
    return {"head": ["quantity", "scope", "unit", *(name for _, name, _ in groups)], "rows": body}


# What tells one number of a table from another, and the columns whose words name it.
NUMBERS = {
    "coordination": ["quantity", "pair", "state"],
    "conformers": ["species", "feature", "quantity", "state"],
    "kinetics": ["quantity", "pair", "state_from", "state_to"],
}


def table_transfer(t: Tables, extra: Row, style: ilf.Style) -> Row:
    """Return the force errors on liquids that a dataset leaves out, beside those of models trained on them too."""
    datasets = extra["study"].get("datasets") or {}
    whole = {frozenset(kinds_of(entries)[0]): name for name, entries in datasets.items() if not kinds_of(entries)[1]}
    errors = t["errors"].filter(
        (pl.col("split") == "test") & (pl.col("quantity") == "force") & (pl.col("scope") == "liquid")
    )
    body = []
    for name, entries in datasets.items():
        kinds, left_out = kinds_of(entries)
        base = whole.get(frozenset(kinds))
        for liquid in sorted(left_out):
            here = errors.filter(pl.col("name") == liquid)
            for key, _, part in style.groups(here.filter(pl.col("dataset") == name)):
                with_it = here.filter(pl.col("model") == key["model"], pl.col("dataset") == (base or ""))
                cells = [rmse_words(rows) for rows in (part, with_it)]
                ratio = f"{mean_rmse(part) / mean_rmse(with_it):.2f}" if with_it.height else "–"
                body.append([compare_groups.label(key["model"], name), liquid, *cells, ratio])
    return {"head": ["model", "liquid left out", "force error without it", "trained on it too", "ratio"], "rows": body}


def table_leakage(t: Tables, extra: Row, style: ilf.Style) -> Row:
    """Return the force errors that a random split would show beside those on trajectories never trained on, by recipe."""
    datasets = extra["study"].get("datasets") or {}
    kinds = dict(t["dataset"].select("recipe", "kind").unique().iter_rows())
    errors = t["errors"].filter(
        (pl.col("quantity") == "force") & (pl.col("scope") == "recipe") & pl.col("rmse").is_not_null()
    )
    body = []
    for key, name, part in style.groups(errors.filter(pl.col("split") == "near")):
        entries = datasets.get(extra["cuts"].get(key["dataset"], key["dataset"]), ())
        for (recipe,), near in part.sort("name").group_by("name", maintain_order=True):
            if kinds.get(recipe) not in entries:  # of other trajectories than this model's
                continue
            test = errors.filter(
                pl.col("split") == "test", pl.col("name") == recipe,
                pl.col("model") == key["model"], pl.col("dataset") == key["dataset"],
            )  # fmt: skip
            ratio = f"{mean_rmse(test) / mean_rmse(near):.2f}" if test.height else "–"
            body.append([name, recipe, rmse_words(near), rmse_words(test) if test.height else "none tested", ratio])
    return {"head": ["model", "recipe", "random split", "split by trajectory", "ratio"], "rows": body}


def rmse_words(rows: pl.DataFrame) -> str:
    """Return the mean RMSE of some seeds with the range of their 95 % intervals."""
    if not rows.height:
        return "no such model"
    factor, unit = UNITS[rows["unit"][0]]
    scaled = (
        rows.select(pl.col("rmse", "rmse_ci95_low", "rmse_ci95_high") * factor).drop_nulls().to_dict(as_series=False)
    )
    if not scaled["rmse"]:
        return f"{number(mean_rmse(rows) * factor)} (no interval) {unit}{missing_words(rows)}"
    low, high = min(scaled["rmse_ci95_low"]), max(scaled["rmse_ci95_high"])
    return f"{number(mean_rmse(rows) * factor)} [{number(low)}, {number(high)}] {unit}{missing_words(rows)}"


def missing_words(rows: pl.DataFrame) -> str:
    """Say of errors on how many frames there was no answer, where there are such."""
    if "frames_missing" not in rows.columns:
        return ""
    frames, missing = max(rows.select("frames", "frames_missing").fill_null(0).iter_rows(), key=lambda r: r[1])
    return f" (no answer on {missing} of {missing + frames} frames)" if missing else ""


def mean_rmse(rows: pl.DataFrame) -> float:
    """Return the mean RMSE of some seeds."""
    return float(np.mean(rows["rmse"].to_numpy()))


def table_uncertainty(t: Tables, style: ilf.Style) -> Row:
    """Return what the spread of each committee is worth: scale, coverage with its interval, or why it cannot be told."""
    body = []
    for _, name, part in style.groups(t["uncertainty"]):
        whys = part["reason"].unique().to_list()
        if len(whys) == 1 and whys[0]:  # such as one seed: one line says it
            r = part.row(0, named=True)
            body.append([name, "all", str(r["members"]), f"{r['groups']}", "all", "–", "–", "–", "–", whys[0]])
            continue
        for r in part.sort("quantity", "level", descending=[True, False]).to_dicts():
            factor, unit = UNITS.get(r["unit"], (1.0, r["unit"]))
            line = [
                name,
                NAMES.get(r["quantity"], r["quantity"]),
                str(r["members"]),
                f"{r['groups']}",
                f"{r['level']:.0%}",
            ]
            if r["reason"]:
                body.append([*line, "–", "–", "–", "–", r["reason"]])
                continue
            covered = f"{r['coverage']:.0%} [{r['coverage_ci95_low']:.0%}, {r['coverage_ci95_high']:.0%}]"
            sizes = f"{number(r['spread'] * factor)} / {number(r['rmse'] * factor)} {unit}"
            body.append([*line, sizes, f"{r['raw_coverage']:.0%}", f"x {number(r['scale'])}", covered, ""])
    head = ["committee", "quantity", "seeds", "test groups", "interval", "spread / error", "raw spread holds",
            "stretched", "holds, on groups it never saw [95 %]", "why not"]  # fmt: skip
    return {"head": head, "rows": body}


def table_numbers(t: Tables, name: str, style: ilf.Style) -> Row | None:
    """Return a table of numbers: what was measured down, models across, runs combined; in brackets: not converged."""
    keys = NUMBERS[name]
    frame = t[name]
    if name == "conformers":  # the shares of the states come first, then what describes the shape
        frame = frame.sort(pl.col("quantity") != "population", maintain_order=True)
    rows = ils.summarise_numbers(frame, keys)
    if not rows:
        return None
    lines: dict[tuple, Row] = {}
    models: dict[str, Row] = {}
    for r in rows:
        models.setdefault(compare_groups.label(r["model"], r["dataset"]), r)
        place = tuple(r[c] for c in ("liquid", "temperature_K", *keys, "unit"))
        lines.setdefault(place, {})[compare_groups.label(r["model"], r["dataset"])] = r
    order = sorted(models, key=lambda m: style.order(models[m]))
    body = []
    for place, cells in lines.items():
        one = next(iter(cells.values()))
        state = " → ".join(one[c] for c in ("state", "state_from", "state_to") if one.get(c))
        named = [
            one.get("species") or one.get("pair") or "",
            one.get("feature") or "",
            one["quantity"].replace("_", " "),
            state,
        ]
        unit = {"A": "Å", "A2": "Å²"}.get(one["unit"] or "", one["unit"] or "1")
        why = count([f"{m}: {cells[m]['reason']}" for m in order if m in cells and cells[m]["reason"]])
        body.append([
            state_name({"liquid": place[0], "temperature_K": place[1]}),
            " · ".join(x for x in named if x),
            unit,
            *(cell(cells.get(m)) for m in order),
            "; ".join(why),
        ])  # fmt: skip
    return {"head": ["state", "what", "unit", *order, "why not converged"], "rows": body}


def count(words: list[str]) -> list[str]:
    """Return the first few of many reasons, and how many there are more."""
    return words if len(words) <= 3 else [*words[:3], f"and {len(words) - 3} more"]


def cell(r: Row | None) -> str:
    """Write a number with its 95 % interval, or its lower bound alone, in brackets where it is not converged."""
    if r is None or r["value"] is None:
        return "–" if r is None or r["ci95_low"] is None else f"(> {number(r['ci95_low'])})"
    words = number(r["value"])
    if r["ci95_low"] is not None:
        v, low, high = rounded(
            [r["value"], r["ci95_low"], r["ci95_high"]], max((r["ci95_high"] - r["ci95_low"]) / 2, 1e-12)
        )
        words = f"{v} [{low}, {high}]"
    return words if r["converged"] else f"({words})"


def table_conductivity(t: Tables, style: ilf.Style) -> Row | None:
    """Return run by run how the Einstein conductivity compares with that of independent ions (Nernst-Einstein)."""
    if not t["conductivity"].height:
        return None
    rows = sorted(t["conductivity"].to_dicts(), key=lambda r: (r["liquid"], r["temperature_K"] or 0.0, style.order(r), r["run_id"]))  # fmt: skip

    def ends(r: Row, value: str, low: str, high: str, factor: float = 1.0) -> str:
        if r.get(value) is None:
            return "–"
        if r.get(low) is None or r.get(high) is None:
            return f"{number(r[value] * factor)} (no interval)"
        v, a, b = rounded([r[c] * factor for c in (value, low, high)], max((r[high] - r[low]) * factor / 2, 1e-12))
        return f"{v} [{a}, {b}]"

    viscosity = {r["run_id"]: r for r in t["viscosity"].to_dicts()}
    body = [
        [
            r["run_id"],
            ends(r, "conductivity_s_m", "ci95_low_s_m", "ci95_high_s_m"),
            ends(r, "nernst_einstein_s_m", "nernst_einstein_ci95_low_s_m", "nernst_einstein_ci95_high_s_m"),
            ends(r, "ionicity", "ionicity_ci95_low", "ionicity_ci95_high"),
            ends(viscosity.get(r["run_id"], {}), "viscosity_pa_s", "ci95_low_pa_s", "ci95_high_pa_s", 1e3),
            "yes" if r["converged"] else f"no: {r['reason'] or 'no reason given'}",
        ]
        for r in rows
    ]
    head = ["run", "conductivity (S/m)", "of independent ions (S/m)", "ratio (ionicity)", "viscosity (mPa·s)",
            "conductivity converged"]  # fmt: skip
    return {"head": head, "rows": body}


def table_pareto(t: Tables, style: ilf.Style) -> Row | None:
    """Return what every model costs, how far off it is, and whether a cheaper one is as good."""
    rows = t["pareto"].to_dicts()
    if not rows:
        return None
    rows.sort(key=lambda r: (list(NAMES).index(r["property"]), r["liquid"], r["temperature_K"] or 0.0, r["species"] or "",
                             style.order(r)))  # fmt: skip

    def hours(row: Row, name: str) -> str:
        core, gpu = row[name.format("core")], row.get(name.format("gpu")) or 0.0
        if core is None:
            return "–"
        return (
            f"{number(gpu, 2)} GPU-h" + (f" + {number(core, 2)} core-h" if core else "")
            if gpu
            else f"{number(core, 2)} core-h"
        )

    body = [
        [
            NAMES[r["property"]],
            "all liquids" if r["liquid"] == "all" else state_name(r),
            compare_groups.label(r["model"], r["dataset"]),
            interval(r, "error", "ci95_low", "ci95_high"),
            r["front"],
            hours(r, "total_{}_h"),
            hours(r, "labels_{}_h"),
            hours(r, "training_{}_h"),
            hours(r, "md_{}_h_per_ns"),
            r["reason"] or "",
        ]
        for r in rows
    ]
    head = ["error of", "state", "model", "|error| [95 %]", "on the front", "total", "labels", "training, a seed",
            "dynamics, 1 ns", "why"]  # fmt: skip
    return {"head": head, "rows": body}


def table_committee(t: Tables) -> Row | None:
    """Return the spread between training seeds beside the statistical error."""
    rows = t["committee"].to_dicts()
    body = []
    for r in rows:
        factor, unit = UNITS.get(r["unit"], (1.0, r["unit"]))
        ends = [None if r[c] is None else r[c] * factor for c in ("between_seeds", "between_seeds_ci95_low",
                                                                   "between_seeds_ci95_high", "within_seed", "mean")]  # fmt: skip
        low_high = "" if ends[1] is None else f" [{number(ends[1])}, {number(ends[2])}]"
        body.append(
            [
                state_name({"liquid": r["liquid"], "temperature_K": r["temperature_K"]}),
                " · ".join(x for x in (r["species"], r["property"].replace("_", " ")) if x),
                compare_groups.label(r["model"], r["dataset"]),
                str(r["seeds"]),
                number(ends[4], 4),
                number(ends[0]) + low_high,
                number(ends[3]),
                unit or "1",
                r["verdict"],
                r["reason"] or "",
            ]
        )
    head = ["state", "what", "model", "seeds", "mean", "between seeds [95 %]", "statistical error of a seed", "unit",
            "verdict", "why"]  # fmt: skip
    return {"head": head, "rows": body} if body else None


def table_forgetting(t: Tables) -> Row | None:
    """Return the force errors of tuned models on frames of other chemistry, before and after."""
    body = [
        [
            r["model_key"],
            r["start"],
            f"{r['frames']} ({r['groups'] or 0})",
            *(number(None if r[c] is None else r[c] * 1000) for c in ("force_rmse_before", "force_rmse_after")),
            interval(r, "difference", "ci95_low", "ci95_high"),
            r["verdict"],
            r["reason"] or "",
        ]
        for r in t["forgetting"].to_dicts()
    ]  # fmt: skip
    head = ["model", "from", "frames (groups)", "before (meV/Å)", "after (meV/Å)", "change [95 %]", "verdict", "why"]
    return {"head": head, "rows": body} if body else None


def table_domain(t: Tables, style: ilf.Style) -> Row | None:
    """Return by model, state and quantity how many runs left the training data, and why the others cannot be judged."""
    body = []
    for _, name, part in style.groups(t["domain"]):
        states = part.sort("liquid", "temperature_K", "quantity").group_by(
            ["liquid", "temperature_K", "quantity"], maintain_order=True
        )
        for (liquid, kelvin, quantity), rows in states:
            factor, unit = UNITS.get(rows["unit"][0] or "", (1.0, rows["unit"][0] or ""))
            low, high, least, most = (
                None if x is None else float(x) * factor  # type: ignore[arg-type]
                for x in (
                    rows["limit_low"].min(),
                    rows["limit_high"].max(),
                    rows["seen_low"].min(),
                    rows["seen_high"].max(),
                )
            )
            counts = rows.group_by("verdict").len().sort("verdict")
            (share,) = rows.select(pl.col("share_outside").mean()).row(0)
            body.append(
                [
                    state_name({"liquid": liquid, "temperature_K": kelvin}),
                    name,
                    str(quantity),
                    "–"
                    if high is None
                    else f"{'up to' if low is None else number(low, 4) + ' to'} {number(high, 4)} {unit}",
                    "–" if most is None else f"{number(least, 4)} to {number(most, 4)} {unit}",
                    "–" if share is None else f"{share:.0%}",
                    ", ".join(f"{row['len']} {row['verdict']}" for row in counts.to_dicts()),
                    "; ".join(count(rows["reason"].drop_nulls().unique().sort().to_list())),
                ]
            )
    head = ["state", "model", "quantity", "training frames span", "runs span", "frames outside", "runs", "note"]
    return {"head": head, "rows": body} if body else None


# The columns of the sampling tables that count refused frames, and what was wrong with those.
REFUSALS = {"refused_duplicate": "duplicate", "refused_contact": "contact", "refused_bond": "bond"}


def table_failures(t: Tables, extra: Row) -> Row:
    """Return everything that failed, was refused or is missing, with its reason."""
    body = [["plan", "warning", w] for w in extra["warnings"]]
    for r in t["equilibration"].filter(~pl.col("converged").fill_null(False)).to_dicts():
        body.append(["equilibration", r["key"], f"not equilibrated: {r['reason'] or 'no reason given'}"])
    tested = t["dataset"].filter(pl.col("split") == "test")["frame_id"].n_unique()
    if 0 < tested < TEST_LEAST:
        body.append(["dataset", "test set", f"{tested} frames only: errors measured on so few say little"])
    used = set(t["dataset"]["frame_id"])
    bad = t["labels"].filter(~pl.col("converged").fill_null(False) | pl.col("reason").is_not_null())
    body += [
        ["label", r["frame_id"], f"{r['reason'] or 'not converged'} ({r.get('detail') or r['liquid']}, {r['recipe']})"]
        for r in bad.to_dicts()
    ]
    unused = (
        t["labels"]
        .join(bad.select("frame_id"), on="frame_id", how="anti")
        .filter(~pl.col("frame_id").is_in(list(used)))
    )
    if used:
        for (liquid, recipe), part in unused.sort("liquid", "recipe").group_by(
            ["liquid", "recipe"], maintain_order=True
        ):
            body.append(["dataset", f"{part.height} frames of {liquid}, {recipe}", "labelled, but in no dataset"])
    for r in t["sampling"].to_dicts():
        for column, why in REFUSALS.items():
            if r.get(column):
                body.append(["sampling", f"{r['liquid']}, {r['recipe']}", f"{r[column]} frames refused: {why}"])
        if None not in (apart := r["spacing_frames"], least := r["inefficiency_frames"]) and apart < least:
            text = f"frames are {number(apart)} saved frames apart, and one in {number(least)} is independent: they resemble each other"
            body.append(["sampling", f"{r['liquid']}, {r['recipe']}", text])
        if r["kept"] is not None and r["requested"] is not None and r["kept"] < r["requested"]:
            body.append(
                [
                    "sampling",
                    f"{r['liquid']}, {r['recipe']}",
                    f"{r['kept']} frames kept of {r['requested']} asked for",
                ]
            )
    failed = {r["model_key"] for r in t["failures"].to_dicts()}
    body += [[r["stage"], r["run_id"] or r["model_key"], r["reason"]] for r in t["failures"].to_dicts()]
    evaluated = set(t["errors"]["model_key"]) | failed
    theories = {x for x in t["labels"]["theory_id"] if x}
    for m in extra["models"].to_dicts():
        if m["dataset"] and m["key"] not in extra["delivered"] | failed:
            body.append(["model", m["key"], "planned, but not delivered"])
        elif m["dataset"] and m["key"] not in evaluated:
            body.append(["evaluation", m["key"], "the model is there, its errors are not"])
    if "reason" in t["errors"].columns:
        for r in t["errors"].filter(pl.col("quantity") == "failed").to_dicts():
            body.append(
                [
                    "evaluation",
                    f"{r['model_key']}, {r['split']}, {r['name']}",
                    f"{r['n']} frames not evaluated: {r['reason']}",
                ]
            )
    for card in extra["cards"]:
        trial = card.get("trial")
        if trial and not trial["conservative"]:
            text = (
                f"its forces are {trial['force_off']:.0%} and its stress {trial['stress_off']:.0%} off the derivative of its energy "
                "on a small box: energy is not conserved, and densities need not be those of the energy"
            )
            body.append(["model", card.get("model"), text])
        settings = card.get("settings") or {}
        weights = [settings[name] for name in ("stress_weight", "start_pref_v", "limit_pref_v") if name in settings]
        if card.get("dataset") and weights and not any(weights):
            text = "trained without stress, on energies and forces alone: its density is not trained"
            body.append(["model", card.get("model"), text])
        if card.get("dataset") and theories and card.get("theory_id") not in theories:
            body.append(
                [
                    "model",
                    card.get("model"),
                    f"trained on theory {card.get('theory_id')}, which is not that of the labels",
                ]
            )
    seldom = t["survival"].filter(pl.col("save_every_fs") > pl.col("save_every_asked_fs"))
    spacing = (
        seldom.group_by("save_every_fs", "save_every_asked_fs").len("runs").sort("save_every_fs", "save_every_asked_fs")
    )
    for r in spacing.to_dicts():
        text = f"frames were kept every {r['save_every_fs']:g} fs, not {r['save_every_asked_fs']:g} as asked: max_trajectory_mb"
        body.append(["run", f"{r['runs']} runs", text])
    for r in t["survival"].filter(pl.col("end") != "completed").to_dicts():
        body.append(["run", r["run_id"], f"{r['end']}{at_time(r)}: {r['detail'] or 'no detail'}"])
    for name in ils.LIQUID_UNITS:
        for r in t[name].filter(~pl.col("converged").fill_null(False)).to_dicts():
            species = f", {r['species']}" if r.get("species") else ""
            body.append([name, r["run_id"] + species, r["reason"] or "not converged, no reason given"])
    return {"head": ["where", "what", "reason"], "rows": body}


def table_models(extra: Row) -> Row | None:
    """Return what the model cards say."""
    if not extra["cards"]:
        return None
    body = []
    for c in extra["cards"]:
        files = ", ".join(f"{name} {digest[:12]}…" for name, digest in sorted((c.get("files") or {}).items()))
        wall = (c.get("cost") or {}).get("wall_s")
        body.append(
            [
                compare_groups.label(c["model"], c.get("dataset")),
                c.get("framework"),
                c.get("seed"),
                c.get("theory") or c.get("theory_id"),
                str(c.get("dataset_hash") or "")[:12],
                str(c.get("split_hash") or "")[:12],
                c.get("licence") or "–",
                f"{wall / 3600:.2f} h" if wall else "–",
                files,
            ]
        )
    head = [
        "model",
        "framework",
        "seed",
        "theory",
        "dataset hash",
        "split hash",
        "licence",
        "training",
        "weights (sha256)",
    ]
    return {"head": head, "rows": [["–" if x is None else str(x) for x in line] for line in body]}


def table_references(t: Tables) -> Row:
    """Return the references with their sources; second-hand and interpolated ones are labelled."""
    body = []
    for r in t["references"].to_dicts():
        ends = "not given" if r["low"] is None else f"{number(r['low'], 4)} to {number(r['high'], 4)}"
        error = r["standard_uncertainty"]
        body.append(
            [
                r["liquid"],
                "–" if r["temperature_K"] is None else f"{r['temperature_K']:g}",
                f"{r['property']}{' of ' + r['species'] if r['species'] else ''}",
                number(r["value"], 4),
                "unknown: taken as exact" if error is None else number(error, 2),
                f"{ends} ({r['range']})" if r["range"] else ends,
                r["unit"] or "",
                "second-hand" if r["second_hand"] else "first-hand",
                "interpolated" if r["interpolated"] else "measured",
                r["source"],
            ]
        )
    return {
        "head": [
            "liquid",
            "T (K)",
            "property",
            "value",
            "standard uncertainty",
            "range",
            "unit",
            "trust",
            "from",
            "source",
        ],
        "rows": body,
    }


# --- The page ---


def page(t: Tables, extra: Row) -> str:
    """Return report.html."""
    style = ilf.Style(t, extra)
    figures: dict[str, go.Figure] = {}

    def figure(name: str, made: go.Figure | None) -> str | None:
        if made is not None:
            figures[name] = made
        return name if made is not None else None

    decided = [
        q
        for q in (*ils.LIQUID_UNITS, "force_rmse", "scan_energy_rmse")
        if t["verdicts"].filter(pl.col("property") == q).height
    ]
    verdicts = [
        {
            "title": NAMES[q],
            "figure": figure(f"verdicts_{q}", ilf.figure_verdicts(t, q)),
            "table": table_verdicts(t, q),
        }
        for q in decided
    ]
    cost = ilf.cost_by_process(t)
    sums = cost.select(pl.col("tasks", "wall_h", "core_h").sum()).to_dicts()[0] if cost.height else None
    costs = {
        "head": ["process", "tasks", "wall hours", "core-hours", "peak memory (MB)"],
        "rows": [
            [r["process"], str(r["tasks"]), number(r["wall_h"]), number(r["core_h"]), number(r["max_rss_mb"])]
            for r in cost.to_dicts()
        ],
    }
    leaks = leaking_groups(t["dataset"])
    versions = (
        t["versions"]
        .group_by("library", "version")
        .agg(pl.col("process").unique().sort().str.join(", "))
        .sort("library", "version")
    )
    datasets = extra["study"].get("datasets") or {}
    content = {
        "title": extra["study"].get("name", "study"),
        "description": extra["study"].get("description"),
        "asked": asked(extra),
        "in_short": in_short(t, extra)
        + trainings.in_short(t["trainings"])
        + worth_words.in_short(t["worth"], datasets),
        "verdicts": verdicts,
        "density": (
            figure("density", ilf.figure_liquid(t, style, "density")),
            table_liquid(t, "density", style),
        ),
        "diffusion": (
            figure("diffusion", ilf.figure_liquid(t, style, "diffusion")),
            table_liquid(t, "diffusion", style),
        ),
        "transport": [
            (
                NAMES[q],
                q,
                figure(q, ilf.figure_liquid(t, style, q)),
                table_liquid(t, q, style),
            )
            for q in ("conductivity", "viscosity")
            if t["summary"].filter(pl.col("property") == q).height
        ],
        "conductivity": table_conductivity(t, style),
        "structure": [
            (title, name, figure(name, ilf.figure_structure(t, style, quantity)))
            for title, name, quantity in (
                ("Radial distribution functions", "structure", "rdf"),
                ("Structure factor, X-rays", "factor_xray", "structure_factor_xray"),
                ("Structure factor, neutrons", "factor_neutron", "structure_factor_neutron"),
                ("Torsions", "torsion", "torsion"),
            )
        ],
        "numbers": [
            (title, name, made)
            for title, name in (
                ("Neighbours and coordination", "coordination"),
                ("Lifetimes and rates", "kinetics"),
                ("Conformers and shape", "conformers"),
            )
            if (made := table_numbers(t, name, style)) is not None
        ],
        "parity": figure("parity", ilf.figure_parity(extra, style)),
        "errors": (figure("errors", ilf.figure_errors(t, style)), table_errors(t, style)),
        "leakage": table_leakage(t, extra, style),
        "transfer": table_transfer(t, extra, style),
        "calibration": (figure("calibration", ilf.figure_calibration(extra, style)), table_uncertainty(t, style)),
        "scan": figure("scan", ilf.figure_scan(t, style)),
        "dimers": figure("dimers", ilf.figure_dimers(t, style)),
        "committee": table_committee(t),
        "forgetting": (table_forgetting(t), [forgetting_sentence(r) for r in t["forgetting"].to_dicts()]),
        "rounds": rounds(t, style, figure) if t["rounds"].height else None,
        "worth": (
            figure("sizes", ilf.figure_sizes(t, style)),
            worth_words.answers(t["worth"], datasets),
            worth_words.table_worth(t["worth"]),
        ),
        "domain": (table_domain(t, style), domain_sentences(t["domain"])),
        "curves": figure("curves", ilf.figure_curves(t, style)),
        "trainings": (trainings.sentences(t["trainings"]), trainings.table_trainings(t["trainings"])),
        "survival": figure("survival", ilf.figure_survival(t, style)),
        "cost": (figure("cost", ilf.figure_cost(t)), costs, sums),
        "liquid": extra["view"],
        "still": picture.still(extra["view"]) if extra["view"] else "",
        "bill": (bill.table_bill(extra["estimate"], t["cost"]), bill.table_labels(t["labels"])),
        "pareto": (figure("pareto", ilf.figure_pareto(t, style)), table_pareto(t, style)),
        "recommendation": recommendation.recommend(t),
        "failures": table_failures(t, extra),
        "dataset": (figure("dataset", ilf.figure_dataset(t)), leaks, t["dataset"]["group"].n_unique()),
        "models": table_models(extra),
        "references": table_references(t),
        "versions": {
            "head": ["library", "version", "processes"],
            "rows": [list(r) for r in versions.iter_rows()],
        },
        "settings": json.dumps(extra["study"], indent=2, ensure_ascii=False),
        "theory": theory(extra["labels"]),
        "theory_id": sorted({x for x in t["labels"]["theory_id"] if x}),
    }
    return report_page.render(content, {name: f.to_plotly_json() for name, f in figures.items()})


def rounds(t: Tables, style: ilf.Style, figure: Callable[[str, go.Figure | None], str | None]) -> Row:
    """Return what the report says of the rounds of active learning."""
    return {
        "words": report_rounds.verdict(t["rounds"])[1],
        "figure": figure("rounds", report_rounds.figure_rounds(t["rounds"], style)),
        "walks": figure("exploration", report_rounds.figure_exploration(t["exploration"], style)),
        "table": report_rounds.table_rounds(t["rounds"]),
    }


def leaking_groups(dataset: pl.DataFrame) -> int:
    """Return how many groups (trajectories) are in more than one split of a dataset; 0 is right."""
    test = dataset.filter(pl.col("split") == "test")["group"].unique().to_list()
    rest = dataset.filter(pl.col("split") != "test")
    own = rest.group_by("dataset", "group").agg(pl.col("split").n_unique()).filter(pl.col("split") > 1)
    across = rest.filter(pl.col("group").is_in(test))
    return len(set(own["group"]) | set(across["group"]))
