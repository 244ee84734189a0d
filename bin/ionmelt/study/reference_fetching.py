"""Fetch what was measured of a pure liquid from NIST ILThermo, for a machine with a network, as a CSV that a study takes.

Density, viscosity, electrical conductivity and self-diffusion at 0.1 MPa: of each temperature the median over the data sets, with their
quartiles, as in assets/references/ilthermo.csv. A self-diffusion whose column names no ion is left out. It needs the Python package ilthermopy, which no task of the pipeline does: pip install ilthermopy. Name the
file in the study's `references`; the plan checks each row. NIST asks that ILThermo (Standard Reference Database 147) is cited.
"""

import csv
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ionmelt import task
from ionmelt.arguments import command_line
from ionmelt.errors import UserError
from ionmelt.liquid.ions import LibraryIon, canonical, library
from ionmelt.liquid.names import identified, plain, unknown
from ionmelt.screen import say, show
from ionmelt.study.reference_files import COLUMNS
from ionmelt.study.references import composition, spelled

ASSETS = Path(__file__).resolve().parents[3] / "assets"
# Our name of a property, with ILThermo's, what its column is called, and our unit. The ion that diffuses is in the column.
PROPERTIES = {
    "density": ("Density", r"Specific density, kg/m", "kg/m3"),
    "viscosity": ("Viscosity", r"Viscosity, Pa", "Pa.s"),
    "conductivity": ("Electrical conductivity", r"Electrical conductivity, S/m", "S/m"),
    "diffusion": ("Self-diffusion coefficient", r"Self.diffusion coefficient(?: of (?P<species>.+))?, m", "m2/s"),
}
ATMOSPHERE_KPA = (90.0, 110.0)
UNREADABLE = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
)  # what an answer of another form than expected raises
SOURCE = "NIST ILThermo (SRD 147) via ilthermopy {version}: median and quartiles of the data sets"

Points = list[tuple[str, float, float]]  # the ion that diffuses, else nothing; kelvin; value


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
    """Return ILThermo's names of a liquid: those of its compounds whose SMILES has the same ions, or how it is spelled in full.

    The client has no SMILES of some compounds.
    """
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
    return names or [" ".join(ion_library[name]["full_name"] for name in counts)]


def held_at(entry: Any, quantity: str, unit: str) -> float | None:
    """Return what a quantity was held at in a data set that has no column of it; None where it does not say, nan where not in this unit."""
    given = entry.constraints or ()
    for text in [given] if isinstance(given, str) else map(str, given):
        if quantity.lower() in text.lower():
            number = re.search(rf"([\d.]+) *{unit}\b", text)
            return float(number[1]) if number else float("nan")
    return None


def species_of(column: re.Match[str], counts: Mapping[str, int], ion_library: Mapping[str, LibraryIon]) -> str | None:
    """Return the ion that diffuses by the title of a column, nothing of another property; None where it names none of the liquid."""
    if "species" not in column.groupdict():
        return ""
    if len(counts) == 1:
        return next(iter(counts))
    name = identified(column["species"] or "", ion_library)
    return name if name in counts else None


def points_of(entry: Any, title: str, counts: Mapping[str, int], ion_library: Mapping[str, LibraryIon]) -> Points:
    """Return the points of a data set of the liquid at 0.1 MPa, or at a pressure that it does not give.

    Temperature and pressure are columns, or what the whole data set was held at.
    """
    header = {key: text for key, text in entry.header.items() if key.startswith("V")}
    kelvin = next((key for key, text in header.items() if text.startswith("Temperature, K")), None)
    kpa = next((key for key, text in header.items() if text.startswith("Pressure, kPa")), None)
    all_kelvin, all_kpa = held_at(entry, "Temperature", "K"), held_at(entry, "Pressure", "kPa")
    (low, high), points = ATMOSPHERE_KPA, []
    for key, column in ((key, re.match(title, text)) for key, text in header.items()):
        species = None if column is None else species_of(column, counts, ion_library)
        for row in entry.data.to_dict("records") if species is not None else ():
            at, pressure = row[kelvin] if kelvin else all_kelvin, row[kpa] if kpa else all_kpa
            if at is not None and at > 0 and (pressure is None or low <= pressure <= high):
                points.append((species or "", at, row[key]))
    return points


def data_sets(ilthermopy: Any, compound: str, key: str) -> list[Any]:
    """Return the data sets of a compound by the key of a property; those that cannot be read are said and left out."""
    errors, entries = ilthermopy.errors, []
    try:
        rows = ilthermopy.Search(compound=compound, n_compounds=1, prop_key=key).to_dict("records")
    except errors.ILThermoSearchError as error:  # so it says, too, that it has nothing
        say(f"{compound}: {' '.join(str(error).split())}")
        return []
    for row in rows:
        if row["cmp1"].lower() == compound.lower():
            try:
                entries.append(ilthermopy.GetEntry(row["id"]))
            except (errors.ILThermoResponseError, *UNREADABLE) as error:
                say(f"data set {row['id']} is left out, since it cannot be read: {' '.join(str(error).split())}")
    return entries


def rows_of(
    ilthermopy: Any, counts: Mapping[str, int], names: Iterable[str], ion_library: Mapping[str, LibraryIon]
) -> list[dict[str, Any]]:
    """Return the rows of the CSV: for each property, ion and temperature the median over the data sets, with their quartiles."""
    rows: list[dict[str, Any]] = []
    keys = {plain(name): key for name, key in ilthermopy.PropertyList().prop2key.items()}
    for name, (theirs, title, unit) in PROPERTIES.items():
        values: dict[tuple[str, float], list[float]] = defaultdict(list)
        for compound in names if plain(theirs) in keys else ():
            for entry in data_sets(ilthermopy, compound, keys[plain(theirs)]):
                at: dict[tuple[str, float], list[float]] = defaultdict(list)
                for species, kelvin, value in points_of(entry, title, counts, ion_library):
                    at[species, round(kelvin, 2)].append(value)
                for state, measured in at.items():  # a data set counts once at a temperature
                    values[state].append(float(np.median(measured)))
        for (species, kelvin), measured in sorted(values.items()):
            low, median, high = (float(f"{x:.6g}") for x in np.percentile(measured, [25, 50, 75]))
            ranged = len(measured) > 1
            rows.append(
                dict.fromkeys(COLUMNS, "")
                | {
                    "ions": spelled(composition(counts)), "property": name, "species": species, "temperature_K": kelvin, "value": median,
                    "unit": unit, "low": low if ranged else "", "high": high if ranged else "", "range": "quartiles" if ranged else "",
                    "n": len(measured), "source": SOURCE.format(version=ilthermopy.__version__), "second_hand": "false",
                }
            )  # fmt: skip
    return rows


def fetch(names: list[str], out: Path, ilthermopy: Any) -> int:
    """Write the CSV of a liquid and return how many rows it has; raises `UserError` where ILThermo has nothing of it."""
    ion_library = library(ASSETS)
    counts = liquid_of(names, ion_library)
    theirs = compounds(ilthermopy, counts, ion_library)
    try:
        rows = rows_of(ilthermopy, counts, theirs, ion_library)
    except OSError as error:  # of requests, too
        raise UserError(f"ILThermo cannot be reached: {' '.join(str(error).split())[:200]}") from error
    except ilthermopy.errors.ILThermoResponseError as error:
        raise UserError(f"ILThermo's answer cannot be read: {' '.join(str(error).split())[:200]}") from error
    if not rows:
        what = "density, viscosity, conductivity or self-diffusion"
        raise UserError(f"{', '.join(theirs)}: ILThermo has no {what} of it at 0.1 MPa")
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def fetch_into(out: Path, names: list[str]) -> None:
    """Do the work of the command: write the CSV of a liquid, and print what to write into a study."""
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")
    if out.exists():
        raise UserError(f"--out {out}: is there already: remove it, or give another name")
    liquid_of(names, library(ASSETS))  # a name that is wrong is said without the package, too
    count = fetch(names, out, client())
    show(f"{count} rows: references: [{json.dumps(str(out.absolute()), ensure_ascii=False)}]")


def main(argv: list[str] | None = None) -> int:
    """Read the command line and fetch."""
    parser = command_line(__doc__)
    parser.add_argument(
        "names", nargs="+", metavar="NAME", help="the ions of the liquid, such as emim bf4, or a molecule"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the CSV to write")
    args = parser.parse_args(argv)
    return task.command(lambda: fetch_into(args.out, args.names))
