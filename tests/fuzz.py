"""Spoil the text of a good file as editors, full disks and people do, by a random generator that has a seed."""

import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from effort import examples

CORPUS = Path(__file__).resolve().parent / "data/fuzz"
COUNT = examples(
    5000
)  # inputs of a kind: 1000 with the quick profile of hypothesis, 100,000 with that of `tests/run --long`
FIRST = int(os.environ.get("IONMELT_FUZZ_FIRST", "0"))  # the number of the first input: another search has others
ODD = (
    "", "0", "-1", "1", "2", "1e9", "-1e-9", "1e400", "nan", "inf", "-inf", "****", "1.0.0", "1,5", "1d5", "0x10", "1_000", "²", "½",
    "null", "true", "[]", "{}", '""', "'", '"', ":", ",", "=", "#", "-", "<", "&", "\\", "\t", "\r", "\x00", "\x1b", "\ufeff", "\u2028", "é", "𝟏",
    "Li", "Xx", "C", "9" * 30, "9" * 5000, "[" * 300, "energy=1", 'Lattice="1 0 0"', "<i>", "%s",
)  # fmt: skip
NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")


def spoiled(text: str, rng: random.Random) -> str:
    """Return the text with one to three changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        text = rng.choice(CHANGES)(text, rng)
    return text


def one_replaced(pattern: re.Pattern[str], text: str, rng: random.Random, new: Callable[[str], str]) -> str:
    """Return the text with one match of a pattern, the next from a place drawn at random, replaced."""
    match = pattern.search(text, rng.randrange(len(text) + 1)) or pattern.search(text)
    return text if match is None else text[: match.start()] + new(match[0]) + text[match.end() :]


def number_odd(text: str, rng: random.Random) -> str:
    """Replace a number by something odd."""
    return one_replaced(NUMBER, text, rng, lambda _: rng.choice(ODD))


def number_scaled(text: str, rng: random.Random) -> str:
    """Replace a number by its negative, or a multiple of it."""
    factor = rng.choice((-1.0, 0.1, 2.0, 27.2, 1000.0))
    return one_replaced(NUMBER, text, rng, lambda old: f"{float(old) * factor:.8g}")


def word_replaced(text: str, rng: random.Random) -> str:
    """Replace a word by something odd, or by another word of the text."""
    start = rng.randrange(len(text) + 1)
    other = re.search(r"\S+", text[start : start + 200])
    return one_replaced(re.compile(r"\S+"), text, rng, lambda _: rng.choice((*ODD, other[0] if other else "")))


def characters_changed(text: str, rng: random.Random) -> str:
    """Leave some characters out, and put something odd there."""
    start = rng.randrange(len(text) + 1)
    return text[:start] + rng.choice(("", *ODD)) + text[start + rng.choice((0, 1, 1, 2, 5, 40)) :]


def lines_changed(text: str, rng: random.Random) -> str:
    """Leave a line out, double it, swap it with another, or move some to another place."""
    lines = text.splitlines(keepends=True)
    if len(lines) < 2:
        return text
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            del lines[i]
        case 1:
            lines.insert(i, lines[i])
        case 2:
            lines[i], lines[j] = lines[j], lines[i]
        case _:
            size = rng.randrange(1, 30)
            moved = lines[i : i + size]
            del lines[i : i + size]
            lines[j:j] = moved
    return "".join(lines)


def cut_off(text: str, rng: random.Random) -> str:
    """Leave out everything from a place on, or before it."""
    position = rng.randrange(len(text) + 1)
    return text[:position] if rng.random() < 0.8 else text[position:]


CHANGES = (number_odd, number_odd, number_scaled, word_replaced, characters_changed, lines_changed, cut_off)


def inputs(good: list[str], count: int = COUNT) -> Iterator[tuple[int, str]]:
    """Yield numbers and spoiled texts, made of the good ones in turn; a number always gives the same text."""
    for number in range(FIRST, FIRST + count):
        rng = random.Random(number)
        yield number, spoiled(good[number % len(good)], rng)


def corpus(kind: str) -> list[Path]:
    """Return the inputs of a kind that were handled wrongly once."""
    return sorted((CORPUS / kind).glob("*"))
