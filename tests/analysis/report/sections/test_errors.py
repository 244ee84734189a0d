"""The figure of errors."""

import polars as pl

from ionmelt.report.sections.errors import error_views


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
