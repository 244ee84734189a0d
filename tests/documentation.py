"""The pages of the documentation, and what stands in their blocks."""

import re
import shlex
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
PUBLISHED = sorted((TOP / "docs" / "results").glob("*/index.md"))
PAGES = [TOP / "README.md", TOP / "AGENTS.md", *sorted((TOP / "docs").glob("*.md")), *PUBLISHED]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a page that are of a language, or of none."""
    return [block for name, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S) if name == language]


def commands(text: str) -> list[list[str]]:
    """Return the commands of a page's blocks as words, without comments; lines that go on are joined."""
    lines = "".join(blocks(text, "")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line.split("  #")[0].strip(), comments=True))]
