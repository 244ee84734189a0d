"""The training envelope: training frames are inside, what is compressed, hotter or of other ions is not."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from ionmelt.frame import density_kg_m3
from ionmelt.frames import selection
from ionmelt.measure import domain

EDGE, PAIRS, SPREAD = 11.0, 16, 0.25
LATTICE = np.array([[x, y, z] for x in range(4) for y in range(4) for z in range(2)]) * [EDGE / 4, EDGE / 4, EDGE / 2]


def frame(rng: np.random.Generator, group: str, scale: float = 1.0, kelvin: float | None = 900.0) -> Atoms:
    """A salt that vibrates about a lattice, its box scaled."""
    positions = (LATTICE + rng.normal(scale=SPREAD, size=LATTICE.shape)) * scale
    atoms = Atoms(["Li", "F"] * PAIRS, positions, cell=np.full(3, EDGE * scale), pbc=True)
    atoms.arrays["molecule"], atoms.arrays["ion"] = np.arange(2 * PAIRS), np.array(["li", "f"] * PAIRS)
    atoms.info = {"group": group, "recipe": "equilibrium"}
    if kelvin is not None:
        atoms.info["temperature_K"] = kelvin
    return atoms


def training(seed: int = 1, **changes: float | None) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    return [
        frame(rng, f"g{i // 10}", scale=1 + 0.004 * rng.normal(), **changes)  # type: ignore[arg-type]
        for i in range(80)
    ]


def envelope(frames: list[Atoms]) -> domain.Envelope:
    elements = sorted({int(z) for f in frames for z in f.numbers})
    some = [frames[i] for i in domain.described(frames)]
    return domain.envelope(frames, elements, selection.averages(some, elements))


@pytest.fixture(scope="module")
def trained() -> domain.Envelope:
    return envelope(training())


def judged(
    trained: domain.Envelope, frames: list[Atoms], kelvin: float = 900.0, ions: list[str] | None = None
) -> dict[str, domain.Row]:
    densities = np.array([density_kg_m3(f) for f in frames])
    rows = domain.judge(trained, ions or ["li", "f"] * PAIRS, kelvin, densities, frames)
    return {row["quantity"]: row for row in rows}


def test_training_frames_and_new_ones_of_their_kind_are_inside(trained: domain.Envelope) -> None:
    for frames, may_be in ((training(), {"inside"}), (training(seed=2), {"inside", "partly outside"})):
        rows = judged(trained, frames)
        assert {row["verdict"] for row in rows.values()} <= may_be
        assert rows["surroundings"]["share_outside"] <= 0.1


def test_compressed_by_a_tenth_is_outside(trained: domain.Envelope) -> None:
    squeezed = training(seed=3)
    for f in squeezed:
        f.set_cell(f.cell * 0.9 ** (1 / 3), scale_atoms=True)
    rows = judged(trained, squeezed)
    assert rows["density"]["verdict"] == rows["surroundings"]["verdict"] == "outside"
    assert rows["density"]["share_outside"] == 1 and rows["density"]["seen_low"] > rows["density"]["limit_high"]
    assert rows["temperature"]["verdict"] == rows["composition"]["verdict"] == "inside"


def test_the_further_the_more_outside(trained: domain.Envelope) -> None:
    rng = np.random.default_rng(5)
    means = [
        domain.distances([frame(rng, "x", scale) for _ in range(10)], trained).mean()
        for scale in (1.0, 0.97, 0.94, 0.9)
    ]
    assert means == sorted(means) and means[-1] > 2 * means[0]


def test_heat_other_ions_and_other_elements_are_outside(trained: domain.Envelope) -> None:
    frames = training(seed=4)[:10]
    assert judged(trained, frames, kelvin=1000.0)["temperature"]["verdict"] == "outside"
    row = judged(trained, frames, ions=["li"] * 10 + ["f"] * 20)["composition"]
    assert row["verdict"] == "outside" and row["limit_low"] == row["limit_high"] == 0.5
    row = judged(trained, frames, ions=["li", "f"] * 8 + ["na", "f"] * 8)["composition"]
    assert row["verdict"] == "outside" and row["seen_high"] == 0.25
    strange = frame(np.random.default_rng(1), "x")
    strange.symbols[0] = "Na"
    assert domain.distances([strange, frames[0]], trained)[0] == np.inf
    assert judged(trained, [strange] * 5)["surroundings"]["verdict"] == "outside"


def test_what_the_frames_do_not_say_is_not_judged() -> None:
    trained = envelope(training(kelvin=None))
    rows = judged(trained, training(seed=2)[:3])
    assert rows["temperature"]["verdict"] == "not judged" and "do not say" in rows["temperature"]["reason"]
    alone = envelope(training()[:1])
    assert alone.limit is None and judged(alone, training()[:3])["surroundings"]["verdict"] == "not judged"
    assert judged(trained, [])["surroundings"]["reason"] == "no frame was saved"


@pytest.mark.parametrize("recipe", ["clusters", "ions"])
def test_ions_in_vacuum_say_nothing_of_density_and_composition(recipe: str) -> None:
    frames = training()
    thin = frame(np.random.default_rng(1), "c")
    thin = thin[thin.arrays["ion"] == thin.arrays["ion"][0]]
    thin.set_cell(thin.cell * 3)
    thin.info["recipe"] = recipe
    trained, without = envelope([*frames, thin]), envelope(frames)
    assert (trained.density_kg_m3, trained.ions) == (without.density_kg_m3, without.ions)


def test_the_limit_holds_its_share_of_new_trajectories() -> None:
    """Over several draws of training and new frames, the share beyond the limit is near 5 %."""
    beyond = []
    for seed in range(6):
        trained = envelope(training(seed=10 + seed))
        assert trained.limit is not None
        beyond.append(float((domain.distances(training(seed=50 + seed)[::2], trained) > trained.limit).mean()))
    assert 0.01 < np.mean(beyond) < 0.1


def test_written_and_read_again(trained: domain.Envelope, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        domain.save(trained, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = domain.load(tmp_path / "a.npz")
    frames = training(seed=7)[:5]
    assert again.ions == {"li": [0.5, 0.5], "f": [0.5, 0.5]}
    np.testing.assert_array_equal(domain.distances(frames, again), domain.distances(frames, trained))
    assert len(again.landmarks) <= domain.LANDMARKS
