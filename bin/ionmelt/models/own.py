"""Make a model folder of weights, or of a calculator class, that a user brings: checked, described, used as it is.

The order matters, since weights may hold code: first the sha256, then what the file would run (ionmelt/models/weights.py), and only
then is it opened, in a process that may compute and read and nothing else (ionmelt/models/trial.py). There come the
elements, the cut-off, the heads and a trial on a small box: energy, forces and stress must be there and finite. Whether forces and
stress are derivatives of the energy is measured and written into the card.

Writes the model folder --out: the weights and model.json (the model card).
"""

import json
import shutil
import time
from pathlib import Path

from ionmelt import errors, files, task, theory
from ionmelt.arguments import command_line
from ionmelt.errors import UserError
from ionmelt.models import card as models_card
from ionmelt.models import trial
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.settings import ImportSettings

IDENTITY = ("id", "model", "framework", "dataset", "seed")


def check_hash(weights: Path, expected: str | None) -> None:
    """Refuse a file with another sha256 than the study says, before anything opens it."""
    if wrong := models_card.wrong_content(weights, expected):
        raise UserError(f"sha256: {weights.name}: {wrong}, the study says {expected}; it was not opened")


def import_model(settings: ImportSettings, given: list[Path], out: Path, threads: int) -> None:
    """Do the work of the task: check, copy, try out, and write the card."""
    start = time.perf_counter()
    weights = given[0] if given else None
    framework, opening = FRAMEWORKS[settings.framework], trial.opening_of(settings.framework)
    if weights is not None:
        check_hash(weights, settings.sha256)
    elif not framework.given:
        raise UserError("weights: missing: give their path")
    out.mkdir(parents=True, exist_ok=True)
    head = None
    if weights is not None:
        target = out / (framework.weights_name or str(settings.weights))
        head = opening.take(weights, settings, target, threads)
    names = sorted(path.name for path in out.iterdir() if path.name != "model.json")
    dispersion = settings.dispersion
    own = settings.model_dump(mode="json", include=set(opening.OF_CALCULATOR))
    card = settings.model_dump(mode="json", include=set(IDENTITY))
    card = {name: card[name] for name in IDENTITY} | {
        "versions": task.versions(),
        "files": {name: files.sha256(out / name) for name in names},
        "source": {"file": settings.weights, "sha256": settings.sha256} if weights is not None else None,
        "theory": settings.theory and theory.level_with(settings.theory, dispersion.functional if dispersion else None),
        "theory_id": None,
        "dataset_hash": None,
        "split_hash": None,
        "licence": settings.licence,
        "head": head,
        "settings": {name: own[name] for name in opening.OF_CALCULATOR}
        | {"mode": "zero-shot", "dispersion": dispersion.model_dump(mode="json") if dispersion else None},
    }
    said = trial.ask("try", card, settings.model_dump(mode="json"), out, threads)
    card |= said["found"] | {"trial": said["trial"], "opened": said["opened"]}
    card["cost"] = {"wall_s": round(time.perf_counter() - start, 1)}
    (out / "model.json").write_text(json.dumps(card, indent=2) + "\n")


def main(argv: list[str] | None = None) -> int:
    """Read the command line and run the task."""
    parser = command_line(__doc__, "--id", "--settings", "--out", "--threads")
    parser.add_argument("--weights", type=Path, nargs="*", default=[], metavar="FILE", help="the user's file, if any")
    parser.add_argument("--errors", type=Path, metavar="FILE", help="file to write mistakes to, one line each")
    args = parser.parse_args(argv)

    def work() -> None:
        settings = ImportSettings.read(args.settings)
        try:
            with errors.of_model():
                import_model(settings, args.weights, args.out, args.threads)
        except UserError as error:
            shutil.rmtree(args.out, ignore_errors=True)
            lines = [f"models: {settings.model}: {line}" for line in error.errors]
            if args.errors is not None:
                args.errors.write_text("".join(f"{line}\n" for line in lines))
            raise UserError(*lines) from error

    return task.run("IMPORT_MODEL", work, task_id=args.id, reads=[args.settings, *args.weights], writes=[args.out])
