"""Where a run leaves what its model was trained on."""

from ionmelt.measure import domain
from ionmelt.measure.measurement import Measurement
from ionmelt.measure.numbers import Row
from ionmelt.measure.simulation import Run, finite
from ionmelt.tables.columns import REAL, RUN_MODEL, TEXT, WHOLE


def measure(run: Run) -> list[Row]:
    """Return a row for each quantity, NPT and NVT together."""
    if run.envelope is None or not run.envelope.is_file():
        return [domain.not_judged("all", domain.why_unknown(run.record.framework))]
    envelope = domain.load(run.envelope)
    densities = finite(run.thermo.select("density_kg_m3").drop_nulls().to_numpy().astype(float))[:, 0]
    frames = [atoms for phase in ("npt", "nvt") for atoms in run.frames(phase, domain.FRAMES // 2)]
    ions = run.topology.molecule_ion.tolist()
    rows = domain.judge(envelope, ions, run.record.temperature_K, densities, frames)
    return [row | {"reason": "; ".join(x for x in (run.ended, row.get("reason")) if x) or None} for row in rows]


DOMAIN = Measurement(
    name="domain",
    measure=measure,
    row="a quantity of a run, held against what the model's training frames span",
    columns={
        "quantity": TEXT, "frames": WHOLE, "share_outside": REAL, "seen_low": REAL, "seen_high": REAL,
        "limit_low": REAL, "limit_high": REAL, "unit": TEXT, "verdict": TEXT, "reason": TEXT, **RUN_MODEL,
    },
)  # fmt: skip
