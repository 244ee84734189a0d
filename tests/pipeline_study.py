"""The study of the tests of the pipeline, and one of its liquid alone."""

import re
from pathlib import Path

STUDY = ("--study", "studies/test.yaml")


def without_training(studies: Path) -> str:
    """Return the small study without models, and without all that they would be trained on."""
    text = (studies / "test.yaml").read_text()
    for section in ("sampling:\n(?:  .*\n)+", "datasets: .*\n", "models:\n(?:  .*\n)+", "labels: .*\n"):
        text = re.sub(rf"^{section}", "", text, flags=re.M)
    return text
