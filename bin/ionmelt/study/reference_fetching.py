"""Fetch what was measured of a pure liquid from NIST ILThermo, for a machine with a network, as a CSV that a study takes.

Density, viscosity and electrical conductivity at 0.1 MPa: of each temperature the median over the data sets, with their quartiles, as in
assets/references/ilthermo.csv. It needs the Python package ilthermopy, which no task of the pipeline does: pip install ilthermopy. Name the
file in the study's `references`; the plan checks each row. NIST asks that ILThermo (Standard Reference Database 147) is cited.
"""

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ionmelt.errors import UserError
from ionmelt.liquid.ions import LibraryIon, canonical, library
from ionmelt.liquid.names import identified, unknown
from ionmelt.study.reference_files import COLUMNS
from ionmelt.study.references import composition, spelled

ASSETS = Path(__file__).resolve().parents[3] / "assets"
# Our name of a property, with ILThermo's, how its column begins, and our unit.
PROPERTIES = {
    "density": ("Density", "Specific density, kg/m", "kg/m3"),
    "viscosity": ("Viscosity", "Viscosity, Pa", "Pa.s"),
    "conductivity": ("Electrical conductivity", "Electrical conductivity, S/m", "S/m"),
}
ATMOSPHERE_KPA = (90.0, 110.0)
SOURCE = "NIST ILThermo (SRD 147) via ilthermopy {version}: median and quartiles of the data sets"

Points = list[tuple[float, float]]  # kelvin and value


def client() -> Any:
    """Return the package ilthermopy; raises `UserError` where it is not there."""
    try:
        import ilthermopy
    except ImportError as error:
        raise UserError("the Python package ilthermopy is not here: pip install ilthermopy") from error
    return ilthermopy


def liquid_of(names: Iterable[str], ion_library: Mapping[str, LibraryIon]) -> dict[str, int]:
    """Return the ions or the molecule of a neutral liquid by name, in the smallest numbers that are neutral."""
    charges = {}
    for name in names:
        if (ion := identified(name, ion_library)) is None:
            raise UserError(unknown(name, ion_library, charged=True))
        charges[ion] = ion_library[ion]["charge"]
    if len(charges) == 1 and not any(charges.values()):
        return dict.fromkeys(charges, 1)
    positive, negative = [n for n in charges if charges[n] > 0], [n for n in charges if charges[n] < 0]
    if len(charges) != 2 or len(positive) != 1 or len(negative) != 1:
        raise UserError(
            f"{' '.join(charges)}: give one neutral molecule, or a cation and an anion: ILThermo is searched for pure liquids"
        )
    return {positive[0]: abs(charges[negative[0]]), negative[0]: charges[positive[0]]}


def compounds(ilthermopy: Any, counts: Mapping[str, int], ion_library: Mapping[str, LibraryIon]) -> list[str]:
    """Return ILThermo's names of a liquid: those of its compounds whose SMILES has the same ions."""
    wanted = sorted(canonical(ion_library[name]["smiles"]) for name, number in counts.items() for _ in range(number))
    names = []
    for name, smiles in ilthermopy.GetSavedCompounds().name2smiles.items():
        parts = smiles.split(".")
        if len(parts) != len(wanted):
            continue
        try:
            if sorted(map(canonical, parts)) == wanted:
                names.append(name)
        except UserError:
            continue
    return names


def points_of(entry: Any, column: str) -> Points:
    """Return the points of a data set of the liquid at 0.1 MPa, or at a pressure that it does not give."""
    header = {key: text for key, text in entry.header.items() if key.startswith("V")}
    kelvin = next((key for key, text in header.items() if text.startswith("Temperature, K")), None)
    pressure = next((key for key, text in header.items() if text.startswith("Pressure, kPa")), None)
    value = next((key for key, text in header.items() if text.startswith(column)), None)
    if value is None or kelvin is None:
        return []
    low, high = ATMOSPHERE_KPA
    rows = entry.data.to_dict("records")
    return [(row[kelvin], row[value]) for row in rows if pressure is None or low <= row[pressure] <= high]


def rows_of(ilthermopy: Any, counts: Mapping[str, int], names: Iterable[str]) -> list[dict[str, Any]]:
    """Return the rows of the CSV: for each property and temperature the median over the data sets, with their quartiles."""
    rows: list[dict[str, Any]] = []
    for name, (theirs, column, unit) in PROPERTIES.items():
        values: dict[float, list[float]] = defaultdict(list)
        for compound in names:
            sets = ilthermopy.Search(compound=compound, n_compounds=1, prop=theirs)
            for data_set in sets.to_dict("records") if len(sets) else ():
                if data_set["cmp1"] == compound:
                    at: dict[float, list[float]] = defaultdict(list)
                    for kelvin, value in points_of(ilthermopy.GetEntry(data_set["id"]), column):
                        at[round(kelvin, 2)].append(value)
                    for kelvin, measured in at.items():  # a data set counts once at a temperature
                        values[kelvin].append(float(np.median(measured)))
        for kelvin, measured in sorted(values.items()):
            low, median, high = (float(f"{x:.6g}") for x in np.percentile(measured, [25, 50, 75]))
            ranged = len(measured) > 1
            rows.append(
                dict.fromkeys(COLUMNS, "")
                | {
                    "ions": spelled(composition(counts)), "property": name, "temperature_K": kelvin, "value": median, "unit": unit,
                    "low": low if ranged else "", "high": high if ranged else "", "range": "quartiles" if ranged else "",
                    "n": len(measured), "source": SOURCE.format(version=ilthermopy.__version__), "second_hand": "false",
                }
            )  # fmt: skip
    return rows


def fetch(names: list[str], out: Path, ilthermopy: Any) -> int:
    """Write the CSV of a liquid and return how many rows it has; raises `UserError` where ILThermo has nothing of it."""
    ion_library = library(ASSETS)
    counts = liquid_of(names, ion_library)
    theirs = compounds(ilthermopy, counts, ion_library)
    if not theirs:
        raise UserError(f"{spelled(composition(counts))}: ILThermo has no compound of these")
    try:
        rows = rows_of(ilthermopy, counts, theirs)
    except OSError as error:  # of requests, too
        raise UserError(f"ILThermo cannot be reached: {' '.join(str(error).split())[:200]}") from error
    if not rows:
        raise UserError(f"{', '.join(theirs)}: ILThermo has no density, viscosity or conductivity of it at 0.1 MPa")
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def main(argv: list[str] | None = None) -> int:
    """Read the command line and fetch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="+", metavar="NAME", help="the ions of the liquid, such as emim bf4, or a molecule"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the CSV to write")
    args = parser.parse_args(argv)
    try:
        if args.out.exists():
            raise UserError(f"--out {args.out}: is there already: remove it, or give another name")
        count = fetch(args.names, args.out, client())
    except UserError as error:
        for line in error.errors:
            print(f"error: {line}", file=sys.stderr)
        return 2
    print(f"{count} rows: references: [{args.out}]")
    return 0
