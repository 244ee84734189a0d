"""The schedule of an equilibration: heat, compress and anneal, cool, settle, and sample."""

from dataclasses import dataclass

from ionmelt.liquid.settings import StateSettings

COMPRESSION_BAR = 500.0  # closes the voids that packing leaves
COMPRESSION_FRACTION = 1 / 6  # of the anneal
FIXED_VOLUME_PS = 2.0
FIXED_VOLUME_TIMESTEP_FS = 1.0  # packed contacts are still hot


@dataclass(frozen=True)
class Phase:
    """One stretch of the protocol: the temperature goes in a line; no pressure means constant volume."""

    name: str
    ps: float
    start_K: float
    stop_K: float
    pressure_bar: float | None
    timestep_fs: float


def schedule(settings: StateSettings) -> list[Phase]:
    """Return the phases of an equilibration."""
    hot, target = settings.anneal_K, settings.temperature_K
    pressure, timestep = settings.pressure_bar, settings.timestep_fs
    anneal = settings.anneal_ps
    first = min(FIXED_VOLUME_PS, 0.2 * anneal)
    squeeze = COMPRESSION_FRACTION * anneal
    return [
        Phase("heat", first, hot, hot, None, min(FIXED_VOLUME_TIMESTEP_FS, timestep)),
        Phase("compress", squeeze, hot, hot, max(COMPRESSION_BAR, pressure), timestep),
        Phase("anneal", anneal - first - squeeze, hot, hot, pressure, timestep),
        Phase("cool", settings.cool_ps, hot, target, pressure, timestep),
        Phase("settle", settings.settle_ps, target, target, pressure, timestep),
        Phase("production", settings.production_ps, target, target, pressure, timestep),
    ]
