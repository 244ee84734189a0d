"""Write a commented study to begin with: a trial of one liquid, which says beside each field what a real study gives."""

import argparse
import os
import sys
from collections.abc import Mapping
from math import gcd
from pathlib import Path
from string import Template

from ionmelt.errors import UserError
from ionmelt.liquid.ions import LibraryIon, library
from ionmelt.liquid.names import identified, unknown
from ionmelt.study.advice import warn
from ionmelt.study.melting import read_melting
from ionmelt.study.paths import Paths
from ionmelt.study.plan import read_study

TOP = Path(__file__).resolve().parents[3]
PAIRS = 4  # of a trial: seconds a label
ANNEAL_ABOVE_K = 150.0  # of the liquid's own temperature: hot enough to mix in some ten picoseconds
COLDEST_K, HOTTEST_K = 100.0, 2500.0


def counts_of(text: str, ion_library: Mapping[str, LibraryIon]) -> dict[str, int]:
    """Return the ions of a box from ``emim,bf4`` or ``li:1,pyr14:3,tfsi:4``; raises `UserError`, a line for each mistake.

    Two ions without counts are `PAIRS` of the one with the larger charge, and of the other as many as make the box neutral.
    """
    lines, counts = [], {}
    for word in filter(None, map(str.strip, text.split(","))):
        written, _, number = word.partition(":")
        name = identified(written, ion_library)
        mistake = mistake_of(written, name, number, ion_library)
        if mistake is not None or name is None:
            lines.append(f"--ions: {mistake}")
        else:
            counts[name] = int(number or 0)
    if not lines and (not counts or (not all(counts.values()) and len(counts) != 2)):
        lines.append(f"--ions: {text}: give two ions, such as emim,bf4, or how many of each: li:1,pyr14:3,tfsi:4")
    if not lines and not all(counts.values()):
        lines += balanced(counts, {name: ion_library[name]["charge"] for name in counts})
    if lines:
        raise UserError(*lines)
    return counts


def mistake_of(written: str, name: str | None, number: str, ion_library: Mapping[str, LibraryIon]) -> str | None:
    """Return what is wrong with one of the ions, as it was written, of the library and with its number; None: nothing."""
    if name is None:
        return f"{written}: {unknown(written, ion_library, charged=True)}"
    if not ion_library[name]["charge"]:
        return f"{name}: is neutral: write the study without it, and give it under molecules there"
    if ion_library[name]["types"] is None:
        return f"{name}: has no types in CL&P: begin with another ion, and in the study give it with force_field xtb or an XML"
    if number and not (number.isascii() and number.isdigit() and int(number)):
        return f"{written}:{number}: give NAME:COUNT with a whole number"
    return None


def balanced(counts: dict[str, int], charges: dict[str, int]) -> list[str]:
    """Give two ions the counts that make a box neutral; return the mistake where none do."""
    (first, one), (second, other) = charges.items()
    if one * other >= 0:
        return [f"--ions: {first},{second}: both have a charge of the same sign: give a cation and an anion"]
    common = gcd(one, other)
    counts[first], counts[second] = PAIRS * abs(other) // common, PAIRS * abs(one) // common
    return []


def new_study(path: Path, counts: dict[str, int], temperature_K: float, full_names: dict[str, str]) -> str:
    """Return the text of a study in the file `path`, whose schema line resolves from there."""
    ions = ", ".join(f"{name}: {number}" for name, number in counts.items())
    title = " and ".join(full_names[name] for name in counts) + f" at {temperature_K:g} K: which model may be trusted?"
    return Template((TOP / "studies" / "templates" / "new_study.yaml").read_text()).substitute(
        schema=os.path.relpath(TOP / "studies" / "schema.json", path.resolve().parent),
        title=title,
        name="_".join(counts),
        ions=ions,
        temperature=f"{temperature_K:g}",
        anneal=f"{temperature_K + ANNEAL_ABOVE_K:g}",
    )


def write(path: Path, ions: str, temperature_K: float) -> None:
    """Write the study, and print what it will cost; raises `UserError` where it cannot be written or planned."""
    if path.suffix not in (".yaml", ".yml"):
        raise UserError(f"{path}: give a file whose name ends in .yaml")
    if path.exists():
        raise UserError(f"{path}: is there already: give another name, or remove it first")
    if not path.resolve().parent.is_dir():
        raise UserError(f"{path}: its folder is not there")
    if not COLDEST_K <= temperature_K <= HOTTEST_K:
        raise UserError(
            f"--temperature: {temperature_K:g}: give kelvin, between {COLDEST_K:g} and {HOTTEST_K:g} (298.15 is 25 degC)"
        )
    ion_library = library(TOP / "assets")
    counts = counts_of(ions, ion_library)
    text = new_study(path, counts, temperature_K, {name: ion_library[name]["full_name"] for name in counts})
    paths = Paths(str(path.resolve().parent), TOP / "assets", True)
    study, boxes, references, estimated = read_study(text, path.name, paths)
    path.write_text(text, encoding="utf-8")
    print(
        f"{path}: a trial of {', '.join(counts)} at {temperature_K:g} K; what a real study gives stands beside each field"
    )
    print(estimated.text())
    for line in warn(study, boxes, references, read_melting(TOP / "assets")):
        print(f"warning: {line}")
    print(f"to run it: ./nextflow run main.nf --study {path} --outdir results/{study.name}")


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, metavar="FILE.yaml", help="file to write")
    parser.add_argument("--ions", required=True, metavar="A,B", help="two ions of assets/ions, or NAME:COUNT,...")
    parser.add_argument("--temperature", type=float, required=True, metavar="K", help="temperature of the liquid (K)")
    args = parser.parse_args(argv)
    try:
        write(args.study, args.ions, args.temperature)
    except UserError as error:
        print(*(f"error: {line}" for line in error.errors), sep="\n", file=sys.stderr)
        return 2
    return 0
