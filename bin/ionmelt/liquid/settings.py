"""What a study says of its liquids and of how they are melted."""

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
)

from ionmelt.settings import (
    Count,
    Key,
    Path_,
    Real,
    Section,
    Sha256,
    TaskSettings,
    Text,
    auto_or_number,
    between,
    count,
    number,
)

BUILT_IN = ("auto", "clandp", "openff", "xtb")  # force fields that are no file of the user's

MOST_OF_A_KIND = 10_000  # ions or molecules in a box

# --- The liquid ----------------------------------------------------------------------------------------


class IonSmiles(Section):
    """An ion or a molecule that assets does not hold."""

    smiles: Text = Field(
        description="SMILES of the whole ion with its charge, such as C[N+](C)(C)C; or of a whole molecule"
    )
    count: Annotated[Count, count(..., 1, MOST_OF_A_KIND, "how many of it a box holds")]


def ion_form(value: Any) -> str:
    """Return which of the two ways of giving an ion this is."""
    return "smiles" if isinstance(value, dict | IonSmiles) else "count"


Ion = Annotated[
    Annotated[Count, count(..., 1, MOST_OF_A_KIND, "how many a box holds"), Tag("count")]
    | Annotated[IonSmiles, Tag("smiles")],
    Discriminator(ion_form),
]


def in_its_letters(value: Any) -> Any:
    """Return the name of a built-in force field as it is, however it is written: CL&P, OpenFF."""
    text = value.lower().replace("&", "and") if isinstance(value, str) else value
    return text if text in BUILT_IN else value


Name = Annotated[str, Field(min_length=1, max_length=80)]
Amount = Annotated[Real, Field(ge=1e-6, le=1e6, allow_inf_nan=False)]


class Composition(Section):
    """A liquid by its concentrations: the box that comes nearest to them is found by the plan, which says what it holds."""

    mole_fraction: dict[Name, Amount] | None = Field(
        default=None, max_length=20, description="moles of each ion and molecule, of all of them; the sum is 1"
    )
    molality: dict[Name, Amount] | None = Field(
        default=None, max_length=20, description="moles of each ion in a kilogram of the solvent (mol/kg)"
    )
    molarity: dict[Name, Amount] | None = Field(
        default=None,
        max_length=20,
        description="moles of each ion in a litre of the liquid (mol/L), whose density is taken to be density_guess_kg_m3",
    )
    solvent: dict[Name, Amount] | None = Field(
        default=None, max_length=20, description="with molality and molarity: parts of each molecule of the solvent"
    )
    solvent_parts: Literal["mole", "mass"] = Field(
        default="mole", description="what the parts of the solvent are: mole, or mass (EC/DMC 1:1 w/w)"
    )
    smiles: dict[Name, Text] = Field(
        default={},
        max_length=20,
        description="SMILES of the ions and molecules that assets does not hold, by your names",
    )
    atoms: Count = count(..., 10, 1_000_000, "about how many atoms the box has; the plan says how many it will be")


class Liquid(Section):
    """A liquid: its ions and molecules, and the conditions that it is simulated at."""

    id: Key = Field(description="name of the liquid in every table: small letters, digits, _ and .")
    ions: dict[Name, Ion] = Field(
        default={},
        max_length=20,
        description="ions of one box: a name from assets/ions with a count, or a name of your own with "
        "{smiles: ..., count: ...}; the charges must sum to zero",
    )
    molecules: dict[Name, Ion] = Field(
        default={},
        max_length=20,
        description="neutral molecules of one box: a name from assets/molecules with a count, or a name of your own with "
        "{smiles: ..., count: ...}",
    )
    composition: Composition | None = Field(
        default=None, description="instead of ions and molecules: concentrations, and the size of the box"
    )
    temperatures_K: tuple[Annotated[Real, between(100, 3000)], ...] = Field(
        min_length=1, max_length=50, description="temperatures to simulate at (K)"
    )
    pressure_bar: Real = number(1.0, -5000, 20_000, "pressure (bar)")
    density_guess_kg_m3: Real = number(
        1200.0,
        100,
        10_000,
        "rough density (kg/m3): sizes the packed box; equilibration finds the real one. A molarity is of this one",
    )
    force_field: Annotated[Path_, BeforeValidator(in_its_letters)] = Field(
        "auto",
        description="force field that equilibrates the box: clandp (CL&P and OPLS-AA; all must be typed), openff (those that are typed, "
        "OpenFF Sage for all others, with terms of GFN2-xTB and UFF where it lacks some), xtb (GFN1-xTB: any ion, thousands of times slower: give the equilibration short times), or the path of "
        "an OpenMM force-field XML file; auto is clandp where that has all ions and molecules, else openff",
    )
    charge_scale: Real = number(
        1.0,
        0.1,
        1.5,
        "factor of the charges of the ions in clandp and openff (0.7 to 0.8 stands for their polarization)",
    )
    force_field_sha256: Sha256 | None = Field(
        default=None,
        description="sha256 of the OpenMM XML, which is held to it; needed for labels by engine classical where the plan cannot open "
        "the file: with containers, or in an object store",
    )


# --- Equilibration and sampling ------------------------------------------------------------------------


class Equilibration(Section):
    """The classical run that gives every model the same start, and the EQ frames."""

    timestep_fs: Annotated[
        Annotated[Literal["auto"], Tag("auto")]
        | Annotated[Real, Field(ge=0.05, le=4, allow_inf_nan=False), Tag("number")],
        Discriminator(auto_or_number),
    ] = Field(
        default="auto",
        description="time step (fs); auto is 2 fs, or 1 fs where the force field is xtb, whose bonds to hydrogen are not held",
    )
    cutoff_A: Annotated[
        Annotated[Literal["auto"], Tag("auto")]
        | Annotated[Real, Field(ge=3, le=20, allow_inf_nan=False), Tag("number")],
        Discriminator(auto_or_number),
    ] = Field(
        default="auto",
        description="non-bonded cut-off (A); auto is 9 A, or 0.42 of the box edge where that is less",
    )
    anneal_K: Real = number(600.0, 100, 3000, "temperature of the first, hot part (K)")
    anneal_ps: Real = number(60.0, 0, 1e6, "length of the hot part (ps)")
    cool_ps: Real = number(100.0, 0, 1e6, "time to cool to the liquid's temperature (ps)")
    settle_ps: Real = number(50.0, 0, 1e6, "time at the liquid's temperature that is discarded (ps)")
    production_ps: Real = number(200.0, 0.01, 1e7, "time that EQ frames and the classical density are taken from (ps)")
    save_every_ps: Real = number(0.5, 0.001, 1e4, "time between saved frames (ps)")


# --- The tasks -----------------------------------------------------------------------------------------


class BoxIon(Section):
    """An ion of a box: types of its heavy atoms and, by the type of the neighbour, of hydrogens; None of one without them."""

    name: str
    smiles: str
    charge: int
    count: Count
    types: tuple[str, ...] | None
    hydrogen_types: dict[str, str] | None


class BoxSettings(TaskSettings):
    """The settings of BUILD_LIQUID for one box of a liquid."""

    liquid: str
    replica: Count
    seed: Count
    ions: tuple[BoxIon, ...]
    density_guess_kg_m3: Real
    force_field: str
    charge_scale: Real
    cutoff_A: Real | Literal["auto"]


class StateSettings(TaskSettings):
    """The settings of EQUILIBRATE for one box at one temperature: what the study says in `Equilibration`, and which these are."""

    liquid: str
    replica: Count
    temperature_K: Real
    pressure_bar: Real
    force_field: str
    seed: Count
    timestep_fs: Real
    cutoff_A: Real | Literal["auto"]
    anneal_K: Real
    anneal_ps: Real
    cool_ps: Real
    settle_ps: Real
    production_ps: Real
    save_every_ps: Real
