"""What a study says about dynamics, judged, and the references that it gives."""

from typing import Any

from ionmelt.errors import UserError
from ionmelt.mistakes import brief
from ionmelt.study.boxes import Box, equilibration_step_fs
from ionmelt.study.check_data import SAVED_FRAMES_LEAST, is_multiple
from ionmelt.study.places import Places, missing_file
from ionmelt.study.reading import Draft, Problems
from ionmelt.study.references import composition, read_references, spelled

SAVED_FRAMES_MAX = 1_000_000


def check_md(draft: Draft, problems: Problems) -> None:
    """Judge time steps, lengths and saved frames of the dynamics."""
    step, every = draft.get("md", "timestep_fs"), draft.get("md", "save_every_fs")
    if step and every:
        if not is_multiple(every, step):
            problems.add(("md", "save_every_fs"), f"{every:g} is not a multiple of timestep_fs {step:g}")
        lengths = [draft.get("md", name) or 0 for name in ("npt_ps", "nvt_ps")]
        saved = sum(lengths) * 1000 / every
        if saved > SAVED_FRAMES_MAX:
            text = f"{every:g} saves {saved:.3g} frames of each run: at most {SAVED_FRAMES_MAX:g}; "
            text += "save less often"
            problems.add(("md", "save_every_fs"), text)
        if draft.get("md", "npt_ps") and lengths[0] * 1000 < every:
            problems.add(
                ("md", "npt_ps"),
                f"{lengths[0]:g} ps is shorter than save_every_fs {every:g}: no frame is saved",
            )
    given, save = (draft.get("equilibration", name) for name in ("timestep_fs", "save_every_ps"))
    fields = {liquid.get("force_field") for liquid in draft.liquids.values()} or {None}
    for step in sorted({equilibration_step_fs(given, force_field) for force_field in fields} if given and save else ()):
        if not is_multiple(save * 1000, step):
            text = f"{save:g} ps is not a multiple of equilibration.timestep_fs {step:g}"
            problems.add(("equilibration", "save_every_ps"), text)
    length = draft.get("equilibration", "production_ps")
    if length and save and (frames := int(length / save + 1e-9)) < SAVED_FRAMES_LEAST:
        text = f"{length:g} ps saves {frames} frames at save_every_ps {save:g}: at least {SAVED_FRAMES_LEAST}"
        problems.add(("equilibration", "production_ps"), text)


def check_references(
    draft: Draft, known: dict[str, Any], boxes: dict[int, Box], places: Places, problems: Problems
) -> list[dict[str, Any]]:
    """Return the rows of every reference file, and note what is wrong with them."""
    rows: list[dict[str, Any]] = []
    own = {ion["name"]: ion["charge"] for box in boxes.values() for ion in box.ions}
    ours = {name: entry["charge"] for name, entry in known.items()}
    # of a liquid that is wrong the ions are not known, which is said already
    whole = len(boxes) == len(draft.liquids)
    liquids = {composition({ion["name"]: ion["count"] for ion in box.ions}) for box in boxes.values()}
    for index, text in enumerate(draft.get("references") or ()):
        path, bundled = places.path(text), text.startswith("assets/")
        if path is None:
            problems.add(
                ("references", index),
                f"{brief(text)}: cannot be read from here: put it into assets/references",
            )
        elif wrong := missing_file(places, text):
            problems.add(("references", index), wrong)
        else:
            try:
                found = read_references(path, ours if bundled else ours | own if whole else None)
            except UserError as error:
                for line in error.errors:
                    problems.add(("references", index), line)
                continue
            rows += found
            # files that come with us are of many liquids; one of the user's own is of these
            if whole and not bundled and not any(row["composition"] in liquids for row in found):
                wanted = " or ".join(sorted(repr(spelled(liquid)) for liquid in liquids))
                told = f"{path.name}: none of its {len(found)} rows is of a liquid of this study: give {wanted}"
                problems.add(("references", index), told)
    return rows
