"""Groups: which two of them differ in one thing only."""

from dataclasses import replace

from ionmelt.compare.groups import Group, one_factor_apart


def group(dataset: str, mixture: str | None = None, size: int | None = None) -> Group:
    return Group(
        "x", 430.0, "density", None, "m", dataset, "kg/m3", estimate=None, converged=False, mixture=mixture, size=size
    )


def test_sizes_and_kinds_differ_in_one_thing() -> None:
    both, small, eq, eq_small = (
        group(name, mixture, size)
        for name, mixture, size in (("both", "both", None), ("b8", "both", 8), ("eq", "eq", None), ("e8", "eq", 8))
    )
    assert (group("v.2").whole, group("v.2").size) == ("v.2", None)  # a name is a name
    alike = [(both, small), (small, eq_small), (both, eq)]
    assert all(one_factor_apart(a, b) for a, b in alike)
    assert not one_factor_apart(both, eq_small)
    assert not one_factor_apart(small, replace(small, model="n", dataset="both"))
