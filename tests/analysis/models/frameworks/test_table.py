"""The table of frameworks: what others read from it, and what importing it costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from used_files import all_imports

from ionmelt.models.framework import Framework
from ionmelt.models.frameworks import FRAMEWORKS

BIN = Path(__file__).resolve().parents[4] / "bin"
CONTAINERS = BIN.parent / "containers"

OF_GIVEN = {"ase": {"calculator": "a.B"}, "named": {"model": "a"}}
each_framework = pytest.mark.parametrize("framework", FRAMEWORKS.values(), ids=lambda row: row.name)


def test_the_table_imports_no_learning_library() -> None:
    code = "import sys, ionmelt.models.frameworks; print({'torch', 'mace', 'deepmd', 'nequip', 'openmm', 'tblite'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=BIN, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@each_framework
def test_a_row_names_what_is_there(framework: Framework) -> None:
    assert (CONTAINERS / framework.environment / "requirements.txt").is_file()
    fields = framework.settings.model_fields
    named = [name for names in framework.loss_weights for name in names] + [framework.cutoff or "id"]
    assert set(named) <= set(fields)
    assert framework.is_trained == (framework.training_core_s is not None)
    training = BIN / "ionmelt" / "models" / "frameworks" / f"{framework.name}_training.py"
    assert training.is_file() == framework.is_trained
    if framework.is_trained:
        functions = [node.name for node in ast.parse(training.read_text()).body if isinstance(node, ast.FunctionDef)]
        assert "train" in functions


@each_framework
def test_no_script_imports_a_training_of_its_own_accord(framework: Framework) -> None:
    """An edit of the training of one framework repeats nothing but that: the pipeline has a digest of each."""
    training = BIN / "ionmelt" / "models" / "frameworks" / f"{framework.name}_training.py"
    others = [BIN / "ionmelt" / "models" / "frameworks" / f"{name}_training.py" for name in FRAMEWORKS]
    starts = [*BIN.glob("*.py"), *(path for path in others if path.is_file() and path != training)]
    assert [path.name for path in starts if training in all_imports(path)] == []


def test_files_that_a_user_may_bring_can_be_opened() -> None:
    names = {"look", "facts", "take", "WRITES", "OF_CALCULATOR"}
    opened = [row.name for row in FRAMEWORKS.values() if row.given or (row.is_trained and row.modes)]
    assert opened == ["mace", "deepmd", "named", "ase"]
    for name in opened:
        path = BIN / "ionmelt" / "models" / "frameworks" / f"{name}_opening.py"
        tree = ast.parse(path.read_text())
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        defined |= {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        assert names <= defined
        assert [script.name for script in BIN.glob("*.py") if path in all_imports(script)] == []


@each_framework
def test_steps_cost_each_the_same_and_atoms_what_the_method_scales_with(framework: Framework) -> None:
    settings = {"id": "m", "framework": framework.name} | OF_GIVEN.get(framework.name, {})
    model = framework.settings.model_validate(settings)
    cost = framework.md_core_s(model, 500, 1000)
    assert cost > 0
    assert framework.md_core_s(model, 500, 2000) == pytest.approx(2 * cost)
    twice_the_atoms = 4.2 if framework.name == "xtb" else 2.0  # a model sees the same neighbours, a matrix doubles
    assert framework.md_core_s(model, 1000, 1000) == pytest.approx(twice_the_atoms * cost, rel=0.02)


@each_framework
def test_the_class_of_its_models_says_what_its_row_says(framework: Framework) -> None:
    settings = {"id": "m", "framework": framework.name} | OF_GIVEN.get(framework.name, {})
    model = framework.settings.model_validate(settings)
    assert (model.is_trained, model.is_imported) == (framework.is_trained, framework.given)
    if framework.is_trained and "zero-shot" in framework.modes:
        as_it_is = framework.settings.model_validate(settings | {"mode": "zero-shot"})
        assert (as_it_is.is_trained, as_it_is.is_imported) == (False, True)


def test_how_weights_can_be_used_is_said_by_the_settings() -> None:
    assert FRAMEWORKS["mace"].modes == ("zero-shot", "finetune", "replay", "lora")
    assert FRAMEWORKS["deepmd"].modes == ("zero-shot", "finetune")
    assert FRAMEWORKS["nequip"].modes == ()
