"""Labels from the liquids' own classical force fields by OpenMM, as a model of framework classical computes them.

A frame with the ions of its liquid's box has the box's System, whatever its cell: one cut-off a liquid. One with other ions,
such as a cluster or an ion alone, has its own System in the same force field, without images and without a cut-off.
"""

import importlib.metadata
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress
from openmm import unit

from ionmelt.errors import UserError
from ionmelt.frame import Label, no_label, virial_stress
from ionmelt.labels.engines.settings import ClassicalLabels, LabelledBoxes
from ionmelt.liquid.calculator import STRAIN, ClassicalCalculator
from ionmelt.liquid.force_field_digest import force_field_digest
from ionmelt.liquid.system import system_of
from ionmelt.topology import Topology, counted

KEPT = 100  # so many different Systems of ions alone are kept: frames with the same ions are met again


class ForceField:
    """The force field of a liquid: the System of its box, and those of some of its ions alone.

    Attributes: `topology` of the box; `sha256` (`force_field_digest`); `cutoff_A` of the box.
    """

    def __init__(self, folder: Path) -> None:
        self.topology = Topology.load(folder / "topology.json")
        files = sorted(folder.glob("force_field.*"))
        if not files:
            raise UserError(f"labels.engine: classical: the box {folder.name} has no force field")
        self.file = files[0]
        self.sha256 = force_field_digest(self.file, self.topology.ions)
        xml = (folder / "system.xml").read_text()
        self.box, self.cutoff_A = ClassicalCalculator(xml), cutoff_A(openmm.XmlSerializer.deserialize(xml))
        self.alone: dict[tuple[str, ...], ClassicalCalculator] = {}

    def is_whole(self, atoms: Atoms) -> bool:
        """Tell whether a frame has the ions of the box, and images."""
        return bool(atoms.pbc.all()) and np.array_equal(atoms.arrays["ion"], self.topology.ion)

    def without_images(self, atoms: Atoms) -> ClassicalCalculator:
        """Return what computes a frame of other ions than the box's."""
        first = np.diff(atoms.arrays["molecule"], prepend=-1) != 0
        names = tuple(str(name) for name in atoms.arrays["ion"][first])
        if names not in self.alone:
            if len(self.alone) == KEPT:
                self.alone.clear()
            kinds = {ion["name"]: ion for ion in self.topology.ions}
            ions = [counted(kinds[name], len(list(copies))) for name, copies in groupby(names)]
            system = system_of(Topology(self.topology.liquid, ions), None, None, self.file)
            self.alone[names] = ClassicalCalculator(openmm.XmlSerializer.serialize(system))
        return self.alone[names]


def cutoff_A(system: openmm.System) -> float:
    """Return the longest cut-off of a System (A)."""
    forces = [f for f in system.getForces() if isinstance(f, openmm.NonbondedForce | openmm.CustomNonbondedForce)]
    return max((10 * f.getCutoffDistance().value_in_unit(unit.nanometer) for f in forces), default=0.0)


class Engine:
    """Energy, forces and stress of frames of the liquids whose boxes (folders that BUILD_LIQUID wrote) are given.

    More than one thread is not used: forces would differ in their last bits from call to call. Raises `UserError` where a
    liquid has no box, or one with another force field.
    """

    version = f"OpenMM {importlib.metadata.version('openmm')}"

    def __init__(self, settings: ClassicalLabels, threads: int, boxes: LabelledBoxes) -> None:
        force_fields = [ForceField(folder) for folder in boxes.folders]
        self.force_fields = {force_field.topology.liquid: force_field for force_field in force_fields}
        for liquid, planned in boxes.force_fields.items():
            if liquid not in self.force_fields:
                raise UserError(f"labels.engine: classical: the box of {liquid} is not given")
            if (sha256 := self.force_fields[liquid].sha256) != planned.sha256:
                raise UserError(f"liquids: {liquid}: its force field has sha256 {sha256}, not {planned.sha256}")

    def label(self, atoms: Atoms, cold: bool = False) -> Label:
        """Label one frame; each is computed by itself, so that a cold start is no other."""
        force_field = self.force_fields[atoms.info["liquid"]]
        if force_field.is_whole(atoms):
            return self.periodic(atoms, force_field)
        try:
            calculator = force_field.without_images(atoms)
        except UserError as error:
            print(f"no force field: {'; '.join(error.errors)}", file=sys.stderr)
            return no_label("no_force_field")
        energy, forces = computed(calculator, atoms, "energy", "forces")
        return Label(float(energy), forces, virial_stress(atoms, forces), True)

    def periodic(self, atoms: Atoms, force_field: ForceField) -> Label:
        """Label a frame of the whole liquid; its box must hold the cut-off, also when it is strained for the stress."""
        if atoms.cell.array.diagonal().min() * (1 - STRAIN) <= 2 * force_field.cutoff_A:
            return no_label("box_below_cutoff")
        energy, forces, stress = computed(force_field.box, atoms, "energy", "forces", "stress")
        return Label(float(energy), forces, voigt_6_to_full_3x3_stress(stress), True)


def computed(calculator: ClassicalCalculator, atoms: Atoms, *names: str) -> list[Any]:
    """Return results for a frame that do not depend on the frames before it."""
    calculator.reset()
    calculator.calculate(atoms, list(names))
    return [calculator.results[name] for name in names]
