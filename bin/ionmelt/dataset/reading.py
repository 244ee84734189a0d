"""The labelled frames of all chunks with their rows: whole, of one level of theory, each structure once."""

from collections import Counter
from pathlib import Path

import polars as pl
from ase import Atoms

from ionmelt.errors import UserError
from ionmelt.frame import ENERGY_KEY, SCAN_RECIPE
from ionmelt.frame_file import read_frames
from ionmelt.labels.summary import counted_reasons


def check_labels(labels: pl.DataFrame, max_failed_fraction: float) -> int:
    """Return how many labels failed; raises `UserError` for too many, or for more than one level of theory."""
    theories = sorted(labels["theory_id"].drop_nulls().unique())
    errors = []
    if len(theories) > 1:
        errors.append(
            f"labels: {len(theories)} levels of theory ({', '.join(theories)}); one dataset can hold only one"
        )
    bad = labels.filter(~pl.col("converged") | pl.col("reason").is_not_null())
    if len(bad) > max_failed_fraction * len(labels):
        errors.append(
            f"labels.max_failed_fraction: {len(bad)} of {len(labels)} labels failed ({len(bad) / len(labels):.1%}; {counted_reasons(bad)}), "
            f"more than the allowed {max_failed_fraction:.1%}; see tables/labels, mend the labels or raise the limit"
        )
    if errors:
        raise UserError(*errors)
    return len(bad)


def unique_frames(frames: list[Atoms]) -> list[Atoms]:
    """Return each structure once, in an order that does not depend on the order of the files.

    Of equal structures the one of the test scan is kept, so that none of it is trained on.
    """
    ordered = sorted(frames, key=lambda f: (f.info["recipe"] != SCAN_RECIPE, f.info["group"], f.info["frame_id"]))
    first: dict[str, Atoms] = {}
    for frame in ordered:
        first.setdefault(frame.info["frame_id"], frame)
    return list(first.values())


def read_labelled(paths: list[Path]) -> list[Atoms]:
    """Read the frames of all chunks; a chunk whose labels all failed is an empty file."""
    return [frame for path in sorted(paths) for frame in read_frames(path, labelled=True, may_be_empty=True)]


def check_pairs(frames: list[Atoms], labels: pl.DataFrame) -> None:
    """Refuse frames that are not those of the rows: a chunk that is lost, or a table of another."""
    rows = Counter(labels.filter("converged").select("frame_id", "energy_ev").iter_rows())
    of_frames = Counter((frame.info["frame_id"], float(frame.info[ENERGY_KEY])) for frame in frames)
    wrong = sorted({frame_id for frame_id, _ in (rows - of_frames) + (of_frames - rows)})
    if wrong:
        raise UserError(
            f"frames: {wrong[0]} and {len(wrong) - 1} more: frames (REF_energy) and rows of labels (energy_ev) differ: one of "
            "the files is lost or of another run"
        )
