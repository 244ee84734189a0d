"""Write a commented study to begin with: a trial of one liquid, which says beside each field what a real study gives."""

import argparse
import math
import os
import re
import shlex
from pathlib import Path
from string import Template

from ionmelt import task
from ionmelt.arguments import command_line
from ionmelt.errors import UserError
from ionmelt.liquid.ions import library
from ionmelt.mistakes import POINT, brief, did_you_mean
from ionmelt.models.named import NAMED
from ionmelt.screen import show
from ionmelt.study.advice import ANNEAL_ABOVE_K, warn
from ionmelt.study.melting import read_melting
from ionmelt.study.new_liquid import CONCENTRATIONS, FORMS, liquid_lines
from ionmelt.study.paths import Paths
from ionmelt.study.plan import read_study
from ionmelt.study.reference_files import read_references

TOP = Path(__file__).resolve().parents[3]
COLDEST_K, HOTTEST_K = 100.0, 2500.0
SWING_K, SWING_SHARE = 150.0, 0.6  # of the temperature at most: the coldest part of a swing is above 0 K
LONGEST_NAME = 40
ATOMS_LEAST = 10
UNITS = {"molality": "mol/kg", "molarity": "mol/L"}
CELSIUS = ("c", "°c", "degc", "celsius")


def number_in(option: str, text: str | None, unit: str) -> float | None:
    """Return the number of an option, None where it is not given; raises `UserError` where it is none."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isfinite(value):
        return value
    written = re.fullmatch(r"\s*([-+]?\d+(?:\.\d+)?)\s*([^\W\d]\S*|°\S+)\s*", text)
    if re.fullmatch(r"\s*[-+]?\d+,\d+\s*", text):
        right = POINT
    elif written and unit == "K" and written[2].lower() in CELSIUS:
        right = f"give kelvin, {float(written[1]) + 273.15:g}"
    elif written:
        right = f"give the number alone, {written[1]}, in {unit}" if unit else f"give the number alone, {written[1]}"
    else:
        right = f"give a number, in {unit}" if unit else "give a number"
    raise UserError(f"{option}: {brief(text)}: {right}")


def foundation_line(name: str | None) -> str:
    """Return the line of a study for a named model, a comment where none is asked for; raises `UserError` where it needs more than its name."""
    ready = [row.name for row in NAMED.values() if row.shipped]
    if name is not None and name not in ready:
        why = "needs a file or an environment of yours, which the study gives" if name in NAMED else "is not known"
        like = "" if name in NAMED else did_you_mean(name, ready)
        raise UserError(f"--model: {brief(name)}: {why} (docs/named.md): {like}give one of {', '.join(ready)}")
    line = f"- {{id: {re.sub('[^a-z0-9]', '_', name or ready[0])}, framework: named, model: {name or ready[0]}}}"
    return line if name else f"# {line}"


def results_folder(path: Path) -> str:
    """Return the folder of a study's results beside that of the demo, `results/`, whose files another study would set aside."""
    return f"{path.stem}_results"


def new_study(path: Path, liquid: tuple[list[str], list[str], str], temperature_K: float, model: str | None) -> str:
    """Return the text of a study of a liquid (`liquid_lines`) in the file `path`, whose schema line resolves from there."""
    lines, names, words = liquid
    return Template((TOP / "studies" / "templates" / "new_study.yaml").read_text()).substitute(
        schema=os.path.relpath(TOP / "studies" / "schema.json", path.resolve().parent),
        file=shlex.quote(path.name),
        outdir=shlex.quote(results_folder(path)),
        title=f"{words} at {temperature_K:g} K: which model may be trusted?",
        name="_".join(names)[:LONGEST_NAME],
        liquid="\n    ".join(lines),
        temperature=f"{temperature_K:g}",
        foundation=foundation_line(model),
        anneal=f"{temperature_K + ANNEAL_ABOVE_K:g}",
        swing=f"{min(SWING_K, round(SWING_SHARE * temperature_K)):g}",
    )


def solvent_densities(temperature_K: float) -> dict[str, float]:
    """Return the density that was measured of each molecule alone (kg/m3), at the temperature nearest to this one."""
    nearest: dict[str, tuple[float, float]] = {}
    for row in read_references(TOP / "assets" / "references" / "solvents.csv"):
        if row.property == "density" and len(row.composition) == 1 and row.temperature_K is not None:
            ((name, _),) = row.composition
            off_K = abs(row.temperature_K - temperature_K)
            nearest[name] = min(nearest.get(name, (math.inf, 0.0)), (off_K, row.value))
    return {name: value for name, (_, value) in nearest.items()}


def write(path: Path, liquid: tuple[list[str], list[str], str], temperature_K: float, model: str | None) -> None:
    """Write the study of a liquid (`liquid_lines`), and print what it will cost; raises `UserError` where it cannot be written or planned."""
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
    text = new_study(path, liquid, temperature_K, model)
    paths = Paths(str(path.resolve().parent), TOP / "assets", True)
    study, boxes, references, estimated = read_study(text, path.name, paths)
    path.write_text(text, encoding="utf-8")
    about = (
        f"a trial of {', '.join(liquid[1])} at {temperature_K:g} K; what a real study gives stands beside each field"
    )
    lines = [f"{path}: {about}", estimated.text(), *(box.text(study.liquids[index]) for index, box in boxes.items())]
    lines += [f"warning: {line}" for line in warn(study, boxes, references, read_melting(TOP / "assets"))]
    program = ["./nextflow", "run", "main.nf"] if Path.cwd() == TOP else [str(TOP / "nextflow"), "run", str(TOP)]
    run = shlex.join([*program, "--study", str(path), "--outdir", results_folder(path)])
    show("\n".join([*lines, f"to run it: {run}"]))


def begin(args: argparse.Namespace) -> None:
    """Do the work of the command: write the study that its arguments ask for."""
    if not (args.ions or args.molecules):
        raise UserError("--ions: missing; such as --ions emim,bf4; or --molecules, such as --molecules ec:20,dmc:20")
    temperature_K, atoms = number_in("--temperature", args.temperature, "K"), number_in("--atoms", args.atoms, "")
    amounts = {kind: number_in(f"--{kind}", vars(args)[kind], UNITS[kind]) for kind in CONCENTRATIONS}
    given = next(((kind, amount) for kind, amount in amounts.items() if amount is not None), None)
    if atoms is not None and atoms < ATOMS_LEAST:
        raise UserError(f"--atoms: {atoms:g}: give {ATOMS_LEAST} or more")
    size = None if atoms is None else round(atoms)
    assert temperature_K is not None
    densities = solvent_densities(temperature_K)
    liquid = liquid_lines(args.ions, args.molecules, given, library(TOP / "assets"), size, densities)
    write(args.study, liquid, temperature_K, args.model)


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = command_line(__doc__)
    parser.add_argument("study", type=Path, metavar="FILE.yaml", help="file to write")
    parser.add_argument("--ions", default="", metavar="A,B", help=f"ions: {FORMS}; two need no counts")
    parser.add_argument("--molecules", default="", metavar="A:COUNT,B:COUNT", help=f"neutral molecules: {FORMS}")
    concentration = parser.add_mutually_exclusive_group()
    for kind in CONCENTRATIONS:
        concentration.add_argument(
            f"--{kind}", metavar="M", help=f"{kind} of the salt, in the molecules, whose counts are parts by moles"
        )
    parser.add_argument("--temperature", required=True, metavar="K", help="temperature of the liquid (K)")
    parser.add_argument("--atoms", metavar="N", help="about how many atoms: counts are parts then")
    parser.add_argument("--model", metavar="NAME", help="a foundation model of docs/named.md too, such as sevennet-0")
    args = parser.parse_args(argv)
    return task.command(lambda: begin(args))
