"""What CP2K wrote for a box of lithium fluoride (2023.1), and settings of its engine for tests."""

from pathlib import Path

from ionmelt.labels.engines.settings import Cp2kLabels

DATA = Path(__file__).resolve().parent / "data"
LIF = {name: (DATA / f"lif.{name}").read_text() for name in ("out", "forces", "stress")}
UNCONVERGED = (
    LIF["out"]
    .replace("*** SCF run converged in    15 steps ***", "*** WARNING in qs_scf.F:598 :: SCF run NOT converged ***")
    .replace("outer SCF loop converged in   2 iterations", "outer SCF loop FAILED to converge after   2 iterations")
)
SETTINGS = {
    "engine": "cp2k",
    "functional": "PBE",
    "dispersion": "D3(BJ)",
    "basis": "DZVP-MOLOPT-SR-GTH",
    "potential": "GTH-PBE",
    "cutoff_Ry": 300,
    "rel_cutoff_Ry": 40,
    "eps_scf": 1e-7,
}
COARSE = SETTINGS | {"cutoff_Ry": 120, "rel_cutoff_Ry": 30}  # where numbers do not matter


def section(settings: dict) -> Cp2kLabels:
    """Return the settings of CP2K's engine."""
    return Cp2kLabels.model_validate({"engine": "cp2k", **settings})
