"""The identifier of a level of theory: a hash of the settings that change a label."""

import hashlib
import json
from collections.abc import Mapping

from pydantic import JsonValue

# Settings of the labels section that cannot change a label: names of what stands beside them, how long to try, where
# and how the work is done.
NOT_THEORY = (
    "model", "theory", "quality", "chunk", "max_failed_fraction", "max_frame_s", "max_iterations", "spot_check_fraction", "device",
)  # fmt: skip


def theory_id(settings: Mapping[str, object]) -> str:
    """Return 12 hex digits of a hash of the settings that change the energy (JSON values, any key order)."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def theory_settings(labels: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the part of the labels section that `theory_id` hashes: what can change the label.

    Numbers are floats (800 and 800.0 are the same), and nothing that dispersion needs counts where there is none.
    """
    kept = {key: value for key, value in labels.items() if key not in NOT_THEORY}
    if kept.get("dispersion") == "none":
        kept.pop("dispersion_cutoff_A", None)
    return {key: float(value) if type(value) is int else value for key, value in kept.items()}
