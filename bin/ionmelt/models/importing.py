"""Make a model folder of weights, or of a calculator class, that a user brings: checked, described, used as it is.

The order matters, since weights may hold code: first the sha256, then what the file would run (ionmelt/models/weights.py), and only
then is it opened, in a process that may compute and read and nothing else (ionmelt/models/trial.py). There come the
elements, the cut-off, the heads and a trial on a small box: energy, forces and stress must be there and finite. Whether forces and
stress are derivatives of the energy is measured and written into the card.

Writes the model folder --out: the weights and model.json (the model card).
"""

import importlib.util
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from ionmelt import errors, failure, files, task, theory
from ionmelt.arguments import command_line
from ionmelt.errors import UserError
from ionmelt.models import trial
from ionmelt.models.card import IDENTITY, NAME, Card, CardSettings, Cost, Source, wrong_content
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.settings import ImportSettings

LATER = ("polars", "mdtraj")


def check_hash(path: Path, expected: str | None, field: str = "sha256") -> None:
    """Refuse a file with another sha256 than a field of the study says, before anything opens it."""
    if wrong := wrong_content(path, expected):
        raise UserError(f"{field}: {path.name}: {wrong}, the study says {expected}; it was not opened")


def script_of(settings: ImportSettings, given: list[Path]) -> Path | None:
    """Return the file of Python that makes the calculator, of the files that a task was given; None where a library does."""
    name, _, function = (settings.calculator or "").partition(":")
    return next((path for path in given if function and path.name == name), None)


def source_of(settings: ImportSettings) -> Source | None:
    """Return where the weights of a model come from: a file of the user's, or of a package; None for neither."""
    files_of = {settings.weights: settings.sha256} if settings.weights else settings.shipped
    return next((Source(file=name, sha256=digest) for name, digest in list(files_of.items())[-1:]), None)


def card_of(settings: ImportSettings, of_calculator: Iterable[str], head: str | None, out: Path) -> Card:
    """Return the card of a model whose files lie in a folder, before it is tried; ``of_calculator``: settings that it is made with."""
    names = sorted(path.name for path in out.iterdir() if path.name != NAME)
    dispersion = settings.dispersion
    made_with = settings.model_dump(mode="json", include=set(of_calculator))
    return Card(
        **settings.model_dump(mode="json", include={*IDENTITY, "role"}),
        versions=task.versions(),
        files={name: files.sha256(out / name) for name in names},
        source=source_of(settings),
        theory=settings.theory and theory.level_with(settings.theory, dispersion.functional if dispersion else None),
        theory_id=None,
        dataset_hash=None,
        split_hash=None,
        licence=settings.licence,
        head=head,
        settings=CardSettings(**made_with, mode="zero-shot", dispersion=dispersion),
    )


def check_packages(settings: ImportSettings) -> None:
    """Refuse an environment that lacks what evaluation and dynamics will need in it; raises `UserError`."""
    needed = (*LATER, "dftd3") if settings.dispersion else LATER
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        raise UserError(
            f"no Python package {' and '.join(missing)} in {sys.prefix}: its evaluation and dynamics need it"
        )


def import_model(settings: ImportSettings, given: list[Path], out: Path, threads: int) -> None:
    """Do the work of the task: check, copy, try out, and write the card."""
    start = time.perf_counter()
    check_packages(settings)
    script = script_of(settings, given)
    weights = next((path for path in given if path != script), None)
    framework, opening = FRAMEWORKS[settings.framework], trial.opening_of(settings.framework)
    if weights is not None:
        check_hash(weights, settings.sha256)
    elif not framework.given:
        raise UserError("weights: missing: give their path")
    out.mkdir(parents=True, exist_ok=True)
    head = None
    if script is not None:
        check_hash(script, settings.calculator_sha256, "calculator_sha256")
        shutil.copyfile(script, out / script.name)
    if weights is not None:
        target = out / (framework.weights_name or str(settings.weights))
        head = opening.take(weights, settings, target, threads)
    card = card_of(settings, opening.OF_CALCULATOR, head, out)
    if weights is not None and script is not None:
        card = card.model_copy(update={"load": target.name})
    said = trial.ask("try", card, settings, out, threads)
    assert said.facts is not None, "it was asked to try a model"
    done = {"trial": said.trial, "opened": said.opened, "cost": Cost(wall_s=round(time.perf_counter() - start, 1))}
    card.with_facts(said.facts).model_copy(update=done).write(out)


def main(argv: list[str] | None = None) -> int:
    """Read the command line and run the task."""
    parser = command_line(__doc__, "--id", "--settings", "--out", "--threads")
    parser.add_argument("--weights", type=Path, nargs="*", default=[], metavar="FILE", help="the user's file, if any")
    parser.add_argument("--errors", type=Path, metavar="FILE", help="file for why it cannot be used")
    args = parser.parse_args(argv)

    def work() -> None:
        settings = ImportSettings.read(args.settings)
        try:
            with errors.of_model():
                import_model(settings, args.weights, args.out, args.threads)
        except UserError as error:
            shutil.rmtree(args.out, ignore_errors=True)
            what = "labels.model" if settings.role == "labels" else f"models: {settings.model}"
            lines = [f"{what}: {line}" for line in error.errors]
            if args.errors is not None:
                failure.write_failures("IMPORT_MODEL", [args.id], lines, [args.errors])
            raise UserError(*lines) from error

    return task.run("IMPORT_MODEL", work, task_id=args.id, reads=[args.settings, *args.weights], writes=[args.out])
