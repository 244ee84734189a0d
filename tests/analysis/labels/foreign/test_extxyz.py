"""Energy, forces, stress and virial of extended XYZ in other units, signs and orders of atoms."""

import numpy as np
import pytest
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import Bohr, GPa, Hartree, Rydberg
from foreign_labels import Run, assert_same, text_of, with_stress

UNITS = {
    "hartree": ({"energy_unit": "Ha", "forces_unit": "Ha/Bohr", "stress_unit": "GPa", "stress_sign": "compression"},
                {"energy": 1 / Hartree, "force": Bohr / Hartree, "stress": -1 / GPa}),
    "rydberg": ({"energy_unit": "Ry", "forces_unit": "Ry/Bohr", "stress_unit": "kbar"},
                {"energy": 1 / Rydberg, "force": Bohr / Rydberg, "stress": 10 / GPa}),
}  # fmt: skip


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_names_units_order_and_images_do_not_matter(run: Run, frames: list[Atoms], unit: str) -> None:
    given, factors = UNITS[unit]
    rng = np.random.default_rng(1)
    text = ""
    for frame in frames:
        images = frame.positions + rng.integers(-1, 2, size=frame.positions.shape) @ frame.cell.array
        order = rng.permutation(len(frame)).tolist()
        text += text_of(frame, order, ("dft_E", "dft_force", "S"), info="e_other=3", positions=images, **factors)
    names = {"energy_key": "dft_E", "forces_key": "dft_force", "stress_key": "S"}
    code, lines, _, got = run({"a.xyz": text}, **names, **given)
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        assert_same(mine, frame)
        for number in range(4):
            members = mine.positions[mine.arrays["molecule"] == number]
            assert np.ptp(members, axis=0).max() < 3.0  # whole


def test_a_virial_is_minus_stress_times_volume(run: Run, frames: list[Atoms]) -> None:
    text = "".join(text_of(f, names=("energy", "forces", "virial"), stress=-f.get_volume()) for f in frames)
    code, lines, _, got = run({"a.xyz": text})
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        assert_same(mine, frame)


def six(frame: Atoms, order: str) -> str:
    """Return the stress of a frame as six numbers."""
    places = {"x": 0, "y": 1, "z": 2}
    return " ".join(f"{frame.info['REF_stress'][places[a], places[b]]:.14f}" for a, b in order.split())


@pytest.mark.parametrize("given", [None, "xx yy zz yz xz xy", "xx yy zz xy yz zx"])
def test_a_stress_of_six_numbers_has_an_order(run: Run, frames: list[Atoms], given: str | None) -> None:
    """ASE's own conversion is the judge of its order, VASP's is written out."""
    text = "".join(with_stress(frame, six(frame, given or "xx yy zz yz xz xy")) for frame in frames)
    code, lines, _, got = run({"a.xyz": text}, **({"stress_order": given} if given else {}))
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        assert_same(mine, frame)
    if given != "xx yy zz xy yz zx":
        voigt = [full_3x3_to_voigt_6_stress(mine.info["REF_stress"]) for mine in got]
        np.testing.assert_allclose(
            voigt, [np.array(six(f, "xx yy zz yz xz xy").split(), float) for f in frames], atol=1e-12
        )
    assert any("six numbers (20 frames) are taken as" in line for line in lines)
    assert any("give stress_order: xx yy zz xy yz zx" in line for line in lines) == (given is None)
