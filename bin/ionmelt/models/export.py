"""Make the folder of a model that its user is given: what was trained or imported, a page to read, and the form that LAMMPS loads.

MACE models are converted by MACE's own tool (mace_create_lammps_model, for pair_style mace); DeePMD models are frozen already,
and LAMMPS reads them as they are. README.md says what the model is and how to use it, in lines that can be copied.

Writes, under --out: the files of the model folder, README.md and, of a MACE model, model.pt-lammps.pt; of each liquid whose state is
given LIQUID.extxyz, and where LAMMPS can use the model in.LIQUID and LIQUID.data too.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
from ase import Atoms

from ionmelt import errors, files, task
from ionmelt.arguments import command_line
from ionmelt.charge import say_charge
from ionmelt.liquid.record import EquilibrationRecord
from ionmelt.models import dispersion as models_dispersion
from ionmelt.models.card import Card, read_card
from ionmelt.models.framework import Export
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.settings import AddedDispersion

STRUCTURE = "liquid.extxyz"  # of the user's, where no liquid is given
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

In this folder, with {libraries}; {structures}; energies in eV, forces in eV/A, stress in eV/A^3:

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
    if versions := card.versions | (card.loaded.versions if card.loaded else {}):
        yield "versions", ", ".join(f"{library} {version}" for library, version in sorted(versions.items()))


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


def charge_lines(card: Card) -> list[str]:
    """Return the line of Python that says charge and spin of a liquid's box; none for a model that is known to read neither."""
    if card.uses_charge is False and card.uses_spin is False:
        return []
    box = Atoms()
    say_charge(box)
    return [f"atoms.info |= {dict(box.info)}"]


def ase_lines(card: Card, export: Export, structures: Sequence[str]) -> list[str]:
    """Return the lines of Python that read atoms, the first of `structures`, and give them this model."""
    dispersion, (first, *others) = card.settings.dispersion, structures
    others_too = f"  # or {', '.join(map(repr, others))}" if others else ""
    atoms = ["from ase.io import read", f"atoms = read({first!r}){others_too}", *charge_lines(card)]
    lines = export.python(card, "model" if dispersion else "atoms.calc")
    return [
        *atoms,
        *lines,
        *(dispersion_lines(dispersion) if dispersion else []),
        "print(atoms.get_potential_energy())",
    ]


@dataclass(frozen=True)
class Liquid:
    """A liquid of the study, from a state of it; the names of its files: of ASE, and of LAMMPS the input and the atoms."""

    atoms: Atoms
    conditions: EquilibrationRecord

    @property
    def elements(self) -> list[str]:
        """Its elements, in the order of the atom types."""
        return sorted(set(self.atoms.get_chemical_symbols()))

    @property
    def words(self) -> str:
        """Its name and temperature."""
        return f"{self.conditions.liquid} at {self.conditions.temperature_K:g} K"

    @property
    def structure(self) -> str:
        """Name of its structure."""
        return f"{self.conditions.liquid}.extxyz"

    @property
    def input(self) -> str:
        """Name of the input of LAMMPS."""
        return f"in.{self.conditions.liquid}"

    @property
    def data(self) -> str:
        """Name of the atoms that the input reads."""
        return f"{self.conditions.liquid}.data"


def liquid_of(state: Path) -> Liquid:
    """Return the liquid of a state folder."""
    with errors.reading(state / "start.extxyz", "extended XYZ"):
        atoms = ase.io.read(state / "start.extxyz", format="extxyz")
    assert isinstance(atoms, Atoms)
    return Liquid(atoms, EquilibrationRecord.read(state / "equilibration.json"))


def bare(atoms: Atoms) -> Atoms:
    """Return atoms with their positions and cell alone."""
    return Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def lammps_input(card: Card, export: Export, liquid: Liquid) -> str:
    """Return an input of LAMMPS: the liquid at constant pressure, for as many steps as are asked for."""
    at = liquid.conditions
    lines = [
        f"# {card.id}: {at.liquid} at {at.temperature_K:g} K and {at.pressure_bar:g} bar; lmp -in {liquid.input} -var steps 20000",
        "variable steps index 1000",
        "units metal",
        "atom_style atomic",
        *export.lammps_settings,
        f"read_data {liquid.data}",
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
    (out / liquid.input).write_text(lammps_input(card, export, liquid))
    order = liquid.elements
    ase.io.write(
        out / liquid.data,
        liquid.atoms,
        format="lammps-data",
        specorder=order,
        masses=True,
        units="metal",
        atom_style="atomic",
    )


def lammps_block(card: Card, export: Export, liquid: Liquid | None) -> str:
    """Return the lines of LAMMPS for a liquid, or for a box of the user's, with a sentence on the input beside them."""
    read, here = [], ""
    if liquid:
        read = [f"read_data {liquid.data}"]
        here = f"`lmp -in {liquid.input}` runs {liquid.conditions.liquid}, whose atoms are in `{liquid.data}`, at {liquid.conditions.temperature_K:g} K:\n\n"
    lines = export.lammps(card, liquid.elements if liquid else card.elements or ())
    text = "\n".join(["units metal", "atom_style atomic", *export.lammps_settings, *read, *lines])
    return f"{here}```\n{text}\n```\n"


def lammps_text(card: Card, export: Export, liquids: Sequence[Liquid]) -> str:
    """Return what the page says of LAMMPS: empty where LAMMPS cannot use the model."""
    if not export.lammps_needs:
        return ""
    more = (
        f"\nThe D3(BJ) that the runs had is not in this file: add `pair_style hybrid/overlay ... dispersion/d3 bj "
        f"{card.settings.dispersion.functional.lower()} ...`.\n"
        if card.settings.dispersion
        else ""
    )
    shown: Sequence[Liquid | None] = liquids or [None]
    blocks = "\n".join(lammps_block(card, export, liquid) for liquid in shown)
    return (
        f"\n## LAMMPS\n\nWith {export.lammps_needs}. {export.lammps_runs} The order of elements is that of the atom types of the data "
        f"file.\n\n{blocks}{more}"
    )


def export_of(card: Card) -> Export:
    """Return how models of the framework of a card are handed out."""
    export = FRAMEWORKS[card.framework].export
    assert export is not None, "a model that is no files is not exported"
    return export


def page(card: Card, refused: str | None = None, liquids: Sequence[Liquid] = ()) -> str:
    """Return README.md of a model folder; `refused` is why there is no form for LAMMPS where there should be one.

    `liquids`: those whose structures and inputs of LAMMPS lie beside the page.
    """
    export = export_of(card)
    trained = f"Trained by Ionmelt on the dataset {card.dataset}."
    structures = {liquid.structure: liquid.words for liquid in liquids} or {STRUCTURE: "a structure of yours"}
    unconverted = f"\n## LAMMPS\n\nThis model could not be converted for LAMMPS: {refused}\n"
    return CONTENT.format(
        id=card.id,
        sentence=trained if card.dataset else "Used as it was given, not trained.",
        rows="\n".join(f"| {what} | {value} |" for what, value in described(card)),
        limits=NOT_CONSERVATIVE if card.trial and not card.trial.conservative else "",
        libraries=export.library,
        structures=", ".join(f"`{name}` is {words}" for name, words in structures.items()),
        ase="\n".join(ase_lines(card, export, list(structures))),
        lammps=unconverted if refused else lammps_text(card, export, liquids),
    )


def export_model(model: Path, out: Path, threads: int, states: Sequence[Path] = ()) -> None:
    """Do the work of the task; `states`: one of each liquid."""
    card, refused = read_card(model), None
    export, liquids = export_of(card), sorted(map(liquid_of, states), key=lambda liquid: liquid.conditions.liquid)
    shutil.copytree(model, out, ignore=shutil.ignore_patterns(files.SUMS), dirs_exist_ok=True)
    if convert := export.convert:
        try:
            convert(card.weights_file(model), card, out, threads)
        except errors.ModelError as error:  # the model itself can be used all the same
            refused = f"{error.errors[0]} {error.errors[-1]}"
    for liquid in liquids:
        ase.io.write(out / liquid.structure, bare(liquid.atoms), format="extxyz")
        if refused is None and export.lammps(card, liquid.elements):
            write_lammps(card, export, liquid, out)
    (out / "README.md").write_text(page(card, refused, liquids))


def main(argv: list[str] | None = None) -> int:
    """Read the command line and run the task."""
    parser = command_line(__doc__, "--id", "--model", "--out", "--threads")
    parser.add_argument(
        "--state",
        type=Path,
        nargs="*",
        default=[],
        help="state folders, one a liquid, for structures and inputs of LAMMPS",
    )
    args = parser.parse_args(argv)

    def work() -> None:
        export_model(args.model, args.out, args.threads, args.state)

    return task.run("EXPORT_MODEL", work, task_id=args.id, reads=[args.model, *args.state], writes=[args.out])
