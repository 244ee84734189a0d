"""Files of MACE models that others wrote: they open and are the same model, and TorchScript that does more is refused."""

import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_training as tiny
import torch
from ase import Atoms

from ionmelt.errors import UserError
from ionmelt.models import weights
from ionmelt.models.untrusted import allowed

# torch, e3nn and mace warn of each other when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")

NON_LINEAR = "RealAgnosticResidualNonLinearInteractionBlock"
TWO_HEADS = {
    "heads": ["pt_head", "Default"], "atomic_energies": np.array([[-1.0, -2.0], [-3.0, -4.0]]),
    "atomic_inter_scale": [1.3, 1.1], "atomic_inter_shift": [0.2, 0.3],
}  # fmt: skip
EMBEDDINGS = {
    "total_spin": {"type": "categorical", "per": "graph", "num_classes": 10, "emb_dim": 4},
    "total_charge": {"type": "continuous", "per": "graph", "in_dim": 1, "emb_dim": 4},
}
OLD = Path(__file__).resolve().parents[2] / "data" / "mace-0.3.4.model.xz"


def build(
    dtype: torch.dtype = torch.float64,
    blocks: tuple[str, str] = ("RealAgnosticResidualInteractionBlock", "RealAgnosticResidualInteractionBlock"),
    readout: str = "NonLinearReadoutBlock",
    irreps: str = "2x0e + 2x1o",
    **options: Any,
) -> torch.nn.Module:
    """Return a small MACE model of Li and F that MACE's own classes make, with random weights."""
    from mace import modules
    from mace.modules.blocks import o3

    first, then = (modules.interaction_classes[block] for block in blocks)
    plain = {
        "r_max": 3.0, "num_bessel": 3, "num_polynomial_cutoff": 5, "max_ell": 1, "interaction_cls": then, "correlation": 2,
        "interaction_cls_first": first, "num_interactions": 1, "num_elements": 2, "hidden_irreps": o3.Irreps(irreps),
        "MLP_irreps": o3.Irreps("2x0e"), "atomic_energies": np.array([[-1.0, -2.0]]), "avg_num_neighbors": 6.0,
        "atomic_numbers": [3, 9], "gate": torch.nn.functional.silu, "radial_MLP": [4], "atomic_inter_scale": [1.3],
        "atomic_inter_shift": [0.2], "readout_cls": modules.readout_classes[readout],
    }  # fmt: skip
    torch.manual_seed(1)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        return modules.ScaleShiftMACE(**plain | options)
    finally:
        torch.set_default_dtype(before)


def saved(path: Path, model: torch.nn.Module) -> None:
    torch.save(model, path)


def old(path: Path) -> None:
    """A file that MACE 0.3.4 wrote."""
    path.write_bytes(lzma.decompress(OLD.read_bytes()))


def twice(path: Path) -> None:
    saved(path, build())
    saved(path, torch.load(path, weights_only=False))


def compiled(path: Path) -> None:
    from e3nn.util import jit  # which MACE has to be imported before

    torch.jit.save(jit.compile(build()), path)


def from_a_gpu(path: Path) -> None:
    """A file whose numbers were on a GPU."""
    buffer = io.BytesIO()
    saved(buffer, build())  # type: ignore[arg-type]
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("data.pkl"):
                assert b"X\x03\x00\x00\x00cpu" in content
                content = content.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
            target.writestr(name, content)


DENSITY = ("RealAgnosticDensityInteractionBlock", "RealAgnosticDensityResidualInteractionBlock")
FILES: dict[str, Callable[[Path], None]] = {
    "single precision, two heads": lambda path: saved(path, build(torch.float32, **TWO_HEADS)),
    "Agnesi, ZBL, density": lambda path: saved(
        path, build(blocks=DENSITY, irreps="2x0e", num_interactions=2, pair_repulsion=True, distance_transform="Agnesi")
    ),
    "Soft, Gaussians, no parity": lambda path: saved(
        path,
        build(distance_transform="Soft", radial_type="gaussian", use_so3=True, gate=torch.tanh),
    ),
    "non-linear, two heads": lambda path: saved(
        path,
        build(
            blocks=(NON_LINEAR, NON_LINEAR),
            readout="NonLinearBiasReadoutBlock",
            use_agnostic_product=True,
            use_last_readout_only=True,
            correlation=3,
            num_interactions=2,
            **TWO_HEADS,
        ),
    ),
    "charge and spin": lambda path: saved(path, build(embedding_specs=EMBEDDINGS, use_embedding_readout=True)),
    "loaded and saved": twice,
    "MACE 0.3.4": old,
    "compiled": compiled,
}


def computed(calculator: Any) -> tuple[float, np.ndarray, np.ndarray]:
    frame = tiny.make_frames(1)[0]
    atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True)
    atoms.info |= {"total_charge": 0.0, "total_spin": 1.0}
    atoms.calc = calculator
    return atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()


@pytest.mark.parametrize("kind", FILES)
def test_files_of_mace_open_and_are_the_same_model(kind: str, tmp_path: Path) -> None:
    from mace.calculators import MACECalculator

    path = tmp_path / "m.model"
    FILES[kind](path)
    options = {"device": "cpu", "default_dtype": "float64"}
    theirs = computed(MACECalculator(str(path), **options))
    ours = computed(MACECalculator(models=weights.read_mace(path), **options))
    assert np.isfinite(theirs[0])
    assert np.abs(theirs[1]).max() > 1e-3
    for tensor, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(tensor, other)


def test_numbers_of_a_gpu_are_read_without_one(tmp_path: Path) -> None:
    from_a_gpu(tmp_path / "m.model")
    model = weights.read_mace(tmp_path / "m.model")
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    for tensor, other in zip(model.parameters(), build().parameters(), strict=True):
        assert torch.equal(tensor, other)


class Opened(torch.nn.Module):
    """TorchScript that makes a file when it is opened."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = bool(torch.from_file(self.path, True, 8).sum() > 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Runs(torch.nn.Module):
    """TorchScript that makes a file when it computes."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.from_file(self.path, True, 8).sum()


@pytest.mark.parametrize("where", ["alone", "in a module of e3nn"])
@pytest.mark.parametrize(("made", "words"), [(Opened, "__setstate__|__getstate__"), (Runs, "from_file")])
def test_torchscript_that_makes_a_file_is_refused_and_does_not_run(
    made: type[torch.nn.Module], words: str, where: str, tmp_path: Path
) -> None:
    trace, path = tmp_path / "it_ran", tmp_path / "m.model"
    script = torch.jit.script(made(str(trace)))
    if where == "alone":
        torch.jit.save(script, path)
    else:
        model = build()
        model.node_embedding.linear._compiled_main = script
        torch.save(model, path)
    with pytest.raises(UserError, match=rf"m.model was not opened: it holds TorchScript .*({words})"):
        weights.read_mace(path)
    assert not trace.exists()
    if made is Opened:  # the same file does run when it is opened as others open it
        torch.load(path, weights_only=False)
        assert trace.exists()


def test_an_operator_in_the_guise_of_an_attribute_is_refused() -> None:
    """Of a tensor x, x.save is an operator in TorchScript."""
    weights.check_attributes({"weight", "irreps_in", "layer0", "forward", "mode", "count", "quantile"}, "m")
    for name in ("save", "from_file"):
        with pytest.raises(UserError, match=f"it holds TorchScript that calls .{name}"):
            weights.check_attributes({"weight", name}, "m")


# Texts that operators take: names of dimensions, which formula, which way to round. None is the name of a file.
TEXTS = {
    "approximate", "equation", "mode", "ord", "reduce", "rounding_mode", "side", "UPLO", "dim", "dims", "dim0", "dim1", "dim2", "outdim",
    "out_dim", "start_dim", "end_dim", "names", "a", "b", "el", "self", "string", "substr", "separator",
}  # fmt: skip


def test_operators_that_are_allowed_take_no_names_of_files_and_no_functions() -> None:
    """As torch itself describes them."""
    checked = 0
    for name in allowed.OPERATORS:
        for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
            checked += 1
            for argument in schema.arguments:
                kind = str(argument.type)
                assert "str" not in kind or argument.name in TEXTS, f"{name}: {argument.name}"
                assert not any(word in kind for word in ("Storage", "Callable", "Future", "AnyClass")), (
                    f"{name}: {argument.name}"
                )
    assert checked > 500
    assert not allowed.OPERATORS & {"save", "from_file", "load", "set_", "apply_", "map_"}
