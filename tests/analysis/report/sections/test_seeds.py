"""The spread between training seeds, in words."""

import polars as pl
import pytest

from ionmelt.chemical_names import ChemicalNames
from ionmelt.report.results import Results
from ionmelt.report.sections.seeds import lines, table_committee
from ionmelt.tables.comparison import COMMITTEE

NAMES = ChemicalNames(ions={"li": "Li⁺", "bf4": "BF4⁻"})
ROW = dict.fromkeys(COMMITTEE) | {
    "liquid": "x", "temperature_K": 300.0, "model": "m", "dataset": "d", "seeds": 3, "unit": "1", "property": "anions_per_cation",
    "species": "li-bf4", "mean": 4.71432, "between_seeds": 0.0412, "between_seeds_ci95_low": 0.0214,
    "between_seeds_ci95_high": 0.2591, "within_seed": 0.0113, "verdict": "seeds differ",
}  # fmt: skip


def committee(*verdicts: str) -> pl.DataFrame:
    """Return a table of numbers with these verdicts."""
    return pl.DataFrame([ROW | {"verdict": verdict} for verdict in verdicts], schema=COMMITTEE)


def test_numbers_have_the_digits_that_their_errors_bear_and_pairs_their_names() -> None:
    (line,) = table_committee({"committee": committee("seeds differ")}, NAMES).rows
    assert line[1] == "Li⁺–BF4⁻ · anions per cation"
    assert line[4:7] == ["4.714", "0.041 [0.021, 0.259]", "0.011"]
    small = {column: None if ROW[column] is None else 1e-2 * ROW[column] for column in ("mean", "within_seed")}
    spread = {column: 1e-2 * ROW[column] for column in ROW if column.startswith("between_seeds")}
    (line,) = table_committee({"committee": pl.DataFrame([ROW | small | spread], schema=COMMITTEE)}, NAMES).rows
    assert line[4:7] == ["0.04714", "0.00041 [0.00021, 0.00259]", "0.00011"], "no powers of ten in some cells alone"


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (("seeds differ", "within the error", "not converged"), ["Training seeds differ beyond the statistical error in 1 of the 2 numbers for which this can be told, of 3."]),
        (("not converged", "not judged"), ["Whether training seeds differ cannot be told for any of 2 numbers."]),
        ((), []),
    ],
)  # fmt: skip
def test_what_a_folded_section_says(verdicts: tuple[str, ...], said: list[str]) -> None:
    nothing = pl.DataFrame(schema={"model": pl.String, "dataset": pl.String})
    tables = dict.fromkeys(("summary", "survival", "errors"), nothing) | {"committee": committee(*verdicts)}
    assert lines(Results(tables, {}, {})) == said
