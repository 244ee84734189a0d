"""Faults on purpose: none gives a wrong number, and none leaves its user without a word (benchmarks/faults.py)."""

import re
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "benchmarks"))

import faults  # noqa: E402


def assert_all_is_well(results: list[faults.Result]) -> None:
    bad = [result for result in results if result.verdict not in ("detected", "recovered", "skipped")]
    assert not bad, "\n".join(f"{r.verdict}: {r.fault.stage}: {r.fault.kind} {r.fault.target}: {r.how}" for r in bad)
    for result in results:
        if result.verdict == "skipped":
            print(f"not injected: {result.fault}: {result.how}")


def test_the_matrix_covers_every_stage_and_kind() -> None:
    assert len(set(faults.FAULTS)) == len(faults.FAULTS) >= 100
    modules = {
        path.stem.upper() for path in (TOP / "modules").glob("*.nf") if re.search("^process ", path.read_text(), re.M)
    }
    reached = {faults.STAGES[fault.stage].process for fault in faults.FAULTS}
    assert modules == reached
    kinds = {fault.kind for fault in faults.FAULTS}
    assert kinds >= {*faults.DAMAGES, "killed", "time limit", "engine stops", "memory", "disk", "tmpfs", "clock"} - {
        "lost lines"
    }


@pytest.mark.all
@pytest.mark.budget(1200)
def test_faults_that_are_quick_to_inject(tmp_path: Path) -> None:
    assert_all_is_well(faults.matrix(faults.Bench(tmp_path, ("--tests",)), [f for f in faults.FAULTS if f.short]))


@pytest.mark.long
def test_every_fault(tmp_path: Path) -> None:
    assert_all_is_well(faults.matrix(faults.Bench(tmp_path, ("--tests",)), faults.FAULTS))
