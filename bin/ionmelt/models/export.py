"""Make the folder of a model that its user is given: what was trained or imported, a page to read, and the form that LAMMPS loads.

MACE models are converted by MACE's own tool (mace_create_lammps_model, for pair_style mace); DeePMD models are frozen already,
and LAMMPS reads them as they are. README.md says what the model is and how to use it, in lines that can be copied.

Writes, under --out: the files of the model folder, README.md and, of a MACE model, model.pt-lammps.pt; where LAMMPS can use the model
and a state of a liquid is given, in.run and liquid.data too.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ase.io
from ase import Atoms

from ionmelt import errors, files, task
from ionmelt.arguments import command_line
from ionmelt.liquid.record import EquilibrationRecord
from ionmelt.models import dispersion as models_dispersion
from ionmelt.models.card import Card, read_card
from ionmelt.models.framework import Export
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.settings import AddedDispersion

INPUT, DATA = "in.run", "liquid.data"  # of LAMMPS
CONTENT = """\
# {id}

{sentence}

| | |
|---|---|
{rows}

`model.json` holds the sha256 of each file: weights may hold code, so compare it before a copy of them is opened. `RESULTS.md` comes
when the study has ended: the errors of this model, the properties of the liquid with it, and how they were judged.
{limits}
## ASE

In this folder, with {libraries}; energies in eV, forces in eV/A, stress in eV/A^3:

```python
{ase}
```
{lammps}"""
NOT_CONSERVATIVE = (
    "\nIts forces or its stress are not the derivative of its energy: do not expect energy to be conserved.\n"
)


def described(card: Card) -> Iterator[tuple[str, str]]:
    """Give what a card says, in words: what, value."""
    yield from nature(card)
    yield from origin(card)
    yield "licence", card.licence or ("that of whoever trained it" if card.dataset else "not given")
    if card.versions:
        yield "versions", ", ".join(f"{library} {version}" for library, version in sorted(card.versions.items()))


def nature(card: Card) -> Iterator[tuple[str, str]]:
    """Give what a card says of the model itself: what, value."""
    yield "framework", card.framework + (f" ({card.kind})" if card.kind else "")
    yield "elements", ", ".join(card.elements or ["not known"])
    yield "cut-off", f"{card.cutoff_A:g} A" if card.cutoff_A else "not known"
    if card.theory or card.theory_id:
        yield "level of theory", card.theory or f"theory_id {card.theory_id}"
    if card.head and len(card.heads or ()) > 1:
        yield "head", card.head
    if card.uses_charge is not None:
        yield "charge and spin", "used: say them of the atoms" if card.uses_charge or card.uses_spin else "not used"


def origin(card: Card) -> Iterator[tuple[str, str]]:
    """Give what a card says of where the model comes from: what, value."""
    if card.dataset:
        yield "trained on", f"dataset {card.dataset} (sha256 {card.dataset_hash})"
        yield (
            "training input",
            f"`{export_of(card).tool_input}`: what the framework's own tool was given; weights of the loss: `model.json`",
        )
    if tuned := card.tuned_from:
        yield "tuned from", f"{tuned.file} (sha256 {tuned.sha256}), mode {card.settings.mode}"
    if card.seed is not None:
        yield "seed", str(card.seed)
    if card.search:
        yield (
            "settings",
            f"the best of {len(card.search.trials)} trials by validation errors: number {card.search.chosen} (`model.json`)",
        )
    if card.source:
        yield "taken from", f"{card.source.file} (sha256 {card.source.sha256})"


def dispersion_lines(dispersion: AddedDispersion) -> list[str]:
    """Return the lines of Python that add D3(BJ) to a calculator named model, as the runs did."""
    return [
        "from ase.calculators.mixing import SumCalculator",
        "from dftd3.ase import DFTD3",
        f"d3 = DFTD3(damping='d3bj', params_tweaks={{'method': '{dispersion.functional.lower()}', 'atm': False}},",
        f"           realspace_cutoff={models_dispersion.dispersion_radii(dispersion.cutoff_A)})",
        "atoms.calc = SumCalculator([model, d3])",
    ]


def ase_lines(card: Card, export: Export) -> list[str]:
    """Return the lines of Python that give atoms this model."""
    dispersion = card.settings.dispersion
    lines = export.python(card, "model" if dispersion else "atoms.calc")
    return [*lines, *(dispersion_lines(dispersion) if dispersion else []), "print(atoms.get_potential_energy())"]


@dataclass(frozen=True)
class Liquid:
    """The liquid that the input of LAMMPS is of, from a state of the study."""

    atoms: Atoms
    conditions: EquilibrationRecord

    @property
    def elements(self) -> list[str]:
        """Its elements, in the order of the atom types."""
        return sorted(set(self.atoms.get_chemical_symbols()))


def liquid_of(state: Path) -> Liquid:
    """Return the liquid of a state folder."""
    with errors.reading(state / "start.extxyz", "extended XYZ"):
        atoms = ase.io.read(state / "start.extxyz", format="extxyz")
    assert isinstance(atoms, Atoms)
    return Liquid(atoms, EquilibrationRecord.read(state / "equilibration.json"))


def lammps_input(card: Card, export: Export, liquid: Liquid) -> str:
    """Return an input of LAMMPS: the liquid at constant pressure, for as many steps as are asked for."""
    at = liquid.conditions
    lines = [
        f"# {card.id}: {at.liquid} at {at.temperature_K:g} K and {at.pressure_bar:g} bar; lmp -in {INPUT} -var steps 20000",
        "variable steps index 1000",
        "units metal",
        "atom_style atomic",
        *export.lammps_settings,
        f"read_data {DATA}",
        *export.lammps(card, liquid.elements),
        "timestep 0.0005",
        f"velocity all create {at.temperature_K:g} 1 dist gaussian",
        f"fix npt all npt temp {at.temperature_K:g} {at.temperature_K:g} 0.05 iso {at.pressure_bar:g} {at.pressure_bar:g} 0.5",
        "thermo_style custom step temp pe press density",
        "thermo 10",
        "run ${steps}",
    ]
    return "".join(f"{line}\n" for line in lines)


def write_lammps(card: Card, export: Export, liquid: Liquid, out: Path) -> None:
    """Write the input of LAMMPS and the atoms that it reads."""
    (out / INPUT).write_text(lammps_input(card, export, liquid))
    order = liquid.elements
    ase.io.write(
        out / DATA, liquid.atoms, format="lammps-data", specorder=order, masses=True, units="metal", atom_style="atomic"
    )


def lammps_text(card: Card, export: Export, liquid: Liquid | None) -> str:
    """Return what the page says of LAMMPS: empty where LAMMPS cannot use the model."""
    lines = export.lammps(card, liquid.elements if liquid else card.elements or ())
    if not lines:
        return ""
    read = [f"read_data {DATA}"] if liquid else []
    text = "\n".join(["units metal", "atom_style atomic", *export.lammps_settings, *read, *lines])
    more = (
        f"\nThe D3(BJ) that the runs had is not in this file: add `pair_style hybrid/overlay ... dispersion/d3 bj "
        f"{card.settings.dispersion.functional.lower()} ...`.\n"
        if card.settings.dispersion
        else ""
    )
    here = (
        f"`lmp -in {INPUT}` runs {liquid.conditions.liquid}, whose atoms are in `{DATA}`, at {liquid.conditions.temperature_K:g} K. "
        if liquid
        else ""
    )
    return (
        f"\n## LAMMPS\n\nWith {export.lammps_needs}. {here}{export.lammps_runs} The order of elements is that of the atom types of the data "
        f"file:\n\n```\n{text}\n```\n{more}"
    )


def export_of(card: Card) -> Export:
    """Return how models of the framework of a card are handed out."""
    export = FRAMEWORKS[card.framework].export
    assert export is not None, "a model that is no files is not exported"
    return export


def page(card: Card, refused: str | None = None, liquid: Liquid | None = None) -> str:
    """Return README.md of a model folder; `refused` is why there is no form for LAMMPS where there should be one.

    `liquid`: what the input of LAMMPS beside the page is of; None: there is no such input.
    """
    export = export_of(card)
    trained = f"Trained by Ionmelt on the dataset {card.dataset}."
    unconverted = f"\n## LAMMPS\n\nThis model could not be converted for LAMMPS: {refused}\n"
    return CONTENT.format(
        id=card.id,
        sentence=trained if card.dataset else "Used as it was given, not trained.",
        rows="\n".join(f"| {what} | {value} |" for what, value in described(card)),
        limits=NOT_CONSERVATIVE if card.trial and not card.trial.conservative else "",
        libraries=export.library,
        ase="\n".join(ase_lines(card, export)),
        lammps=unconverted if refused else lammps_text(card, export, liquid),
    )


def export_model(model: Path, out: Path, threads: int, state: Path | None = None) -> None:
    """Do the work of the task."""
    card, refused = read_card(model), None
    export, liquid = export_of(card), liquid_of(state) if state else None
    shutil.copytree(model, out, ignore=shutil.ignore_patterns(files.SUMS), dirs_exist_ok=True)
    if convert := export.convert:
        try:
            convert(card.weights_file(model), card, out, threads)
        except errors.ModelError as error:  # the model itself can be used all the same
            refused = f"{error.errors[0]} {error.errors[-1]}"
    if liquid is not None and refused is None and export.lammps(card, liquid.elements):
        write_lammps(card, export, liquid, out)
    (out / "README.md").write_text(page(card, refused, liquid))


def main(argv: list[str] | None = None) -> int:
    """Read the command line and run the task."""
    parser = command_line(__doc__, "--id", "--model", "--out", "--threads")
    parser.add_argument("--state", type=Path, help="state folder of a liquid, for an input of LAMMPS")
    args = parser.parse_args(argv)

    def work() -> None:
        export_model(args.model, args.out, args.threads, args.state)

    return task.run("EXPORT_MODEL", work, task_id=args.id, reads=[args.model, args.state], writes=[args.out])
