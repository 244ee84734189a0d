"""The compiled kernels against MACE's own calculator in double precision: models of several forms, with random weights."""

import types
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from mace_models import DENSITY, PLAIN, RESIDUAL, calculator_of

from ionmelt.dynamics.engines import forces, kernels

pytest.importorskip("ionmelt_kernels", reason="no kernels in this environment: they need g++ when it is made")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


def engine_of(calculator: Any, atoms: Atoms) -> forces.ForceEngine:
    """Return the engine of a calculator, which is loaded before it, as in a run: e3nn can be imported after MACE alone."""
    from ionmelt.dynamics.engines.compiled import CompiledEngine

    return CompiledEngine(calculator, atoms)


def melt(seed: int = 5, repeats: int = 2) -> Atoms:
    """Return LiF with its atoms moved far, in which one Li is Na."""
    atoms = bulk("LiF", "rocksalt", a=4.1, cubic=True) * (repeats, 1, repeats)
    atoms.symbols[0] = "Na"
    atoms.rattle(0.25, seed=seed)
    return atoms


MODELS = {
    "L1": {"hidden": "16x0e + 16x1o"},
    "L0, one product fewer": {"hidden": "32x0e", "correlation": 2, "max_ell": 2},
    "L2, channels of no kind that is compiled for itself": {"hidden": "12x0e + 12x1o + 12x2e", "correlation": 2},
    "no product": {"hidden": "8x0e + 8x1o", "correlation": 1, "max_ell": 1},
    "four factors": {"hidden": "8x0e", "correlation": 4, "max_ell": 1},
    "three layers": {"hidden": "8x0e + 8x1o", "correlation": 2, "num_interactions": 3, "max_ell": 2},
    "one layer": {"hidden": "8x0e + 8x1o", "num_interactions": 1, "correlation": 2},
    "other blocks": {"hidden": "8x0e + 8x1o", "first": PLAIN, "later": RESIDUAL, "correlation": 2},
    "repulsion of nuclei": {"hidden": "8x0e + 8x1o", "pair_repulsion": True, "correlation": 2},
    "reduced couplings": {"hidden": "8x0e + 8x1o", "use_reduced_cg": False},
}  # fmt: skip


@pytest.mark.parametrize(
    "name", ["L1", *(pytest.param(name, marks=pytest.mark.all) for name in MODELS if name != "L1")]
)
def test_they_give_the_calculators_numbers(name: str) -> None:
    calculator, atoms = calculator_of(**MODELS[name]), melt()
    engine = engine_of(calculator, atoms)
    assert engine.name == "compiled"
    for scale in (0.93, 1.0, 1.2):
        frame = (atoms.positions * scale + 30.0, atoms.cell.array * scale)
        (expected,) = forces.PlainEngine(calculator, atoms).compute([frame], [0])
        (answer,) = engine.compute([frame], [0])
        size = np.abs(expected.forces).max()
        assert size > 0.05, "forces that say something"
        assert answer.energy == pytest.approx(expected.energy, abs=2e-4)
        np.testing.assert_allclose(answer.forces, expected.forces, atol=5e-5 * max(1.0, size))
        np.testing.assert_allclose(answer.stress, expected.stress, atol=1e-5)
        engine.forget(0)


def test_forces_are_derivatives_of_the_energy_and_do_not_depend_on_threads() -> None:
    atoms = melt()
    engine = engine_of(calculator_of("16x0e + 16x1o"), atoms)
    before = torch.get_num_threads()
    try:
        answers = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            answers.append(engine.compute([(atoms.positions, atoms.cell.array)], [0])[0])
    finally:
        torch.set_num_threads(before)
    step = 5e-3  # A; single precision leaves 1e-6 eV to the energy
    moved = []
    for sign in (1, -1):
        positions = atoms.positions.copy()
        positions[7, 1] += sign * step
        moved.append(engine.compute([(positions, atoms.cell.array)], [0])[0].energy)
    assert answers[0].forces[7, 1] == pytest.approx(-(moved[0] - moved[1]) / (2 * step), abs=2e-3)
    for other in answers[1:]:
        np.testing.assert_allclose(other.forces, answers[0].forces, atol=1e-6)


def test_several_frames_at_once_are_what_they_are_alone() -> None:
    atoms = melt()
    engine = engine_of(calculator_of("8x0e + 8x1o", correlation=2), atoms)
    frames = [(melt(seed).positions * s, atoms.cell.array * s) for seed, s in ((1, 1.0), (2, 1.05), (3, 0.96))]
    together = engine.compute(frames, [0, 1, 2])
    for slot, frame in enumerate(frames):
        (alone,) = engine.compute([frame], [slot])
        np.testing.assert_allclose(together[slot].forces, alone.forces, atol=1e-5)
        assert together[slot].energy == pytest.approx(alone.energy, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"distance_transform": "Agnesi"}, "radial functions that depend on the elements"),
        ({"first": DENSITY}, "an interaction of another form: RealAgnosticDensityInteractionBlock"),
    ],
)
def test_what_they_do_not_know_they_do_not_take(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        engine_of(calculator_of("8x0e + 8x1o", correlation=2, **changes), melt())


def test_a_library_of_another_version_or_for_another_processor_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setattr(kernels, "VERSION", 99)
    with pytest.raises(ImportError, match=r"kernels of version \d+, not 99"):
        kernels.library()
    old = tmp_path / "cpuinfo"
    old.write_text("flags\t\t: fpu sse4_2 avx\n")
    monkeypatch.setattr(kernels, "Path", lambda path: old)
    monkeypatch.setattr(kernels, "platform", types.SimpleNamespace(machine=lambda: "x86_64"))
    with pytest.raises(ImportError, match="the processor has no AVX2"):
        kernels.library()
