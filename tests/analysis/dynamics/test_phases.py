"""How often a run is recorded: often enough that no vibration looks slow."""

from types import SimpleNamespace

import numpy as np
import pytest

from ionmelt.dynamics.phases import strides_of

PER_CM_FS = 2.99792458e-5  # periods in a femtosecond of 1/cm


def strides(timestep_fs: float, save_every_fs: float, has_viscosity: bool) -> tuple[int, int]:
    def steps(time_fs: float) -> int:
        return max(1, round(time_fs / timestep_fs))

    settings = SimpleNamespace(timestep_fs=timestep_fs, save_every_fs=save_every_fs, segment_ps=0.5, steps=steps)
    return strides_of(settings, has_viscosity)


@pytest.mark.parametrize("save_every_fs", [10.0, 20.0, 50.0, 100.0])
@pytest.mark.parametrize("timestep_fs", [0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0])
def test_the_integral_of_a_vibration_is_that_of_its_samples(timestep_fs: float, save_every_fs: float) -> None:
    """The autocorrelation of the stress of a bond, cos(w t) exp(-t / 50 fs), integrates to nearly nothing, and so must its samples."""
    stride, segment = strides(timestep_fs, save_every_fs, has_viscosity=True)
    frame = max(1, round(save_every_fs / timestep_fs))
    assert frame % stride == 0 and segment % frame == 0
    time = stride * timestep_fs * np.arange(2000)
    for wavenumber in np.arange(500.0, 3800.0, 10):  # from O-H in water down to what moves slowly itself
        angular, lifetime = 2 * np.pi * PER_CM_FS * wavenumber, 50.0
        sampled = np.trapezoid(np.cos(angular * time) * np.exp(-time / lifetime), time)
        assert sampled - lifetime / (1 + (angular * lifetime) ** 2) < 0.08 * lifetime


def test_what_is_not_integrated_is_recorded_every_10_fs() -> None:
    assert strides(0.5, 20.0, has_viscosity=False)[0] * 0.5 == 10
    assert strides(1.0, 100.0, has_viscosity=False)[0] == 10
