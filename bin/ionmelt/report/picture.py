"""The liquid as a picture: frames of one run, small enough for the report, and a still of the first as SVG.

Ions are whole and lie in the box by their centres of mass. Colours of the elements are those of Jmol, radii are
covalent ones, both as in ASE.
"""

import base64
import html
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl
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
SIZE = (880, 560)
ION_COLOURS = ("#3b7fc4", "#e08a2e", "#3f9f6b", "#b35aa0", "#8a8a8a")


def choose(survival: pl.DataFrame, summary: pl.DataFrame) -> list[str]:
    """Return the runs in the order in which they are worth showing.

    Completed ones first, of the model of the lowest force error, else of any, and the longest first.
    """
    forces = summary.filter(pl.col("property") == "force_rmse").sort("value", "model", "dataset")
    ranks = {key: i for i, key in enumerate(forces.select("model", "dataset").iter_rows())}
    rows = survival.filter(pl.col("survived_ps") > 0).to_dicts()
    rows.sort(
        key=lambda r: (
            r["end"] != "completed",
            ranks.get((r["model"], r["dataset"]), len(ranks)),
            -r["survived_ps"],
            r["run_id"],
        )
    )
    return [r["run_id"] for r in rows]


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
    title: str
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
    model = run["model"] + (f"-{run['dataset']}" if run.get("dataset") else "")
    ions = ", ".join(f"{ion['count']} {ion['name']}" for ion in topology.ions)
    return View(
        run_id=run["id"],
        title=f"{run['liquid']} ({ions}) at {run['temperature_K']:g} K, model {model}",
        elements=topology.elements[chosen].tolist(),
        ions=topology.ion[chosen].tolist(),
        bonds=bonds,
        edges_A=np.round(edges, 3).tolist(),
        time_ps=[round(i * run["save_every_fs"] / 1000, 6) for i in kept],
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
        wanted = set(np.unique(np.rint(np.linspace(0, total - 1, count)).astype(int)).tolist()) if total else set()
        first = 0
        while first < total:
            xyz, cell = reader.read(200)
            if not len(xyz):
                break
            for i in sorted(wanted & set(range(first, first + len(xyz)))):
                frame, box = xyz[i - first].astype(float), cell[i - first].astype(float)
                if np.isfinite(frame).all() and (box > 0).all():
                    positions.append(topology.wrapped(frame, box))
                    edges.append(box)
                    kept.append(i)
            first += len(xyz)
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


def shade(colour: str, factor: float) -> str:
    """Return a colour made lighter (factor > 0) or darker (< 0)."""
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    mixed = [x + (255 - x) * factor if factor > 0 else x * (1 + factor) for x in parts]
    return "#{:02x}{:02x}{:02x}".format(*(round(x) for x in mixed))


@dataclass(frozen=True)
class Projected:
    """Points seen in perspective: x and y on the picture, distance from the eye (A), and pixels per A there."""

    x: np.ndarray
    y: np.ndarray
    depth: np.ndarray
    scale: np.ndarray


def project(points: np.ndarray, box: np.ndarray) -> Projected:
    """Return points (n, 3) of a box with edges (3,), in A, as the first view shows them."""
    width, height = SIZE
    diagonal = float(np.linalg.norm(box))
    cx, sx, cy, sy = math.cos(TILT[0]), math.sin(TILT[0]), math.cos(TILT[1]), math.sin(TILT[1])
    turn = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]]) @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    turned = (points - box / 2) @ turn.T
    depth = DISTANCE * diagonal - turned[:, 2]
    scale = 0.98 * height * DISTANCE / depth  # the box's diagonal fills the height
    return Projected(width / 2 + turned[:, 0] * scale, height / 2 - turned[:, 1] * scale, depth, scale)


Shape = tuple[float, str]  # how far it is from the eye, and its SVG


def atom_shapes(view: View, seen: Projected) -> list[Shape]:
    """Return a disc for each atom."""
    shapes = []
    for i, element in enumerate(view.elements):
        radius = view.looks[element].radius_A * seen.scale[i]
        disc = f'<circle cx="{seen.x[i]:.1f}" cy="{seen.y[i]:.1f}" r="{radius:.1f}" fill="url(#a{element})"/>'
        shapes.append((float(seen.depth[i]), disc))
    return shapes


def bond_shapes(view: View, seen: Projected) -> list[Shape]:
    """Return two lines for each bond, each half in the colour of its atom."""
    x, y, depth = seen.x, seen.y, seen.depth
    shapes = []
    for i, j in view.bonds:
        width = 0.22 * (seen.scale[i] + seen.scale[j]) / 2
        for a, b in ((i, j), (j, i)):
            colour = shade(view.looks[view.elements[a]].colour, -0.25)
            half = (
                f'<line x1="{x[a]:.1f}" y1="{y[a]:.1f}" x2="{(x[a] + x[b]) / 2:.1f}" y2="{(y[a] + y[b]) / 2:.1f}" '
                f'stroke="{colour}" stroke-width="{width:.1f}"/>'
            )
            shapes.append((max(depth[a], (depth[a] + depth[b]) / 2) + 0.01, half))
    return shapes


def box_shapes(box: np.ndarray) -> list[Shape]:
    """Return a line for each edge of the box; those at the back are behind everything."""
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], float) * box
    seen = project(corners, box)
    x, y, depth = seen.x, seen.y, seen.depth
    far = (DISTANCE + 0.3) * float(np.linalg.norm(box))
    shapes = []
    for a in range(8):
        for b in (a ^ 1, a ^ 2, a ^ 4):
            if a < b:
                line = f'<line class="box" x1="{x[a]:.1f}" y1="{y[a]:.1f}" x2="{x[b]:.1f}" y2="{y[b]:.1f}" stroke="#7a7a7a"/>'
                shapes.append((math.inf if max(depth[a], depth[b]) > far else (depth[a] + depth[b]) / 2, line))
    return shapes


def still(view: View) -> str:
    """Return the first frame as SVG, seen in perspective, the nearer atoms over the farther ones."""
    width, height = SIZE
    box = np.array(view.edges_A[0])
    seen = project(view.atoms_A[0], box)
    balls = "".join(
        f'<radialGradient id="a{element}" cx=".35" cy=".3" r=".75"><stop offset="0" stop-color="{shade(look.colour, 0.75)}"/>'
        f'<stop offset=".45" stop-color="{look.colour}"/><stop offset="1" stop-color="{shade(look.colour, -0.55)}"/>'
        "</radialGradient>"
        for element, look in sorted(view.looks.items())
    )
    shapes = bond_shapes(view, seen) + atom_shapes(view, seen) + box_shapes(box)
    body = "\n".join(text for _, text in sorted(shapes, key=lambda shape: -shape[0]))
    title = html.escape(view.title)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{title}"><title>{title}</title><defs>{balls}</defs>\n'
        f'<g stroke-linecap="round">\n{body}\n</g></svg>\n'
    )
