"""What a study may have to cite, and which of it one has used; CITATIONS.md and CITATION.cff have the same."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ionmelt import theory as levels
from ionmelt.liquid.settings import BUILT_IN
from ionmelt.models.named import NAMED
from ionmelt.theory import THEORIES

DOI = "https://doi.org/"
ARXIV = "https://arxiv.org/abs/"


@dataclass(frozen=True)
class Citation:
    """A work to cite: authors, year and title, and where it is; no place where the user alone knows it."""

    text: str
    link: str = ""


MACE = Citation(
    "Batatia and others, 2022: MACE: Higher Order Equivariant Message Passing Neural Networks for Fast and Accurate Force Fields.",
    f"{ARXIV}2206.07697",
)
DEEPMD = (
    Citation("Zeng and others, 2023: DeePMD-kit v2: A software package for deep potential models.", f"{DOI}10.1063/5.0155600"),
    Citation("Zeng and others, 2025: DeePMD-kit v3: A Multiple-Backend Framework for Machine Learning Potentials.", f"{ARXIV}2502.19161"),
)  # fmt: skip
NEQUIP = Citation(
    "Batzner and others, 2022: E(3)-equivariant graph neural networks for data-efficient and accurate interatomic potentials.",
    f"{DOI}10.1038/s41467-022-29939-5",
)
E3NN = Citation("Geiger and others, 2022: e3nn: Euclidean Neural Networks.", f"{ARXIV}2207.09453")
TORCH = Citation(
    "Paszke and others, 2019: PyTorch: An Imperative Style, High-Performance Deep Learning Library.",
    f"{ARXIV}1912.01703",
)
GFN1 = Citation(
    "Grimme and others, 2017: A Robust and Accurate Tight-Binding Quantum Chemical Method (GFN1-xTB).",
    f"{DOI}10.1021/acs.jctc.7b00118",
)
GFN2 = Citation(
    "Bannwarth and others, 2019: GFN2-xTB: An Accurate and Broadly Parametrized Self-Consistent Tight-Binding Quantum Chemical "
    "Method with Multipole Electrostatics and Density-Dependent Dispersion Contributions.",
    f"{DOI}10.1021/acs.jctc.8b01176",
)
CP2K = Citation(
    "Kühne and others, 2020: CP2K: An electronic structure and molecular dynamics software package.",
    f"{DOI}10.1063/5.0007045",
)
PYSCF = Citation("Sun and others, 2020: Recent developments in the PySCF program package.", f"{DOI}10.1063/5.0006074")
D3 = Citation(
    "Grimme and others, 2010: A consistent and accurate ab initio parametrization of density functional dispersion correction "
    "(DFT-D) for the 94 elements H-Pu.",
    f"{DOI}{levels.D3}",
)
D3_BJ = Citation(
    "Grimme and others, 2011: Effect of the damping function in dispersion corrected density functional theory.",
    f"{DOI}{levels.D3_BJ}",
)
D4 = Citation(
    "Caldeweyher and others, 2019: A generally applicable atomic-charge dependent London dispersion correction.",
    f"{DOI}{levels.D4}",
)
CLP = Citation(
    "Canongia Lopes and others, 2004: Modeling Ionic Liquids Using a Systematic All-Atom Force Field.",
    f"{DOI}10.1021/jp0362133",
)
OPLS = Citation(
    "Jorgensen and others, 1996: Development and Testing of the OPLS All-Atom Force Field on Conformational Energetics and "
    "Properties of Organic Liquids.",
    f"{DOI}10.1021/ja9621760",
)
UFF = Citation(
    "Rappé and others, 1992: UFF, a full periodic table force field for molecular mechanics and molecular dynamics simulations.",
    f"{DOI}10.1021/ja00051a040",
)
NAGL = Citation("The Open Force Field Initiative: OpenFF NAGL.", "https://github.com/openforcefield/openff-nagl")
ILTHERMO = Citation(
    "Dong and others, 2007: ILThermo: A Free-Access Web Database for Thermodynamic Properties of Ionic Liquids.",
    f"{DOI}10.1021/je700171f",
)
SAGE = Citation(
    "Boothroyd and others, 2023: Development and Benchmarking of Open Force Field 2.0.0: The Sage Small Molecule Force Field.",
    f"{DOI}10.1021/acs.jctc.3c00039",
)
ALWAYS = (
    Citation("The RDKit developers: RDKit: Open-source cheminformatics.", f"{DOI}10.5281/zenodo.591637"),
    Citation(
        "Martínez and others, 2009: PACKMOL: A package for building initial configurations for molecular dynamics simulations.",
        f"{DOI}10.1002/jcc.21224",
    ),
    Citation(
        "Eastman and others, 2024: OpenMM 8: Molecular Dynamics Simulation with Machine Learning Potentials.",
        f"{DOI}10.1021/acs.jpcb.3c06662",
    ),
    Citation(
        "Larsen and others, 2017: The atomic simulation environment: a Python library for working with atoms.",
        f"{DOI}10.1088/1361-648X/aa680e",
    ),
    Citation(
        "McGibbon and others, 2015: MDTraj: A Modern Open Library for the Analysis of Molecular Dynamics Trajectories.",
        f"{DOI}10.1016/j.bpj.2015.08.015",
    ),
    Citation(
        "Shirts and others, 2008: Statistically optimal analysis of samples from multiple equilibrium states.",
        f"{DOI}10.1063/1.2978177",
    ),
    Citation("Di Tommaso and others, 2017: Nextflow enables reproducible computational workflows.", f"{DOI}10.1038/nbt.3820"),
)  # fmt: skip
OF_FRAMEWORK = {"mace": (MACE, E3NN, TORCH), "deepmd": (*DEEPMD, TORCH), "nequip": (NEQUIP, E3NN, TORCH)}
# Those of openff are what its molecules may have their terms and charges from
OF_FORCE_FIELD = {"clandp": (CLP, OPLS), "openff": (CLP, OPLS, SAGE, NAGL, UFF, GFN2), "xtb": (GFN1,)}
OF_ENGINE = {"cp2k": (CP2K,), "pyscf": (PYSCF,)}
OF_METHOD = {"GFN1-xTB": (GFN1,), "GFN2-xTB": (GFN2,)}
OF_DISPERSION = {"D3": (D3,), "D3(BJ)": (D3, D3_BJ), "D4": (D4,)}


def of_labels(labels: Mapping[str, Any]) -> list[Citation]:
    """Return what labels of these settings rest on: a program or a method, a dispersion correction, a functional."""
    functional, dispersion = (str(labels.get(key) or "none") for key in ("functional", "dispersion"))
    cited = [*OF_ENGINE.get(str(labels.get("engine")), ()), *OF_METHOD.get(str(labels.get("method")), ())]
    cited += OF_DISPERSION.get(dispersion, ())
    theory = next(
        (theory for theory in THEORIES.values() if (theory.functional, theory.dispersion) == (functional, dispersion)),
        None,
    )
    further = [f"{DOI}{source}" for source in theory.sources] if theory else []
    listed = {citation.link for citation in cited}
    return cited + [Citation(f"Of the functional {functional}.", link) for link in further if link not in listed]


def link_in(text: str) -> str:
    """Return the address of the work that a text names by its DOI or its number of arXiv; empty where it names none."""
    identifier = re.search(r"(10\.\d{4,}/[^\s;,)]+)|arXiv:? ?(\d{4}\.\d+)", text)
    if identifier is None:
        return ""
    return f"{DOI}{identifier[1]}" if identifier[1] else f"{ARXIV}{identifier[2]}"


def of_force_field(name: str) -> tuple[Citation, ...]:
    """Return what the force field of a liquid rests on; of a file of the user's own its name."""
    if name in BUILT_IN or not name:
        return OF_FORCE_FIELD.get(name, ())
    return (Citation(f"Of the force field {Path(name).name}, which the study brought: the work that it is from."),)


def of_reference(source: str) -> list[Citation]:
    """Return the work that measured values are from; none where their source names none."""
    if "ILThermo" in source:
        return [ILTHERMO]
    link = link_in(source)
    return [Citation("Of values that models are held against.", link)] if link else []


def of_named(name: str) -> list[Citation]:
    """Return the work that a model of the table of named models is from; none for a name that it does not have."""
    link = link_in(NAMED[name].reference) if name in NAMED else ""
    return [Citation(f"Of the model {name}.", link)] if link else []


def used(study: Mapping[str, Any], labels: Mapping[str, Any], sources: Iterable[str] = ()) -> list[Citation]:
    """Return what a study has to cite, by its models, labels, liquids and the sources of its measured values; each work once."""
    cited: list[Citation] = []
    for model in study.get("models") or []:
        cited += OF_FRAMEWORK.get(model["framework"], ())
        cited += OF_DISPERSION.get(str(model.get("dispersion")), ())
        cited += OF_METHOD.get(str(model.get("method")), ())
        cited += of_named(str(model.get("model") or ""))
    cited += of_labels(labels)
    for liquid in study.get("liquids") or []:
        cited += of_force_field(str(liquid.get("force_field") or ""))
    for source in sources:
        cited += of_reference(source)
    return list(dict.fromkeys([*cited, *ALWAYS]))
