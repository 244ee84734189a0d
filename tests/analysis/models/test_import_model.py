"""IMPORT_MODEL with calculator classes of any library: what they are given, and what is refused."""

import importlib
import inspect
import json
import pkgutil
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import ase.calculators
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import BaseCalculator, Calculator, FileIOCalculator
from ase.calculators.lj import LennardJones
from ase.stress import voigt_6_to_full_3x3_stress
from tiny_imports import do_import

from ionmelt.dynamics import watch
from ionmelt.errors import UserError
from ionmelt.files import sha256
from ionmelt.models import confined as models_confined
from ionmelt.models import dimers, small_box
from ionmelt.models.calculators import load_calculator
from ionmelt.models.frameworks.ase_calculator import named_class, runs_programs

ASE = {"framework": "ase", "calculator": "ase.calculators.lj.LennardJones", "weights_argument": None}
LJ = {"sigma": 1.8, "epsilon": 0.3, "rc": 3.9, "smooth": True}


class NoStress(Calculator):
    """A model without a stress."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def calculate(self, *arguments: Any, **named: Any) -> None:
        super().calculate(*arguments, **named)
        self.results = {"energy": 0.0, "forces": np.zeros((len(self.atoms), 3))}


class Direct(LennardJones):
    """A model whose forces are no derivative of its energy."""

    def calculate(self, *arguments: Any, **named: Any) -> None:
        super().calculate(*arguments, **named)
        self.results["forces"] = 1.2 * self.results["forces"]


class Nan(LennardJones):
    """A model that gives no numbers."""

    def calculate(self, *arguments: Any, **named: Any) -> None:
        super().calculate(*arguments, **named)
        self.results["energy"] = float("nan")


class Tensor(LennardJones):
    """A model that gives its stress as a tensor (3, 3) and its energy as an array, as CHGNet does."""

    def calculate(self, *arguments: Any, **named: Any) -> None:
        super().calculate(*arguments, **named)
        self.results["energy"] = np.array([self.results["energy"]])
        self.results["stress"] = voigt_6_to_full_3x3_stress(self.results["stress"])


class Moody(LennardJones):
    """A model whose class raises an error of its own for whatever it does not like."""

    class DislikeError(Exception):
        """No error that anybody knows."""

    def calculate(self, *arguments: Any, **named: Any) -> None:
        raise self.DislikeError("not this box")


class Reads(LennardJones):
    """A model that loads a file."""

    def __init__(self, path: str, **named: Any) -> None:
        super().__init__(**json.loads(Path(path).read_text()), **named)

    @classmethod
    def made(cls, path: str) -> "Reads":
        return cls(path)


def makes(sigma: float, rc: float) -> Calculator:
    """Make a model, as mace_mp does."""
    return LennardJones(sigma=sigma, epsilon=0.3, rc=rc, smooth=True)


def makes_none() -> dict[str, int]:
    """Make no model."""
    return {}


removes = shutil.rmtree  # as a library has it that imports it


class Filed(FileIOCalculator):
    """A model that is another program."""

    command = "touch it_ran"


class Runs(LennardJones):
    """A model that runs a program, whatever it comes from."""

    def calculate(self, *arguments: Any, **named: Any) -> None:
        subprocess.run(["touch", "it_ran"], check=True)
        super().calculate(*arguments, **named)


class Hangs(LennardJones):
    """A model that never answers."""

    def calculate(self, *_arguments: Any, **_named: Any) -> None:
        time.sleep(100_000)  # longer than any test may take


class Hungry(LennardJones):
    """A model for which the memory does not suffice."""

    def calculate(self, *_arguments: Any, **_named: Any) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB.")


class HungryFromTheStart(LennardJones):
    """One that cannot even be made."""

    def __init__(self, **_named: Any) -> None:
        raise MemoryError


@pytest.mark.parametrize("name", ["Hungry", "HungryFromTheStart"])
def test_a_model_for_which_the_memory_does_not_suffice_is_not_wrong(name: str, tmp_path: Path) -> None:
    code, errors, _ = do_import(tmp_path, None, **ASE | {"calculator": f"{__name__}.{name}"}, arguments=LJ)
    assert (code, errors) == (75, [])


def test_a_lack_of_memory_is_no_point_of_a_dimer() -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        list(dimers.curves(Hungry(), ["Li"]))


def test_a_class_and_its_arguments_make_the_model(tmp_path: Path) -> None:
    code, errors, model = do_import(tmp_path, None, confined=True, **ASE, arguments=LJ)
    assert (code, errors) == (0, [])
    card = json.loads((model / "model.json").read_text())
    assert card["opened"]["confined"] == (card["opened"]["why_not"] is None)
    assert card["files"] == {}
    assert card["trial"]["conservative"]
    atoms = bulk("Ar", cubic=True, a=4.0)
    atoms.rattle(0.1, seed=1)
    atoms.calc = load_calculator(model)
    ours = atoms.get_forces()
    atoms.calc = LennardJones(**LJ)
    np.testing.assert_array_equal(ours, atoms.get_forces())


@pytest.mark.parametrize("calculator", [f"{__name__}.Reads", f"{__name__}.Reads.made"])
def test_weights_are_given_to_the_argument_that_takes_them(calculator: str, tmp_path: Path) -> None:
    weights = tmp_path / "lj.json"
    weights.write_text(json.dumps(LJ))
    named = ASE | {"calculator": calculator, "weights_argument": "path"}
    code, errors, model = do_import(tmp_path / "import", weights, **named, arguments={})
    assert (code, errors) == (0, [])
    (model / "lj.json").write_text(json.dumps(LJ | {"sigma": 2.0}))
    with pytest.raises(UserError, match="the model card says"):
        load_calculator(model)


@pytest.mark.parametrize("dispersion", [None, {"functional": "PBE", "cutoff_A": 10.0}], ids=["bare", "with D3"])
def test_a_stress_is_the_same_as_tensor_or_as_six_numbers(dispersion: dict | None, tmp_path: Path) -> None:
    atoms = bulk("Ar", cubic=True, a=4.0)
    atoms.rattle(0.1, seed=1)
    atoms.set_cell(atoms.cell.array + np.array([[0, 0.3, 0], [0, 0, 0.2], [0, 0, 0]]), scale_atoms=True)
    stresses = []
    for name in ("Tensor", "Plain"):
        plain = {} if name == "Plain" else {"calculator": f"{__name__}.{name}"}
        code, errors, model = do_import(tmp_path / name, None, **ASE | plain, arguments=LJ, dispersion=dispersion)
        assert (code, errors) == (0, [])
        atoms.calc = load_calculator(model)
        stresses.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
        assert isinstance(stresses[-1][0], float)
        assert stresses[-1][2].shape == (6,)
    for ours, theirs in zip(*stresses, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert np.unique(np.abs(stresses[0][2]).round(6)).size == 6, (
        "a stress without symmetry tells the order of six numbers"
    )


def test_an_error_of_a_class_of_its_own_ends_a_run_as_any_other(tmp_path: Path) -> None:
    card = {
        "id": "m",
        "model": "m",
        "framework": "ase",
        "files": {},
        "settings": {"calculator": f"{__name__}.Moody", "arguments": LJ},
    }
    (tmp_path / "model.json").write_text(json.dumps(card))
    atoms = bulk("Ar", cubic=True, a=4.0)
    atoms.calc = load_calculator(tmp_path)
    with pytest.raises(watch.MODEL_ERRORS, match="DislikeError: not this box"):
        atoms.get_forces()


@pytest.mark.parametrize(
    ("off_ev", "words"), [(0.0, None), (1e-5, r"is 0\.\d{8} eV, its project publishes 0\.\d{8} eV$")]
)
def test_published_energies_are_those_of_the_model(off_ev: float, words: str | None, tmp_path: Path) -> None:
    """By the formula of Lennard-Jones, less its value at the cut-off."""
    pair = [4 * 0.3 * ((1.8 / r) ** 12 - (1.8 / r) ** 6) for r in (1.7, 3.9)]
    energy_ev = pair[0] - pair[1]
    published = [
        {"formula": "F", "positions_A": [[0, 0, 0]], "energy_ev": 0.0},
        {"formula": "LiF", "positions_A": [[0, 0, 0], [0, 0, 1.7]], "energy_ev": energy_ev + off_ev},
    ]
    code, errors, model = do_import(tmp_path, None, **ASE, arguments=LJ | {"smooth": False}, published=published)
    assert model.exists() == (words is None)
    if words is None:
        assert (code, errors) == (0, [])
    else:
        (line,) = errors
        assert code == 2
        assert line.startswith("models: own: weights: the energy of LiF ")
        assert re.search(words, line)


def test_a_model_that_fails_where_an_energy_is_published_is_one_line(tmp_path: Path) -> None:
    published = [{"formula": "F", "positions_A": [[0, 0, 0]], "energy_ev": 0.0}]
    code, (line,), _ = do_import(
        tmp_path, None, **ASE | {"calculator": f"{__name__}.Moody"}, arguments=LJ, published=published
    )
    assert code == 2
    assert "the energy of F is not to be had here (its library fails in vacuum: DislikeError: not this box)" in line


def test_forces_that_are_no_derivative_are_noted(tmp_path: Path) -> None:
    code, _, model = do_import(tmp_path, None, **ASE | {"calculator": f"{__name__}.Direct"}, arguments=LJ)
    assert code == 0
    trial = json.loads((model / "model.json").read_text())["trial"]
    assert not trial["conservative"]
    assert trial["force_off"] == pytest.approx(0.2 / 1.2, abs=0.01)
    assert trial["stress_off"] < 1e-3


@pytest.mark.parametrize(
    ("package", "dispersion"), [("mdtraj", None), ("dftd3", {"functional": "PBE", "cutoff_A": 10.0})]
)
def test_an_environment_that_lacks_what_dynamics_need_is_refused_at_once(
    package: str, dispersion: dict | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as Python sees what is not installed
    code, errors, _ = do_import(tmp_path, None, **ASE, arguments=LJ, dispersion=dispersion)
    assert (code, errors) == (
        2,
        [f"models: own: no Python package {package} in {sys.prefix}: its evaluation and dynamics need it"],
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"calculator": f"{__name__}.NoStress"}, "the model has no stress: runs at constant pressure"),
        ({"calculator": f"{__name__}.Nan", "arguments": LJ}, "numbers that are not finite"),
        ({"calculator": f"{__name__}.Moody", "arguments": LJ}, "DislikeError: not this box"),
        ({"calculator": "no_such_library.Model"}, "there is no module no_such_library in this environment"),
        ({"calculator": "ase.calculators.lj.Lenard"}, "ase.calculators.lj has no Lenard"),
        ({"calculator": "os.system", "arguments": {"command": "touch it_ran"}}, "os.system is no ASE calculator"),
        ({"calculator": "shutil.rmtree", "arguments": {"path": "own"}}, "shutil.rmtree is a function of shutil"),
        ({"calculator": f"{__name__}.removes", "arguments": {"path": "own"}}, "removes is a function of shutil"),
        ({"calculator": f"{__name__}.makes_none"}, "makes_none makes a dict, which is no ASE calculator"),
        ({"calculator": "subprocess.Popen", "arguments": {"args": ["touch", "it_ran"]}}, "is no ASE calculator"),
        ({"calculator": "ase.calculators.vasp.Vasp", "arguments": {"command": "touch it_ran"}}, "may run any program"),
        ({"calculator": "ase.calculators.abinit.Abinit"}, "may run any program"),
        (
            {"calculator": f"{__name__}.Reads", "arguments": {"command": "touch it_ran"}},
            "arguments: command: names a program",
        ),
        ({"calculator": f"{__name__}.Filed"}, "ase.calculators.calculator.FileIOCalculator, which may run any program"),
        ({"calculator": f"{__name__}.Reads", "arguments": {"path": "none"}}, "cannot be made: FileNotFoundError"),
        ({"calculator": f"{__name__}.Reads", "arguments": {"way": "none"}}, "cannot be made: TypeError"),
    ],
)
def test_what_cannot_be_used_is_one_line(settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    code, errors, model = do_import(tmp_path, None, **ASE | {"arguments": {}} | settings)
    assert code == 2
    assert len(errors) == 1
    assert words in errors[0]
    assert not model.exists()
    assert not (tmp_path / "it_ran").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="a filter of Linux")
def test_a_model_that_runs_a_program_is_refused_where_it_is_tried(tmp_path: Path) -> None:
    code, errors, model = do_import(
        tmp_path, None, confined=True, **ASE | {"calculator": f"{__name__}.Runs"}, arguments=LJ
    )
    assert code == 2
    assert "fails on a small box" in errors[0]
    assert "Operation not permitted" in errors[0]
    assert not (tmp_path / "it_ran").exists()
    assert not model.exists()


@pytest.mark.filterwarnings("ignore")
def test_a_model_that_hangs_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models_confined, "WALL_S", 1)
    code, errors, _ = do_import(
        tmp_path, None, confined=True, **ASE | {"calculator": f"{__name__}.Hangs"}, arguments=LJ
    )
    assert (code, errors) == (
        2,
        [f"models: own: calculator: {__name__}.Hangs: it was not opened and tried within 0 minutes"],
    )


def test_calculators_of_ase_that_run_programs_are_refused() -> None:
    """By what their source says: those that are let through have no word of another process in it."""
    through = []
    for entry in pkgutil.iter_modules(ase.calculators.__path__, "ase.calculators."):
        try:
            module = importlib.import_module(entry.name)
        except ImportError:  # needs another library
            continue
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ != entry.name or not issubclass(kind, BaseCalculator) or runs_programs(kind):
                continue
            through.append(kind.__name__)
            bases = {base.__module__ for base in kind.__mro__ if base.__module__.startswith("ase.calculators.")}
            for name in bases - {"ase.calculators.calculator"}:
                source = inspect.getsource(sys.modules[name])
                assert not re.search(r"subprocess|os\.system|popen|execv|socket\b", source, re.I), (kind, name)
    assert {"LennardJones", "EMT", "EAM", "Tersoff", "SumCalculator"} <= set(through)


def test_a_function_of_a_library_makes_the_model(tmp_path: Path) -> None:
    arguments = {"sigma": LJ["sigma"], "rc": LJ["rc"]}
    code, errors, model = do_import(tmp_path, None, **ASE | {"calculator": f"{__name__}.makes"}, arguments=arguments)
    assert (code, errors) == (0, [])
    card = json.loads((model / "model.json").read_text())
    assert card["loaded"]["class"] == "ase.calculators.lj.LennardJones"
    atoms = bulk("Ar", cubic=True, a=4.0)
    atoms.rattle(0.1, seed=1)
    assert load_calculator(model).get_potential_energy(atoms) == LennardJones(**LJ).get_potential_energy(atoms)


def test_a_function_of_a_file_of_the_study_makes_the_model(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        "import json\nfrom pathlib import Path\nfrom ase.calculators.lj import LennardJones\n\n\n"
        "def make(path, **more):\n    return LennardJones(**json.loads(Path(path).read_text()), **more)\n"
    )
    weights = tmp_path / "lj.json"
    weights.write_text(json.dumps({"sigma": LJ["sigma"], "rc": LJ["rc"]}))
    settings = ASE | {
        "calculator": "mine.py:make",
        "weights_argument": "path",
        "arguments": {"epsilon": 0.3, "smooth": True},
    }
    code, errors, model = do_import(tmp_path, weights, script, **settings, calculator_sha256=sha256(script))
    assert (code, errors) == (0, [])
    card = json.loads((model / "model.json").read_text())
    assert card["files"] == {"lj.json": sha256(weights), "mine.py": sha256(script)}
    atoms = bulk("Ar", cubic=True, a=4.0)
    atoms.rattle(0.1, seed=1)
    assert load_calculator(model).get_potential_energy(atoms) == LennardJones(**LJ).get_potential_energy(atoms)
    (model / "mine.py").write_text("raise SystemExit\n")
    with pytest.raises(UserError, match=r"mine\.py: sha256 is .*, the model card says"):
        load_calculator(model)
    code, errors, _ = do_import(tmp_path, weights, script, **settings, calculator_sha256=64 * "0")
    assert code == 2
    assert errors == [
        f"models: own: calculator_sha256: mine.py: sha256 is {sha256(script)}, the study says {64 * '0'}; it was not opened"
    ]


def test_a_class_is_a_calculator() -> None:
    assert named_class("ase.calculators.lj.LennardJones") is LennardJones


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_the_trial_box_holds_every_element_twice(count: int) -> None:
    elements = ["H", "C", "N", "F", "B", "O", "S", "P", "Li"][:count]
    symbols = small_box.trial_box(elements).get_chemical_symbols()
    assert all(symbols.count(element) >= 2 for element in elements)
