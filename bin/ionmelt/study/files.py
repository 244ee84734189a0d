"""The files of a plan, by path."""

import csv
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ionmelt.errors import UserError
from ionmelt.files import SUMS, sealed
from ionmelt.settings import TaskSettings


def cell(value: Any) -> Any:
    """Return a value as a CSV file holds it: nothing for None, and true and false in small letters."""
    return str(value).lower() if isinstance(value, bool) else "" if value is None else value


def is_plan_alone(folder: Path) -> bool:
    """Tell whether a folder is empty, or holds a plan and nothing beside it: results have a study.json too."""
    if not folder.is_dir():
        return False
    sums = folder / SUMS
    lines = sums.read_text(errors="replace").splitlines() if sums.is_file() else []
    listed = {line.partition("  ")[2] for line in lines}
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()} - {SUMS}
    return there <= listed and (not there or "study.json" in listed)


@dataclass
class Plan:
    """The files of a plan, by path."""

    files: dict[str, str] = field(default_factory=dict)

    def json(self, path: str, content: Any) -> None:
        """Add a JSON file."""
        self.files[path] = json.dumps(sealed(content), indent=2, sort_keys=True, allow_nan=False) + "\n"

    def settings(self, path: str, settings: TaskSettings, **left_out: Any) -> None:
        """Add the settings of a task; `left_out` as in pydantic's `model_dump`."""
        self.json(path, settings.model_dump(mode="json", **left_out))

    def csv(self, path: str, kind: Any, rows: Sequence[Any], columns: Sequence[str] = ()) -> None:
        """Add a CSV file of rows of one dataclass; its fields are the columns, where none are given."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = columns or [entry.name for entry in fields(kind)]
        writer.writerow(names)
        for row in rows:
            values = asdict(row)
            writer.writerow([cell(values[name]) for name in names])
        self.files[path] = text.getvalue()

    def write(self, out: Path) -> None:
        """Write the files into a folder of their own; an earlier plan there is replaced."""
        if out.exists():
            if not is_plan_alone(out):
                raise UserError(f"out: {out}: exists and is not a plan: give another folder")
            shutil.rmtree(out)
        for name, text in sorted(self.files.items()):
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
