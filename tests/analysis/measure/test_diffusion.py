"""Diffusion: the correction for the size of the box."""

import pytest

from ionmelt.measure.observables.diffusion import yeh_hummer


def test_yeh_hummer_is_the_published_correction() -> None:
    # 2.837297 kT / (6 pi eta L) of water at 298 K in a 2 nm cell: 3.48e-10 m2/s
    corrected = yeh_hummer(2e-9, 2e-9, 298.0, 0.89e-3)
    assert corrected - 2e-9 == pytest.approx(3.48e-10, rel=1e-2)
