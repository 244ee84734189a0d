"""What an equilibration says of itself: equilibration.json."""

from ionmelt.settings import SettingsFile


class EquilibrationRecord(SettingsFile):
    """The conditions of a state, what ran it, and its density (`ionmelt.liquid.density.DensityEstimate`)."""

    id: str
    liquid: str
    replica: int
    temperature_K: float
    pressure_bar: float
    force_field: str
    engine: str
    cutoff_A: float | None
    n_atoms: int
    phases_ps: dict[str, float]
    density_kg_m3: float
    samples: int
    standard_error_kg_m3: float | None
    n_effective: float | None
    correlation_time_ps: float | None
    drift_kg_m3: float | None
    converged: bool | None  # None: not known
    reason: str | None
