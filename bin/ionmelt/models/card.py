"""The card of a model folder (model.json): what the model is, what it was made from, and the sha256 of its files.

Files are checked against the card before anything opens them. A field that a card leaves out is not known of its model.
"""

import json
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from ionmelt.errors import UserError
from ionmelt.files import sha256
from ionmelt.mistakes import FILE_NAME
from ionmelt.models.loss import LossRecord
from ionmelt.models.settings import AddedDispersion
from ionmelt.settings import Count, SettingsFile, Sha256

FileName = Annotated[str, Field(pattern=FILE_NAME)]  # within the model folder, whatever a card may say
NAME = "model.json"  # of the card in a model folder
IDENTITY = ("id", "model", "framework", "dataset", "seed")
Settings = TypeVar("Settings", bound=BaseModel)


class Entry(BaseModel):
    """A section of a card: it does not change once read; what an older or a newer program wrote besides is left out."""

    model_config = ConfigDict(frozen=True, protected_namespaces=(), defer_build=True)


class Cost(Entry):
    """What a training or an import took; `cpu_s` is that of all threads.

    Of a search `wall_s` is that of all its trials. `frames_per_s`: frames that went through the gradient steps of a training in a second of all that it took, start and validation too.
    """

    wall_s: float | None = None
    cpu_s: float | None = None
    threads: int | None = None
    device: str | None = None
    frames_per_s: float | None = None

    @property
    def processor_s(self) -> float | None:
        """The processor time (s); where it is not known, that of all threads over the whole length."""
        return self.cpu_s or (self.wall_s * (self.threads or 1) if self.wall_s else None)


class Trial(Entry):
    """How far force and stress are from the derivatives of the energy, the most of several, as shares of them, on a small box."""

    force_off: float
    stress_off: float
    conservative: bool


class Opened(Entry):
    """Whether the process that opened a file of weights was confined; else why not."""

    confined: bool
    why_not: str | None = None


class SearchTrial(Entry):
    """A trial of a search of settings: which it changed, its validation errors at the end by quantity, and what it took (core-seconds).

    ``error``: the geometric mean of these errors over that of the first trial that ended well; ``failed``: why there is no model.
    """

    settings: dict[str, JsonValue]
    errors: dict[str, float]
    error: float | None
    core_s: float
    failed: str | None


class Search(Entry):
    """The trials of a search in their order, and the number of the one that is this model, from 1; the first has the study's settings."""

    by: str  # what said what is tried
    trials: tuple[SearchTrial, ...]
    chosen: int


class Source(Entry):
    """The file that a model was brought in."""

    file: str | None
    sha256: str | None


class Offset(Entry):
    """By how much the energies of a foundation model are off on some training frames, and what is left without it."""

    frames: int
    energy_offset_ev_per_atom: float
    energy_rmse_ev_per_atom_after_offset: float


class Replay(Entry):
    """The foundation model's own data that were replayed: its errors on them, and how many frames were used."""

    file: str
    energy_offset_ev_per_atom: float
    force_rmse_ev_a: float
    frames: int
    train: int
    valid: int


class TunedFrom(Entry):
    """The weights that a training started from."""

    file: str
    sha256: str | None = None
    theory: str | None = None
    head: str | None = None
    start: Offset | None = None
    opened: Opened | None = None
    replay: Replay | None = None


class Loaded(Entry):
    """What a calculator of a library has loaded: its class, the versions of its packages, the sha256 of all arrays, numbers and texts that it holds.

    `bytes`: of the arrays. Of one that keeps its weights where Python does not see them it is 0, and the sha256 is that of what it was told.
    """

    name: str = Field(alias="class")
    versions: dict[str, str]
    sha256: str | None
    bytes: int


class Facts(Entry):
    """What weights say of themselves: elements, cut-off radius (A), reference energies (eV), heads; None: not known.

    ``uses_charge``, ``uses_spin``: whether the energy depends on the charge and on the spin that are said of the atoms.
    """

    elements: tuple[str, ...] | None = None
    cutoff_A: float | None = None
    e0s_ev: dict[str, float] | None = None
    kind: str | None = None
    parameters: int | None = None
    heads: tuple[str, ...] | None = None
    head: str | None = None
    uses_charge: bool | None = None
    uses_spin: bool | None = None
    loaded: Loaded | None = None


class CardSettings(Entry):
    """The settings that a model was made with, or is run with: these of any framework, and those of its own (`of`)."""

    model_config = ConfigDict(extra="allow")
    mode: str | None = None
    dispersion: AddedDispersion | None = None
    round: Annotated[Count, Field(ge=0)] | None = None  # of active learning
    # Weights of the stress in the loss, as the frameworks call them; None: not given.
    stress_weight: float | str | None = None
    start_pref_v: float | str | None = None
    limit_pref_v: float | str | None = None

    @property
    def leaves_stress_out(self) -> bool:
        """Whether the study gives the stress no weight in the loss."""
        weights = [x for x in (self.stress_weight, self.start_pref_v, self.limit_pref_v) if x is not None]
        return bool(weights) and not any(weights)

    def of(self, kind: type[Settings]) -> Settings:
        """Return them as the settings of a framework."""
        return kind.model_validate(self.model_dump(exclude_unset=True))


class Card(Facts, SettingsFile):
    """A model card."""

    model_config = ConfigDict(extra="ignore")

    id: str  # the key of the model
    model: str
    framework: str
    dataset: str | None = None  # that it was trained on; None: not trained here
    seed: int | None = None
    role: str | None = None  # labels: the labels' own engine
    versions: dict[str, str] = {}
    files: dict[FileName, Sha256]
    load: FileName | None = None  # the file that is loaded; None: the last
    source: Source | None = None
    theory: str | None = None
    theory_id: str | None = None
    dataset_hash: str | None = None
    split_hash: str | None = None
    licence: str | None = None
    settings: CardSettings = CardSettings()
    cost: Cost = Cost()
    loss: LossRecord | None = None
    search: Search | None = None  # None: trained once, as the study says
    tuned_from: TunedFrom | None = None
    trial: Trial | None = None
    opened: Opened | None = None

    @model_validator(mode="after")
    def loads_what_is_checked(self) -> Self:
        """Refuse a card whose file to be loaded has no sha256."""
        if self.load is not None and self.load not in self.files:
            raise ValueError(f"load: {self.load} is none of its files")
        return self

    def content(self) -> dict[str, JsonValue]:
        """Return the card as JSON holds it: the fields that were given."""
        return self.model_dump(mode="json", exclude_unset=True, by_alias=True)

    def with_facts(self, facts: Facts) -> Self:
        """Return the card with what its weights say of themselves."""
        return self.model_copy(update={name: getattr(facts, name) for name in facts.model_fields_set})

    def write(self, folder: Path) -> None:
        """Write the card into its model folder."""
        (folder / NAME).write_text(json.dumps(self.content(), indent=2) + "\n")

    @property
    def loaded_file(self) -> str:
        """The name of the file that is loaded: the last, where the card does not say (what DeePMD compresses comes after what it froze)."""
        return self.load or list(self.files)[-1]

    def weights_file(self, folder: Path) -> Path:
        """Return the file of the model folder to load, after checking every file of the card against its sha256.

        Raises `UserError` for a file that is missing or has another content.
        """
        wrong = {name: wrong_content(folder / name, expected) for name, expected in self.files.items()}
        problems = [
            f"model {folder.name}: {name}: {what}, the model card says {self.files[name]}"
            for name, what in wrong.items()
            if what
        ]
        if problems:
            raise UserError(*problems)
        return folder / self.loaded_file


def read_card(folder: Path) -> Card:
    """Return the card of a model folder; raises `UserError` where it is missing, not JSON, or no card."""
    return Card.read(folder / NAME)


def wrong_content(path: Path, expected: str | None) -> str | None:
    """Return what is wrong with a file that should have a sha256, or None. To be asked before anything opens the file."""
    actual = sha256(path) if path.is_file() else "no such file"
    return None if actual == expected else f"sha256 is {actual}"
