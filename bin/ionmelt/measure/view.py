"""The view of a run: some of its frames, small enough for the report.

Ions are whole and lie in the box by their centres of mass. Colours of the elements are those of Jmol, radii are
covalent ones, both as in ASE.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from ase.data.colors import jmol_colors

from ionmelt import files
from ionmelt.dynamics import trajectory
from ionmelt.topology import Topology

VIEW = "view.json"  # what `read` returned for a run, so that whoever shows it needs no trajectory
MOST_VALUES = 60_000  # atoms times frames: 0.5 MB of the page
MOST_ATOMS = 2400
MOST_FRAMES = 80
TILT = (-0.35, 0.42)  # radians about x, then about y, of the first view; the viewer starts with the same
DISTANCE = 3.2  # of the eye from the centre of the box, in diagonals of the box
ION_COLOURS = ("#3b7fc4", "#e08a2e", "#3f9f6b", "#b35aa0", "#8a8a8a")


@dataclass(frozen=True)
class Look:
    """Colour and radius of the atoms of an element."""

    colour: str
    radius_A: float


@dataclass(frozen=True)
class View:
    """Frames of a run, as the viewer of the report draws them.

    ``positions`` are 1/100 A as base64 of little-endian int16 (frames, atoms, 3).
    """

    run_id: str
    liquid: str
    counts: dict[str, int]  # of the ions, by name
    temperature_K: float
    model: str
    elements: list[str]  # of each atom
    ions: list[str]  # of each atom, the name of its ion
    bonds: list[list[int]]  # pairs of atoms
    edges_A: list[list[float]]  # of the box in each frame
    time_ps: list[float]  # of each frame
    positions: str
    left_out: str | None  # which atoms are not drawn, in words
    looks: dict[str, Look]  # by element
    tilt: tuple[float, float] = TILT
    distance: float = DISTANCE
    ion_colours: tuple[str, ...] = ION_COLOURS

    @property
    def title(self) -> str:
        """What is drawn, in words."""
        ions = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        return f"{self.liquid} ({ions}) at {self.temperature_K:g} K, model {self.model}"

    @property
    def atoms_A(self) -> np.ndarray:
        """The positions (frames, atoms, 3) in A."""
        flat = np.frombuffer(base64.b64decode(self.positions), dtype="<i2") / 100
        return flat.reshape(len(self.time_ps), len(self.elements), 3)

    def save(self, path: Path) -> None:
        """Write the view as JSON."""
        path.write_text(json.dumps(asdict(self)) + "\n")

    @classmethod
    def load(cls, path: Path) -> "View":
        """Read what `save` wrote."""
        stored = files.read_json(path)
        return cls(**stored | {"looks": {element: Look(**look) for element, look in stored["looks"].items()}})


def read(folder: Path) -> View | None:
    """Return the frames of a run for the viewer, None where there is nothing to draw.

    In a big box hydrogen atoms are left out, and if that is not enough only the ions nearest to the centre are kept: ``left_out``
    says so.
    """
    if (folder / VIEW).is_file():
        return View.load(folder / VIEW)
    if not (folder / "topology.json").is_file() or not (folder / "run.json").is_file():
        return None
    run = files.read_json(folder / "run.json")
    path = trajectory.find(folder / "nvt.xtc") or trajectory.find(folder / "npt.xtc")
    if path is None:
        return None
    topology = Topology.load(folder / "topology.json")
    kept, positions, edges = some_frames(path, topology)
    if not kept:
        return None
    chosen, left_out = some_atoms(topology, positions[0], edges[0])
    number = {int(old): new for new, old in enumerate(chosen)}
    bonds = [[number[i], number[j]] for i, j in topology.bonds.tolist() if i in number and j in number]
    packed = np.rint(np.array(positions)[:, chosen] * 100).clip(-32768, 32767).astype("<i2")
    return View(
        run_id=run["id"],
        liquid=run["liquid"],
        counts={ion["name"]: ion["count"] for ion in topology.ions},
        temperature_K=run["temperature_K"],
        model=run["model"] + (f"-{run['dataset']}" if run.get("dataset") else ""),
        elements=topology.elements[chosen].tolist(),
        ions=topology.ion[chosen].tolist(),
        bonds=bonds,
        edges_A=np.round(edges, 3).tolist(),
        # a phase keeps its first frame after the first interval (dynamics/recorder.py)
        time_ps=[round((i + 1) * run["save_every_fs"] / 1000, 6) for i in kept],
        positions=base64.b64encode(packed.tobytes()).decode(),
        left_out=left_out,
        looks=looks(topology.elements[chosen].tolist()),
    )


def some_frames(path: Path, topology: Topology) -> tuple[list[int], list[np.ndarray], list[np.ndarray]]:
    """Return frames spread over a trajectory: their numbers, positions (atoms, 3) of whole ions in the box, and box edges (3,), in A."""
    kept: list[int] = []
    positions, edges = [], []
    with trajectory.Reader(path) as reader:
        total = len(reader)
        heavy = int((topology.elements != "H").sum())
        drawn = min(len(topology) if len(topology) <= MOST_ATOMS else heavy, MOST_ATOMS)
        count = min(total, MOST_FRAMES, max(2, MOST_VALUES // drawn))
        wanted = np.unique(np.rint(np.linspace(0, total - 1, count)).astype(int)).tolist() if total else []
        for i in wanted:
            xyz, cell = reader.pick([i])
            if not len(xyz):
                break
            frame, box = xyz[0].astype(float), cell[0].astype(float)
            if np.isfinite(frame).all() and (box > 0).all():
                positions.append(topology.wrapped(frame, box))
                edges.append(box)
                kept.append(i)
    return kept, positions, edges


def some_atoms(topology: Topology, positions: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Return the atoms to draw, and in words which ones are left out."""
    chosen = np.arange(len(topology))
    if len(chosen) <= MOST_ATOMS:
        return chosen, None
    chosen = chosen[topology.elements != "H"]
    if len(chosen) <= MOST_ATOMS:
        return chosen, "hydrogen atoms are not drawn"
    away = np.linalg.norm(topology.centres(positions) - edges / 2, axis=1)
    sizes = np.bincount(topology.molecule[chosen], minlength=len(away))
    order = np.argsort(away, kind="stable")
    near = order[np.cumsum(sizes[order]) <= MOST_ATOMS]
    return chosen[
        np.isin(topology.molecule[chosen], near)
    ], "only the ions nearest to the centre are drawn, without hydrogen"


def looks(elements: Sequence[str]) -> dict[str, Look]:
    """Return the look of each element."""
    looks = {}
    for element in sorted(set(elements)):
        z = atomic_numbers[element]
        rgb = [round(255 * float(x)) for x in jmol_colors[z]]
        looks[element] = Look("#{:02x}{:02x}{:02x}".format(*rgb), round(float(covalent_radii[z]) * 0.55, 3))
    return looks
