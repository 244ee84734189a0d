"""Read what the tasks of a study left: their tables, model cards, costs and failures."""

import json
import os
from fnmatch import fnmatch
from pathlib import Path

import polars as pl

from ionmelt import errors as errors_module
from ionmelt import files
from ionmelt.compare.groups import Row
from ionmelt.failure import FILE
from ionmelt.settings import SettingsFile
from ionmelt.tables.columns import TEXT, Schema


def find(folder: Path | None, pattern: str) -> list[Path]:
    """Return the files below a folder whose name fits, sorted; symbolic links to folders are entered."""
    if folder is None or not folder.exists():
        return []
    walked = os.walk(folder, followlinks=True)
    return sorted(Path(top, name) for top, _, names in walked for name in names if fnmatch(name, pattern))


def conform(frame: pl.DataFrame, schema: Schema, sort: bool = True) -> pl.DataFrame:
    """Return the table with the schema's columns first, missing ones null, and rows sorted by all columns."""
    frame = frame.with_columns(pl.lit(None, kind).alias(c) for c, kind in schema.items() if c not in frame.columns)
    frame = frame.with_columns(pl.col(c).cast(kind) for c, kind in schema.items())
    frame = frame.select(*schema, *sorted(set(frame.columns) - set(schema)))
    flat = [c for c, kind in frame.schema.items() if not kind.is_nested()]
    return frame.sort(flat, nulls_last=False) if sort and frame.height else frame


def table(frames: list[pl.DataFrame], schema: Schema) -> pl.DataFrame:
    """Stack tables whose columns may differ into one that fits the schema."""
    frames = [frame for frame in frames if frame.width]
    return conform(pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame(), schema)


def read_parquets(folder: Path | None, pattern: str, schema: Schema) -> pl.DataFrame:
    """Read and stack every parquet file below a folder whose name fits."""
    return table([files.read_tables([path]) for path in find(folder, pattern)], schema)


def read_jsons(paths: list[Path]) -> list[Row]:
    """Read JSON objects."""
    return [files.read_json(path) for path in paths]


def read_tasks(path: Path | None) -> list[Row]:
    """Read what tasks wrote of themselves: a folder of JSON files, or a file with one on each line."""
    if path is None or not path.is_file():
        return read_jsons(find(path, "*.json"))
    with errors_module.reading(path, "lines of JSON"):
        content = path.read_text()
        if not content.endswith("\n"):
            raise ValueError("its last line has no end")
        return [json.loads(line) for line in content.splitlines()]


ENDED = (
    "it left no result: its image or environment did not start, or the machine ended it at every try, for its memory or its time: "
    "see pipeline_info/trace.tsv"
)


class Failure(SettingsFile):
    """Why a model, or a run of it, failed: the stage, its key, and the lines of the reason."""

    stage: str
    key: str
    reason: tuple[str, ...]


def read_failures(folder: Path | None, planned: pl.DataFrame) -> pl.DataFrame:
    """Read why models could not be had, evaluated or run: stage, model_key, run_id (of a run) and reason.

    The reason is the first line, with the last of several: what a program said at its end.
    """
    model_of = dict(planned.select("run_id", "model_key").iter_rows())
    rows = []
    for path in find(folder, f"*{FILE}"):
        failed = Failure.read(path)
        lines = [line.removeprefix(f"models: {failed.key}: ") for line in failed.reason] or ["no reason was given"]
        run_id = failed.key if failed.key in model_of else None
        reason = lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1]}"
        rows.append((failed.stage, model_of.get(failed.key, failed.key), run_id, reason))
    return pl.DataFrame(rows, dict.fromkeys(("stage", "model_key", "run_id", "reason"), TEXT), orient="row")


def ended_by_the_machine(plan: Path, delivered: set[str], evaluated: set[str], failures: pl.DataFrame) -> pl.DataFrame:
    """Return a failure, as `read_failures` does, for each model of the plan that was made, or evaluated, and left nothing.

    Tasks that the machine ends at every try, for memory or time, can say nothing themselves. `delivered`: models that have a card;
    `evaluated`: those that have errors, none where nothing was labelled.
    """
    said, rows = set(failures["model_key"]), []
    for model in read_plan_csv(plan, "models.csv").to_dicts():
        key, made = model["key"], "true" in (model.get("trained"), model.get("imported"))
        if key in said or model.get("role", "model") != "model" or not made:
            continue
        if key not in delivered:
            rows.append(("training" if model["trained"] == "true" else "import", key, None, ENDED))
        elif evaluated and key not in evaluated:
            rows.append(("evaluation", key, None, ENDED))
    return pl.DataFrame(rows, failures.schema, orient="row")


def read_plan_csv(plan: Path, name: str) -> pl.DataFrame:
    """Read one of the plan's CSV files, every column as text; empty where the plan has none."""
    path = plan / name
    if not path.is_file() or not path.read_text().strip():
        return pl.DataFrame()
    return files.read_csv(path)


def write_table(frame: pl.DataFrame, name: str, folder: Path) -> None:
    """Write a table as parquet and as csv; nested values become JSON in the csv."""
    files.write_table(frame, folder / f"{name}.parquet")
    nested = [c for c, kind in frame.schema.items() if kind.is_nested()]
    flat = frame.with_columns(
        pl.Series(c, [None if x is None else json.dumps(x) for x in frame[c].to_list()], TEXT) for c in nested
    )
    (folder / f"{name}.csv").write_text(flat.write_csv(), encoding="utf-8")
