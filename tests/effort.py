"""How hard the tests of a tier try."""

from hypothesis import settings


def examples(count: int) -> int:
    """Return how many examples hypothesis tries where `tests/run --all` tries `count`; set by its profiles (conftest.py)."""
    return count * settings.default.max_examples // 100
