"""BUILD_LIQUID: pack ions into a periodic box and write its topology and force field.

Writes OUT/box.extxyz (whole ions), OUT/topology.json and, unless the force field is xtb, OUT/system.xml and the file of the
force field that it is of, OUT/force_field.xml, OUT/force_field.yaml or, for openff, OUT/force_field.json.
The box is packed by packmol at a fraction of the guessed density; the same seed gives the same bytes.
"""

import shutil
import tempfile
from pathlib import Path

import ase.io
import numpy as np
import openmm
from ase import Atoms, units
from ase.neighborlist import neighbor_list

from ionmelt import task
from ionmelt.arguments import command_line
from ionmelt.errors import UserError
from ionmelt.liquid import mixed
from ionmelt.liquid.cutoff import CUTOFF_LIMIT, chosen_cutoff_A
from ionmelt.liquid.forcefield import load_forcefield
from ionmelt.liquid.ions import geometry, library, resolve
from ionmelt.liquid.packmol import run_packmol
from ionmelt.liquid.settings import BoxSettings
from ionmelt.liquid.system import system_of
from ionmelt.topology import Topology, how_many

PACK_FRACTIONS = (0.8, 0.7, 0.6, 0.5)  # of the guessed density, tried in turn
CONTACT_A = 2.0  # packed ions keep this distance, images included
PACKMOL_PRECISION_A = 0.02  # packmol stops when no contact is closer than its tolerance by more than this
DENSITY_UNIT = 1e30 * units.kg**-1  # u/A^3 to kg/m3


def box_edge_A(topology: Topology, density_kg_m3: float) -> float:
    """Return the edge of the cubic box that has this density."""
    return float((topology.masses_u.sum() * DENSITY_UNIT / density_kg_m3) ** (1 / 3))


def choose_cutoff_A(topology: Topology, density_kg_m3: float, cutoff: float | str | None) -> float:
    """Return the cut-off in a box of this density; raises `UserError` where it is too near half the edge."""
    edge = box_edge_A(topology, density_kg_m3)
    chosen = chosen_cutoff_A(cutoff, edge)
    if chosen > CUTOFF_LIMIT * edge:
        raise UserError(
            f"equilibration.cutoff_A {cutoff}: too near half the box edge, which is about {edge:.1f} A at "
            f"density_guess_kg_m3 {density_kg_m3:g}; give at most {CUTOFF_LIMIT * edge:.1f}, "
            "auto, or a larger box"
        )
    return chosen


def pack(geometries: list[np.ndarray], counts: list[int], edge_A: float, seed: int) -> np.ndarray | None:
    """Return packed positions (atoms, 3) in a periodic cube, or None where packmol finds no packing.

    The atoms are ordered as the ions are: every copy of the first, then of the second.
    """
    shapes = [Atoms(f"X{len(positions)}", positions=positions) for positions in geometries]
    structures = list(zip(shapes, counts, strict=True))
    positions, apart = run_packmol(structures, np.full(3, edge_A), CONTACT_A, seed % 2**31 or 1)
    return positions if apart else None


def closest_contact_A(positions: np.ndarray, edge_A: float, molecule: np.ndarray) -> float:
    """Return the shortest distance between atoms of different ions, images of the same ion included.

    Distances beyond 3 A are not looked for: then the result is inf.
    """
    atoms = Atoms(f"X{len(positions)}", positions=positions, cell=[edge_A] * 3, pbc=True)
    i, j, d, shift = neighbor_list("ijdS", atoms, 3.0)
    # whole ions: a bond never crosses the boundary, so a shifted neighbour of the same ion is its image
    foreign = (molecule[i] != molecule[j]) | shift.any(axis=1)
    return float(d[foreign].min()) if foreign.any() else np.inf


def build(settings: BoxSettings, assets: Path) -> tuple[Topology, np.ndarray, float]:
    """Return the topology of a box, its packed positions (atoms, 3) and its edge, in angstrom."""
    typed = library(assets)
    topology = Topology(settings.liquid, [resolve(ion.model_dump(), typed) for ion in settings.ions])
    charge = topology.charges_e.sum()
    if charge != 0:
        raise UserError(
            f"liquids.{topology.liquid}.ions: the net charge is {charge:+g} e; change the counts to make it 0"
        )
    geometries = [geometry(ion["smiles"]) for ion in topology.ions]
    counts = [ion["count"] for ion in topology.ions]
    density = settings.density_guess_kg_m3
    for fraction in PACK_FRACTIONS:
        edge = box_edge_A(topology, fraction * density)
        positions = pack(geometries, counts, edge, settings.seed)
        if positions is None:
            continue
        positions = topology.wrapped(positions, np.full(3, edge))
        if closest_contact_A(positions, edge, topology.molecule) > CONTACT_A - PACKMOL_PRECISION_A:
            return topology, positions, edge
    ions = int(np.count_nonzero(topology.charges_e))
    raise UserError(
        f"liquids.{topology.liquid}: packmol found no packing of {how_many(ions, len(topology.charges_e) - ions)} at "
        f"{PACK_FRACTIONS[-1]:g} of density_guess_kg_m3 {density:g}; lower it"
    )


def write_box(out: Path, topology: Topology, positions: np.ndarray, edge_A: float) -> None:
    """Write box.extxyz and topology.json."""
    atoms = Atoms(topology.elements, positions=np.round(positions, 6), cell=[round(edge_A, 6)] * 3, pbc=True)
    atoms.arrays["molecule"] = topology.molecule.copy()
    atoms.arrays["ion"] = topology.ion.copy()
    atoms.info["liquid"] = topology.liquid
    ase.io.write(out / "box.extxyz", atoms, format="extxyz")
    topology.save(out / "topology.json")


def write_force_field(
    settings: BoxSettings, topology: Topology, assets: Path, user_xml: Path | None, folder: Path
) -> Path | None:
    """Return the file of a box's force field, written into a folder or the user's own XML; None for xtb, which has none."""
    if settings.force_field == "xtb":
        return None
    shipped = assets / "forcefields" / f"{settings.force_field}.yaml"
    if settings.force_field == mixed.NAME:
        path = folder / "force_field.json"
        typed = load_forcefield(assets / "forcefields" / "clandp.yaml")
        mixed.mixed_force_field(topology.ions, typed, library(assets), settings.charge_scale).save(path)
    elif shipped.exists():
        path = folder / "force_field.yaml"
        scaled = f"charge_scale: {settings.charge_scale}\n" if settings.charge_scale != 1 else ""
        path.write_text(shipped.read_text() + scaled)
    else:
        path = user_xml or Path(settings.force_field)
    return path


def main(argv: list[str] | None = None) -> int:
    """Run the task; return its exit code."""
    parser = command_line(__doc__, "--id", "--settings", "--out")
    parser.add_argument("--assets", required=True, type=Path, help="folder with ions/ and forcefields/")
    parser.add_argument("--force-field", type=Path, help="the user's OpenMM XML, where the liquid names one")
    args = parser.parse_args(argv)

    def work() -> None:
        settings = BoxSettings.read(args.settings)
        topology, positions, edge = build(settings, args.assets)
        with tempfile.TemporaryDirectory() as folder:
            force_field = write_force_field(settings, topology, args.assets, args.force_field, Path(folder))
            if force_field is not None:
                cutoff = choose_cutoff_A(topology, settings.density_guess_kg_m3, settings.cutoff_A)
                system = system_of(topology, np.eye(3) * edge, cutoff, force_field)
            args.out.mkdir(parents=True, exist_ok=True)
            write_box(args.out, topology, positions, edge)
            if force_field is not None:
                (args.out / "system.xml").write_text(openmm.XmlSerializer.serialize(system))
                shutil.copyfile(force_field, args.out / f"force_field{force_field.suffix}")

    reads = [args.settings, args.assets, args.force_field]
    return task.run("BUILD_LIQUID", work, task_id=args.id, reads=reads, writes=[args.out])
