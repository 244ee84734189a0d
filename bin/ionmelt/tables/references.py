"""Measured values that the results are compared with; low and high are those of the source."""

from ionmelt.tables.columns import FLAG, REAL, TEXT, WHOLE, Schema

REFERENCES: Schema = {
    "liquid": TEXT, "property": TEXT, "species": TEXT, "temperature_K": REAL, "value": REAL, "unit": TEXT,
    "standard_uncertainty": REAL, "low": REAL, "high": REAL, "range": TEXT, "n": WHOLE, "interpolated": FLAG, "composition_off": REAL,
    "source": TEXT, "second_hand": FLAG,
}  # fmt: skip
