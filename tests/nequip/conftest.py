"""Put tests/ on the path, for what the tests of both trainings share."""

import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests"), str(TOP / "benchmarks")]
pytest.register_assert_rewrite("engine_tests")
