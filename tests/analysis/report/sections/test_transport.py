"""Conductivity, viscosity and their ratio, run by run."""

import polars as pl

from ionmelt.compare.reading import conform
from ionmelt.report.figures import Style
from ionmelt.report.sections.transport import table_conductivity
from ionmelt.tables.published import TABLES


def test_a_number_that_may_not_be_used_stands_in_brackets() -> None:
    """Each by its own test: the ionicity by those of both conductivities, the viscosity by that of its table."""
    run = {"run_id": "r", "liquid": "x", "temperature_K": 400.0, "model": "m"}
    conductivity = run | {
        "conductivity_s_m": 2.0, "ci95_low_s_m": 1.0, "ci95_high_s_m": 3.0, "converged": True, "nernst_einstein_s_m": 4.0,
        "nernst_einstein_ci95_low_s_m": 3.0, "nernst_einstein_ci95_high_s_m": 5.0, "nernst_einstein_converged": False,
        "ionicity": 0.5, "ionicity_ci95_low": 0.3, "ionicity_ci95_high": 0.8,
    }  # fmt: skip
    viscosity = run | {"viscosity_pa_s": 0.01, "ci95_low_pa_s": 0.005, "ci95_high_pa_s": 0.02, "converged": False}
    rows = {"conductivity": conductivity, "viscosity": viscosity, "survival": run, "summary": run, "errors": run}
    t = {name: conform(pl.DataFrame([row]), TABLES[name]) for name, row in rows.items()}
    ((_, whole, independent, ratio, eta, _),) = table_conductivity(t, Style(t, {})).rows
    assert whole == "2.0 [1.0, 3.0]"
    assert [words[0] + words[-1] for words in (independent, ratio, eta)] == ["()"] * 3
