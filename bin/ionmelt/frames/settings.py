"""What a study says of the frames that are sampled and explored."""

from typing import Annotated

from pydantic import Field

from ionmelt.settings import Count, Real, Section, TaskSettings, between, count, number


class EqFrames(Section):
    """Frames of the equilibrated liquid."""

    frames: Count = count(..., 1, 1_000_000, "frames for each liquid and temperature")
    refine: Count = count(
        0,
        0,
        100,
        "rounds, a run each (--previous), in which the liquid that frames are taken from is not that of the force field but what the trained "
        "model with the least force errors of the round before made of it at constant pressure: closer to an equilibrium of the labels",
    )


class VolumeScan(Section):
    """Boxes scaled with rigid ions: what fixes the density."""

    frames: Count = count(..., 1, 1_000_000, "frames for each liquid")
    scale_min: Real = number(0.94, 0.7, 1.5, "smallest factor on the box edge")
    scale_max: Real = number(1.12, 0.7, 2, "largest factor on the box edge")


class Oscillation(Section):
    """Classical runs whose temperature and box swing."""

    frames: Count = count(..., 1, 1_000_000, "frames for each liquid")
    length_ps: Real = number(20.0, 0.01, 1e5, "length of the run (ps)")
    period_ps: Real = number(5.0, 0.01, 1e5, "period of the swing (ps)")
    temperature_amplitude_K: Real = number(150.0, 0, 1500, "amplitude of the temperature (K)")
    box_amplitude: Real = number(0.06, 0, 0.3, "amplitude of the box edge, as a fraction of it")


class Packing(Section):
    """Random packings, dilute to dense, strained."""

    frames: Count = count(..., 1, 1_000_000, "frames for each liquid")
    density_min_fraction: Real = number(0.5, 0.02, 2, "lowest density, as a fraction of the equilibrium density")
    density_max_fraction: Real = number(1.1, 0.02, 2, "highest density, as a fraction of the equilibrium density")
    strain: Real = number(0.05, 0, 0.3, "largest strain of the cell")


class Rattle(Section):
    """Equilibrium frames with every atom displaced at random."""

    frames: Count = count(..., 1, 1_000_000, "frames for each liquid")
    sigma_A: Real = number(0.04, 0.001, 0.5, "standard deviation of each coordinate's displacement (A)")


class Clusters(Section):
    """Neutral clusters of ions cut from the liquid, with room around them."""

    frames: Count = count(..., 1, 1_000_000, "frames for each liquid")
    pairs_max: Count = count(2, 1, 20, "largest clusters: so many pairs of ions, or more where charges ask for it")
    vacuum_A: Real = number(8.0, 4, 30, "room between a cluster and its images (A)")


class Ions(Section):
    """Ions alone, each kind in turn, labelled in empty space with their charge."""

    frames: Count = count(..., 1, 1_000_000, "frames for each liquid (of an ion that is one atom: one)")
    vacuum_A: Real = number(10.0, 8, 30, "room around an ion (A): no less than a model's cut-off")


class NeqRecipes(Section):
    """Non-equilibrated frames: each recipe is left out where it is not named."""

    volume_scan: VolumeScan | None = Field(default=None, description="boxes scaled with rigid ions")
    oscillation: Oscillation | None = Field(default=None, description="runs whose temperature and box swing")
    packing: Packing | None = Field(default=None, description="strained random packings")
    rattle: Rattle | None = Field(default=None, description="displaced equilibrium frames")
    clusters: Clusters | None = Field(default=None, description="neutral clusters alone in a box")
    ions: Ions | None = Field(default=None, description="single ions in empty space")


NEED_FORCE_FIELD = ("oscillation", "packing")  # they run dynamics, which xtb is too slow for


FramesSection = EqFrames | VolumeScan | Oscillation | Packing | Rattle | Clusters | Ions


class TestScan(Section):
    """A volume scan with frozen ions that is kept out of all training, of a liquid at its lowest temperature: how the forces between
    ions hold when it is too dense or too thin."""

    scales: tuple[Annotated[Real, between(0.7, 2)], ...] = Field(
        default=(0.94, 0.96, 0.98, 1.0, 1.02, 1.04, 1.08, 1.12),
        min_length=3,
        max_length=200,
        description="factors on the box edge; 1.0 must be one of them",
    )


class Sampling(Section):
    """Which frames are taken to be labelled."""

    eq: EqFrames | None = Field(default=None, description="equilibrated frames (kind eq)")
    neq: NeqRecipes = Field(default_factory=NeqRecipes, description="non-equilibrated frames (kind neq), by recipe")
    test_scan: TestScan | None = Field(
        default_factory=TestScan, description="frozen-ion volume scan, always in the test split"
    )
    pool: Count = count(
        1, 1, 100, "frames made for each one that is taken: those are taken that differ most (1: all that are made)"
    )
    seed: Count = count(1, 0, 2**31 - 1, "seed of every random choice of the sampling")

    def recipe(self, name: str) -> "FramesSection | TestScan | None":
        """Return what the section says of a recipe, None where it is left out."""
        sections: dict[str, FramesSection | TestScan | None] = {
            "equilibrium": self.eq,
            "volume_scan": self.neq.volume_scan,
            "oscillation": self.neq.oscillation,
            "packing": self.neq.packing,
            "rattle": self.neq.rattle,
            "clusters": self.neq.clusters,
            "ions": self.neq.ions,
            "test_scan": self.test_scan,
        }
        return sections[name]


WALKS = ("npt", "ramp", "swing")  # of a committee


class Active(Section):
    """Active learning, a round a run (--previous): committees of the round before explore, and say which frames are missing."""

    frames: Count = count(8, 1, 100_000, "new frames that a round labels of each liquid, at most")
    npt_ps: Real = number(5.0, 0, 1e5, "length of a committee's walk at constant pressure and temperature (ps)")
    ramp_ps: Real = number(5.0, 0, 1e5, "length of its walk at constant volume, in which the temperature rises (ps)")
    ramp_K: Real = number(200.0, 0, 2000, "how much it rises (K)")
    swing_ps: Real = number(
        5.0, 0, 1e5, "length of its walk at constant temperature in which the box swings once, out and in (ps)"
    )
    swing_amplitude: Real = number(0.06, 0, 0.2, "amplitude of the box edge, as a fraction of it")
    every_fs: Real = number(20.0, 0.05, 1e6, "time between the frames of a walk that the committee is asked about (fs)")
    quantile: Real = number(
        0.9,
        0,
        1,
        "a frame is worth a label where the committee disagrees more than on this share of its validation frames",
    )
    stop_factor: Real = number(3.0, 1, 100, "a walk stops where it disagrees by this many times as much as that")
    seed: Count = count(1, 0, 2**31 - 1, "seed of the walks")

    @property
    def lengths_ps(self) -> dict[str, float]:
        """The length of each walk (ps), by the name of its field."""
        return {"npt_ps": self.npt_ps, "ramp_ps": self.ramp_ps, "swing_ps": self.swing_ps}


# --- The tasks -----------------------------------------------------------------------------------------


class SampleSettings(TaskSettings):
    """The settings of SAMPLE_FRAMES for one liquid; the seed is beside the section that the study gives it in."""

    liquid: str
    seed: Count
    temperatures_K: tuple[Real, ...]
    sampling: Sampling
    chunk: Count


class ExploreSettings(TaskSettings):
    """The settings of EXPLORE_LIQUID for one committee in one state: what the study says in `Active`, and which these are."""

    round: Count
    liquid: str
    temperature_K: Real
    pressure_bar: Real
    model: str
    dataset: str
    seed: Count
    frames: Count
    npt_ps: Real
    ramp_ps: Real
    ramp_K: Real
    swing_ps: Real
    swing_amplitude: Real
    every_fs: Real
    quantile: Real
    stop_factor: Real
    timestep_fs: Real
    thermostat_fs: Real
    barostat_fs: Real
    engine: str  # a name of ionmelt/dynamics/engines, or auto: not looked up here, or an edit of an engine would repeat SAMPLE_FRAMES

    def length_ps(self, walk: str) -> float:
        """Return how long a walk (``npt``, ``ramp`` or ``swing``) is (ps)."""
        return {"npt": self.npt_ps, "ramp": self.ramp_ps, "swing": self.swing_ps}[walk]


class ChooseSettings(TaskSettings):
    """The settings of CHOOSE_FRAMES for one liquid."""

    liquid: str
    frames: Count
