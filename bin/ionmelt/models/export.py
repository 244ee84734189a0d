"""Make the folder of a model that its user is given: what was trained or imported, a page to read, and the form that LAMMPS loads.

MACE models are converted by MACE's own tool (mace_create_lammps_model, for pair_style mace); DeePMD models are frozen already,
and LAMMPS reads them as they are. README.md says what the model is and how to use it, in lines that can be copied.

Writes, under --out: the files of the model folder, README.md and, of a MACE model, model.pt-lammps.pt.
"""

import shutil
from pathlib import Path
from typing import Any

from ionmelt import errors, files, task
from ionmelt.arguments import command_line
from ionmelt.models import card as models_card
from ionmelt.models import dispersion as models_dispersion
from ionmelt.models.framework import Export
from ionmelt.models.frameworks import FRAMEWORKS

CONTENT = """\
# {id}

{sentence}

| | |
|---|---|
{rows}

`model.json` holds the sha256 of each file: weights may hold code, so compare it before a copy of them is opened.
{limits}
## ASE

In this folder, with {libraries}; energies in eV, forces in eV/A, stress in eV/A^3:

```python
{ase}
```
{lammps}"""


def described(card: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a card says, in words: (what, value)."""
    elements = card.get("elements")
    source, tuned = card.get("source") or {}, card.get("tuned_from") or {}
    mode = (card.get("settings") or {}).get("mode")
    cutoff = card.get("cutoff_A")
    rows = [
        ("framework", f"{card['framework']}{' (' + card['kind'] + ')' if card.get('kind') else ''}"),
        ("elements", ", ".join(elements) if elements else "not known"),
        ("cut-off", f"{cutoff:g} A" if cutoff else "not known"),
        ("level of theory", card.get("theory") or (f"theory_id {card['theory_id']}" if card.get("theory_id") else "")),
        ("head", card.get("head") if len(card.get("heads") or ()) > 1 else ""),
        ("trained on", f"dataset {card['dataset']} (sha256 {card['dataset_hash']})" if card.get("dataset") else ""),
        ("tuned from", f"{tuned['file']} (sha256 {tuned['sha256']}), mode {mode}" if tuned else ""),
        ("seed", card.get("seed")),
        ("taken from", f"{source['file']} (sha256 {source['sha256']})" if source else ""),
        ("licence", card.get("licence") or ("that of whoever trained it" if card.get("dataset") else "not given")),
        ("versions", ", ".join(f"{k} {v}" for k, v in sorted((card.get("versions") or {}).items()))),
    ]
    return [(what, str(value)) for what, value in rows if value not in (None, "")]


def dispersion_lines(dispersion: dict[str, Any]) -> list[str]:
    """Return the lines of Python that add D3(BJ) to a calculator named model, as the runs did."""
    return [
        "from ase.calculators.mixing import SumCalculator",
        "from dftd3.ase import DFTD3",
        f"d3 = DFTD3(damping='d3bj', params_tweaks={{'method': '{dispersion['functional'].lower()}', 'atm': False}},",
        f"           realspace_cutoff={models_dispersion.dispersion_radii(dispersion['cutoff_A'])})",
        "atoms.calc = SumCalculator([model, d3])",
    ]


def ase_lines(card: dict[str, Any], export: Export) -> list[str]:
    """Return the lines of Python that give atoms this model."""
    dispersion = (card.get("settings") or {}).get("dispersion")
    lines = export.python(card, "model" if dispersion else "atoms.calc")
    return [*lines, *(dispersion_lines(dispersion) if dispersion else []), "print(atoms.get_potential_energy())"]


def export_of(card: dict[str, Any]) -> Export:
    """Return how models of the framework of a card are handed out."""
    export = FRAMEWORKS[card["framework"]].export
    assert export is not None, "a model that is no files is not exported"
    return export


def page(card: dict[str, Any], refused: str | None = None) -> str:
    """Return README.md of a model folder; `refused` is why there is no form for LAMMPS where there should be one."""
    sentence = (
        f"Trained by Ionmelt on the dataset {card['dataset']}."
        if card.get("dataset")
        else "Used as it was given, not trained."
    )
    limits = ""
    trial = card.get("trial")
    if trial and not trial["conservative"]:
        limits = (
            "\nIts forces or its stress are not the derivative of its energy: do not expect energy to be conserved.\n"
        )
    export = export_of(card)
    lines = [] if refused else export.lammps(card)
    lammps = f"\n## LAMMPS\n\nThis model could not be converted for LAMMPS: {refused}\n" if refused else ""
    if lines:
        dispersion = (card.get("settings") or {}).get("dispersion")
        more = (
            f"\nThe D3(BJ) that the runs had is not in this file: add `pair_style hybrid/overlay ... dispersion/d3 bj "
            f"{dispersion['functional'].lower()} ...`.\n"
            if dispersion
            else ""
        )
        text = "\n".join(["units metal", "atom_style atomic", *lines])
        lammps = f"\n## LAMMPS\n\nWith {export.lammps_needs}. The order of elements is that of the atom types of your data file:\n\n```\n{text}\n```\n{more}"
    return CONTENT.format(
        id=card["id"],
        sentence=sentence,
        rows="\n".join(f"| {what} | {value} |" for what, value in described(card)),
        limits=limits,
        libraries=export.library,
        ase="\n".join(ase_lines(card, export)),
        lammps=lammps,
    )


def export_model(model: Path, out: Path, threads: int) -> None:
    """Do the work of the task."""
    card, refused = models_card.read_card(model), None
    shutil.copytree(model, out, ignore=shutil.ignore_patterns(files.SUMS), dirs_exist_ok=True)
    if convert := export_of(card).convert:
        try:
            convert(models_card.weights_file(model, card), card, out, threads)
        except errors.ModelError as error:  # the model itself can be used all the same
            refused = f"{error.errors[0]} {error.errors[-1]}"
    (out / "README.md").write_text(page(card, refused))


def main(argv: list[str] | None = None) -> int:
    """Read the command line and run the task."""
    parser = command_line(__doc__, "--id", "--model", "--out", "--threads")
    args = parser.parse_args(argv)

    def work() -> None:
        export_model(args.model, args.out, args.threads)

    return task.run("EXPORT_MODEL", work, task_id=args.id, reads=[args.model], writes=[args.out])
