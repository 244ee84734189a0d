"""A foreign frame as a labelled frame of the contract, and its row in the table of labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.units import bar

from ionmelt.frame import ENERGY_KEY, FORCES_KEY, SCAN_KEY, SCAN_RECIPE, set_label
from ionmelt.labels.compositions import Liquid, as_it_is, contract_frame, ions_of
from ionmelt.labels.foreign.blocks import ForeignFrame
from ionmelt.labels.identity import identity
from ionmelt.labels.judgement import Refusal, problem, said_against
from ionmelt.labels.matching import NoMatch
from ionmelt.labels.settings import ImportSettings

ENGINE = "imported"
SAME_ENERGY_EV = 1e-4  # per atom: of one structure twice
LONE_ATOM = (
    "; a free atom, whose energy is the reference of its element, has config_type=IsolatedAtom or pbc F F F in extxyz; "
    "leave it out otherwise"
)


@dataclass
class ImportedRow:
    """The row of a frame in the table of labels: columns of `IMPORTED`."""

    frame_id: str  # where it stands in the user's files, until it is a frame of the contract
    kind: str
    recipe: str
    group: str
    n_atoms: int | None
    theory_id: str
    source: str
    liquid: str | None = None
    engine: str = ENGINE
    converged: bool = False
    reason: str | None = None
    detail: str | None = None
    energy_ev: float | None = None
    max_force_ev_a: float | None = None
    net_force_ev_a: float | None = None
    has_stress: bool | None = None
    pressure_bar: float | None = None

    def refuse(self, refusal: Refusal) -> None:
        """Say why the frame is not used."""
        self.converged, self.reason, self.detail = False, refusal.reason, refusal.detail

    def accept(self, energy_ev: float, forces_ev_a: np.ndarray, stress_ev_a3: np.ndarray | None) -> None:
        """Put the numbers of the label there: forces (N, 3), stress (3, 3)."""
        self.converged = True
        self.energy_ev = energy_ev
        self.max_force_ev_a = float(np.linalg.norm(forces_ev_a, axis=1).max())
        self.net_force_ev_a = float(np.linalg.norm(forces_ev_a.sum(axis=0)))
        self.has_stress = stress_ev_a3 is not None
        self.pressure_bar = None if stress_ev_a3 is None else float(-np.trace(stress_ev_a3) / 3 / bar)


class Importer:
    """Turns foreign frames into labelled frames of the contract, one by one in the order of the files."""

    def __init__(self, settings: ImportSettings, liquids: Sequence[Liquid]) -> None:
        self.settings, self.liquids = settings, liquids
        self.energies_ev: dict[str, float] = {}  # of the first frame with each id
        self.groups: dict[
            tuple[object, ...], str
        ] = {}  # of the first frame with each kind, composition, volume and label
        self.again = 0  # frames that came before, perhaps with other images or digits of the same atoms

    def imported(self, foreign: ForeignFrame, block: str) -> tuple[ImportedRow, Atoms | None]:
        """Return the row of a frame, and the labelled frame where it can be used; `block` is its group if it names none."""
        who, wrong = identity(foreign, self.settings, block)
        row = ImportedRow(
            frame_id=foreign.where,
            kind=who.kind,
            recipe=who.recipe,
            group=who.group,
            n_atoms=len(foreign.atoms) if foreign.atoms else None,
            theory_id=self.settings.theory_id,
            source=foreign.where,
        )
        bad = said_against(foreign.info, bool(self.settings.liquids)) if foreign.reason is None else None
        bad = bad or problem(foreign, self.settings.max_net_force_eV_A)
        bad = bad or (Refusal("identity", wrong) if wrong else None)
        if bad:
            row.refuse(bad)
            return row, None
        scale = {SCAN_KEY: float(foreign.info[SCAN_KEY])} if who.recipe == SCAN_RECIPE else {}
        reordered = self.reordered(row, foreign, scale)
        if reordered is None:
            return row, None
        frame, order = reordered
        energy, forces, stress = foreign.energy_ev, foreign.forces_ev_a, foreign.stress_ev_a3
        assert energy is not None
        assert forces is not None
        row.frame_id = frame.info["frame_id"]
        first = self.energies_ev.setdefault(row.frame_id, energy)
        if abs(first - energy) > SAME_ENERGY_EV * len(frame):
            said = f"the same structure came before with another energy ({first:.6f}, here {energy:.6f} eV)"
            row.refuse(Refusal("contradiction", said))
            return row, None
        if stress is not None:
            stress = (stress + stress.T) / 2
        set_label(frame, energy, forces[order], stress, self.settings.theory_id, True, None)
        row.accept(energy, forces, stress)
        self.keep_together(row, frame)
        return row, frame

    def keep_together(self, row: ImportedRow, frame: Atoms) -> None:
        """Put a frame that came before into the group of the first, also where its atoms are other images or have other digits."""
        size = float(np.sqrt(np.mean(frame.arrays[FORCES_KEY] ** 2)))
        energy, volume = float(frame.info[ENERGY_KEY]), frame.get_volume()
        label = (
            row.kind,
            row.recipe,
            frame.symbols.formula.format("hill"),
            round(energy, 4),
            round(size, 3),
            round(volume, 1),
        )
        self.again += label in self.groups
        row.group = frame.info["group"] = self.groups.setdefault(label, row.group)

    def reordered(
        self, row: ImportedRow, foreign: ForeignFrame, scale: dict[str, float]
    ) -> tuple[Atoms, np.ndarray] | None:
        """Return a frame ion by ion and the order (N,) of its atoms; None, and the row says why, where its ions are no liquid's."""
        names = {"kind": row.kind, "recipe": row.recipe, "group": row.group}
        if not self.settings.liquids:
            frame, order = as_it_is(foreign, **names, **scale)
            row.liquid = frame.info["liquid"]
            return frame, order
        assert foreign.atoms is not None
        hint = LONE_ATOM if len(foreign.atoms) == 1 else ""
        try:
            liquid, matched = ions_of(foreign, self.liquids)
        except NoMatch as error:
            row.refuse(Refusal("unknown_ion", f"{error}{hint}"))
            return None
        charge = sum(liquid.ions[name]["charge"] * count for name, count in matched.counts().items())
        row.liquid = liquid.name
        if charge:
            listed = ", ".join(f"{count} {name}" for name, count in sorted(matched.counts().items()))
            row.refuse(Refusal("not_neutral", f"{listed}: the charges sum to {charge:+d}{hint}"))
            return None
        return contract_frame(foreign, liquid, matched, **names, **scale), np.asarray(matched.order)
