"""The files of a plan, by path."""

import csv
import io
import json
from dataclasses import dataclass, field
from typing import Any

from ionmelt import files as files_module


@dataclass
class Plan:
    """The files of a plan, by path."""

    files: dict[str, str] = field(default_factory=dict)

    def json(self, path: str, content: Any) -> None:
        """Add a JSON file."""
        self.files[path] = json.dumps(files_module.sealed(content), indent=2, sort_keys=True, allow_nan=False) + "\n"

    def csv(self, path: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
        """Add a CSV file; what is None is left empty, and true and false are written small."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            values = (row[name] for name in columns)
            writer.writerow([str(v).lower() if isinstance(v, bool) else "" if v is None else v for v in values])
        self.files[path] = text.getvalue()
