"""The engines of molecular dynamics: one row for each, from which all else that lists them is read.

An engine is a file of this folder and a row of `ENGINES`. The file has a function ``make``: for an engine that computes forces
``make(name, calculator, weights, atoms)`` returns a `ForceEngine` (ionmelt/dynamics/engines/forces.py), for one that brings its own
integrators ``make(system, topology, timestep_fs, threads, masses_u)`` returns an `OwnIntegrators` (ionmelt/dynamics/integrators.py).
Nothing is imported here but what every environment has: a module is loaded where its engine is tried.
"""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DynamicsEngine:
    """A way to run the models of a framework.

    Attributes: `name`, as ``md.engine`` has it; `framework`; `module`, which makes it; `package`, which must be installed, or
    None; `needs_gpu`, `needs_cpu`: what it is for alone; `own_integrators`: it runs the dynamics itself, and only where it is asked for
    by name.
    """

    name: str
    framework: str
    module: str
    package: str | None = None
    needs_gpu: bool = False
    needs_cpu: bool = False
    own_integrators: bool = False

    def is_here(self, device: str) -> bool:
        """Tell whether this machine has what it needs, for a model on a device (``cpu``, ``cuda``)."""
        installed = self.package is None or importlib.util.find_spec(self.package) is not None
        return installed and (device == "cuda" or not self.needs_gpu) and (device == "cpu" or not self.needs_cpu)

    @property
    def make(self) -> Callable[..., Any]:
        """The function of its module that makes it."""
        function: Callable[..., Any] = importlib.import_module(self.module).make
        return function


# Those of one framework in the order of preference. On a CPU the first that can be used is taken, the fastest wherever it was measured: by
# its time, what else the machine does would decide, and every bit of a run hangs on it. On a GPU times decide (choice.py).
ENGINES = (
    DynamicsEngine("symmetrix", "mace", "ionmelt.dynamics.engines.symmetrix", package="symmetrix"),
    DynamicsEngine("cueq", "mace", "ionmelt.dynamics.engines.mace", package="cuequivariance_torch", needs_gpu=True),
    DynamicsEngine("compiled", "mace", "ionmelt.dynamics.engines.compiled", package="ionmelt_kernels", needs_cpu=True),
    DynamicsEngine("fused", "mace", "ionmelt.dynamics.engines.mace"),
    DynamicsEngine("direct", "mace", "ionmelt.dynamics.engines.mace"),
    DynamicsEngine("direct", "deepmd", "ionmelt.dynamics.engines.deepmd"),
    DynamicsEngine("openmm", "classical", "ionmelt.dynamics.engines.openmm", own_integrators=True),
)
PLAIN = "plain"  # the framework's own ASE calculator, which every model has
NAMES = tuple(dict.fromkeys(engine.name for engine in ENGINES))


def engines_of(framework: str) -> tuple[DynamicsEngine, ...]:
    """Return the engines that compute forces for the models of a framework, the preferred first."""
    return tuple(engine for engine in ENGINES if engine.framework == framework and not engine.own_integrators)


def integrating_engine(framework: str, name: str) -> DynamicsEngine | None:
    """Return the engine of this name that runs the dynamics of a framework itself, None where none does."""
    rows = [row for row in ENGINES if (row.framework, row.name) == (framework, name) and row.own_integrators]
    return rows[0] if rows else None
