"""The figure of errors."""

import polars as pl

from ionmelt.report.sections.errors import error_views, standing
from ionmelt.report.words import Row, verdict_words


def test_ions_of_one_atom_have_no_rotation_and_no_vibration() -> None:
    """In molten NaCl both are 0 of every model, which is no merit; the errors of the labels' own method are 0 as well."""
    rmse = {"force": 0.05, "force_translation": 0.05, "force_rotation": 0.0, "force_vibration": 0.0}
    errors = pl.DataFrame([{"quantity": key, "scope": "all", "name": None, "rmse": x} for key, x in rmse.items()])
    ((_, rows),) = error_views(errors)
    assert rows["name"].to_list() == ["all", "translation"]
    ((_, rows),) = error_views(errors.with_columns(rmse=pl.lit(0.0)))
    assert rows["name"].to_list() == ["all"]
    ((_, rows),) = error_views(errors.with_columns(rmse=pl.lit(0.1)))
    assert rows["name"].to_list() == ["all", "translation", "rotation", "vibration"]


def test_what_is_lost_to_the_correction_is_said_to_be() -> None:
    """171 ± 69 and 513 ± 145 meV/Å do not look alike, and their interval excludes 0: only the number of tests leaves them undecided."""
    row: Row = {"property": "force_rmse", "model_a": "mace", "verdict": "not distinguishable", "p_holm": 0.21}
    verdicts = [row | {"model_b": "clp", "p_value": 0.027}, row | {"model_b": "dpmd", "p_value": 0.6}]
    assert standing("mace", verdicts) == [
        "it cannot be told apart from dpmd",
        "after the correction for many tests it is not told apart from clp",
    ]
    said = [verdict_words(v) for v in verdicts]
    assert said == [
        "mace and clp: no difference seen after the correction for many tests",
        "mace and dpmd: no difference seen",
    ]
