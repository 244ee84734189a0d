"""What a file of weights would run: files are put together byte by byte, as no library would write them, and none may get through."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ionmelt.errors import UserError
from ionmelt.models.untrusted import file as untrusted
from ionmelt.models.untrusted import traced as models_traced
from ionmelt.models.untrusted.refusals import CallsError, NotThisKindError, RefusedError
from ionmelt.models.weights import checked

MODEL = "mace.modules.models.ScaleShiftMACE"
IMPORTS = "from math import inf\nimport torch\n\n\n"


def value(thing: Any) -> bytes:
    """Return the opcodes that put a plain value onto the stack."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, 2)
    pickler.fast = True
    pickler.dump(thing)
    return buffer.getvalue()[2:-1]


def named(name: str) -> bytes:
    module, _, attribute = name.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def call(name: str, *arguments: bytes) -> bytes:
    return named(name) + b"(" + b"".join(arguments) + b"tR"


def new(name: str, *arguments: bytes) -> bytes:
    return named(name) + b"(" + b"".join(arguments) + b"t\x81"


def given(thing: bytes, **state: bytes) -> bytes:
    """Return opcodes that give an object its attributes."""
    return thing + b"}(" + b"".join(value(key) + content for key, content in state.items()) + b"ub"


def model(extra: bytes) -> bytes:
    """Return a model that holds something else."""
    return given(new(MODEL), training=value(True), extra=extra)


def traced(source: str, imports: str = IMPORTS, **more: bytes) -> bytes:
    body = {"_code": value(source)} | more
    items = b"}(" + b"".join(value(key) + content for key, content in body.items()) + b"u"
    return call("torch.fx.graph_module.reduce_graph_module", items, value(imports))


def archive(path: Path, data: bytes, records: dict[str, bytes] | None = None, packed: int = zipfile.ZIP_STORED) -> Path:
    """Write a file as torch.save does: a pickle, and numbers beside it."""
    with zipfile.ZipFile(path, "w", packed) as file:
        for name, content in ({"data.pkl": b"\x80\x02" + data + b".", "version": b"3\n"} | (records or {})).items():
            file.writestr(f"archive/{name}", content)
    return path


def script(code: str, data: bytes = b"}", records: dict[str, bytes] | None = None) -> bytes:
    """Return what torch.jit.save writes for a piece of code."""
    buffer = io.BytesIO()
    content = {"data.pkl": b"\x80\x02" + data + b".", "constants.pkl": b"\x80\x02).", "version": b"3\n"}
    content |= {"code/__torch__/m.py": code.encode()} | (records or {})
    with zipfile.ZipFile(buffer, "w") as file:
        for name, text in content.items():
            file.writestr(f"archive/{name}", text)
    return buffer.getvalue()


FORWARD = "\ndef forward(self, x : torch.Tensor, w):\n    y = torch.functional.einsum('ab,b->a', x, w);  x = None\n    return y\n"
STORAGE = b"(" + value("storage") + named("torch.DoubleStorage") + value("0") + value("cpu") + value(1) + b"tQ"
TENSOR = call("torch._utils._rebuild_tensor_v2", STORAGE, value(0), value((1,)), value((1,)), value(False), b"}")


def test_what_models_are_made_of_gets_through(tmp_path: Path) -> None:
    number = call(
        "numpy.core.multiarray.scalar", call("numpy.dtype", value("f8"), value(0), value(1)), value(b"12345678")
    )
    parts = {
        "_parameters": b"}(" + value("weight") + TENSOR + b"u",
        "hooks": call("collections.OrderedDict"),
        "irreps": new("e3nn.o3._irreps.Irreps", b"(" + new("e3nn.o3._irreps._MulIr", value(2), value((0, 1))) + b"t"),
        "act": named("torch.nn.functional.silu"),
        "number": number,
        "graph": traced(FORWARD, _tracer_cls=named("torch.fx._symbolic_trace.Tracer"), _tracer_extras=b"}"),
        "layers": given(new("torch.nn.modules.container.ModuleList"), training=value(True)),
        "__codegen__": b"}("
        + value("main")
        + value(script("def f(x: Tensor) -> Tensor:\n  return torch.sin(x)\n"))
        + b"u",
    }
    path = archive(tmp_path / "m.model", given(new(MODEL), **parts), {"data/0": bytes(8)})
    checked = untrusted.check(path)
    assert (checked.top, checked.script, checked.refused) == (MODEL, False, [])
    assert "torch.fx._symbolic_trace.Tracer" in checked.globals


STATE_TRICKS = {
    "a class called": model(call("torch.nn.modules.linear.Linear", value(2), value(2))),
    "a class made of something": model(new("torch.nn.modules.linear.Linear", value(2))),
    "another class": given(new(MODEL), __class__=named("torch.nn.modules.linear.Linear")),
    "a state that is no dict": new(MODEL) + value([1]) + b"b",
    "two states": new(MODEL) + b"N}(" + value("x") + value(1) + b"u\x86b",
    "a function that is not TorchScript": given(
        new(MODEL), __codegen__=b"}(" + value("main") + value("import os") + b"u"
    ),
    "a function of another pickle": given(
        new(MODEL), __codegen__=b"}(" + value("main") + value(b"cposix\nsystem\n.") + b"u"
    ),
    "a state of a function": named("torch.nn.functional.silu") + b"}b",
}
CALLS = {
    "posix.system": call("posix.system", value("touch it_ran")),
    "os.system": call("os.system", value("touch it_ran")),
    "builtins.eval": call("builtins.eval", value("1")),
    "builtins.exec": call("__builtin__.exec", value("1")),
    "builtins.getattr": call("builtins.getattr", named(MODEL), value("load_state_dict")),
    "functools.partial": call("functools.partial", named("torch.nn.functional.silu")),
    "operator.attrgetter": call("operator.attrgetter", value("f")),
    "torch.load": call("torch.load", value("x")),
    "torch.jit.load": call("torch.jit.load", value("x")),
    "torch.hub.load": call("torch.hub.load", value("x"), value("y")),
    "torch.from_file": call("torch.from_file", value("x"), value(True), value(9)),
    "torch.storage._load_from_bytes": call("torch.storage._load_from_bytes", value(b"cposix\nsystem\n.")),
    "torch.compile": call("torch.compile", named("torch.nn.functional.silu")),
    "torch.nn.parallel.distributed.DistributedDataParallel": new("torch.nn.parallel.distributed.DistributedDataParallel"),
    "torch.package.package_importer.PackageImporter": call("torch.package.package_importer.PackageImporter", value("x")),
    "torch.fx.graph_module.reduce_package_graph_module": call("torch.fx.graph_module.reduce_package_graph_module", value("x")),
    "e3nn.util.codegen._eval.eval_code": call("e3nn.util.codegen._eval.eval_code", value("import os")),
    "mace.modules.os.system": named("mace.modules.os.system"),
    "mace.modules.blocks.torch.save": b"\x80\x04\x8c\x13mace.modules.blocks\x8c\x0atorch.save\x93",
    "numpy.load": call("numpy.load", value("x")),
    "numpy.core.multiarray.fromfile": call("numpy.core.multiarray.fromfile", value("x")),
    "copyreg._reconstructor": call("copy_reg._reconstructor", named(MODEL), named("__builtin__.object"), b"N"),
    "torch.nn.functional.silu": call("torch.nn.functional.silu", value(1)),
}  # fmt: skip
ODD = {
    "bytes by another code": call("_codecs.encode", value("x"), value("zip")),
    "objects of numpy": call("numpy.dtype", value("O"), value(0), value(1)),
    "records of numpy": call("numpy.dtype", value("f8"), value(0), value(1)) + value((3, "<", None, ("a",), {"a": 1}, 1, 1, 0)) + b"b",
    "lists of numpy": call("numpy.core.multiarray._reconstruct", named("numpy.ndarray"), value((0,)), value(b"b"))
    + value((1, (1,), None, False, [1])) + b"b",
    "numbers elsewhere": b"(" + value("storage") + named("torch.DoubleStorage") + value("../1") + value("cpu") + value(1) + b"tQ",
    "no storage": b"(" + value("module") + named("torch.DoubleStorage") + value("0") + value("cpu") + value(1) + b"tQ",
    "registered classes": b"\x82\x01",
    "cut off": b"(",
    **STATE_TRICKS,
}  # fmt: skip


WHY_ODD = {
    "bytes by another code": "_codecs.encode, called as no model calls it",
    "objects of numpy": "values of numpy that are not numbers",
    "records of numpy": "numbers of a kind that numpy makes of others",
    "lists of numpy": "an array of numpy that is not of numbers",
    "numbers elsewhere": "numbers that are not in the file",
    "no storage": "numbers that are not in the file",
    "registered classes": "a pickle that cannot be read",
    "cut off": "a pickle that cannot be read",
    "a class called": "torch.nn.modules.linear.Linear",
    "a class made of something": "torch.nn.modules.linear.Linear",
    "another class": "ScaleShiftMACE with the attribute __class__",
    "a state that is no dict": "ScaleShiftMACE with a state that is not its attributes",
    "two states": "ScaleShiftMACE with a state that is not its attributes",
    "a function that is not TorchScript": "ScaleShiftMACE with functions that are not TorchScript",
    "a function of another pickle": "no archive",
    "a state of a function": "a pickle that cannot be read",
}


@pytest.mark.parametrize("name", CALLS)
def test_a_pickle_that_calls_something_else_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    for pickled in (CALLS[name], model(CALLS[name])):
        with pytest.raises(CallsError, match=name.replace("os.system", ".*system")):
            untrusted.check(archive(tmp_path / "m.model", pickled))


@pytest.mark.parametrize("name", ODD)
def test_a_pickle_that_is_put_together_oddly_is_refused(name: str, tmp_path: Path) -> None:
    for pickled in (ODD[name], model(ODD[name])):
        with pytest.raises(RefusedError, match=f"{WHY_ODD[name]}$"):
            untrusted.check(archive(tmp_path / "m.model", pickled, {"data/0": bytes(8)}))


TRACED = {
    "a default": "\ndef forward(self, x=torch.from_file('f', True, 9)):\n    return x\n",
    "a plain default": "\ndef forward(self, x=1):\n    return x\n",
    "a default by name": "\ndef forward(self, *, x=print(1)):\n    return x\n",
    "an annotation": "\ndef forward(self, x: print(1)):\n    return x\n",
    "a result": "\ndef forward(self, x) -> print(1):\n    return x\n",
    "a decorator": "\n@torch.compile\ndef forward(self, x):\n    return x\n",
    "an import": "\nimport os\ndef forward(self, x):\n    return x\n",
    "a line": "\nopen('f', 'w')\ndef forward(self, x):\n    return x\n",
    "a class": "\nclass A:\n    pass\ndef forward(self, x):\n    return x\n",
    "another function": "\ndef other(self, x):\n    return x\n",
    "two functions": "\ndef forward(self):\n    return 1\ndef forward(self):\n    return 2\n",
    "torch.load": "\ndef forward(self, x):\n    return torch.load('f')\n",
    "torch.from_file": "\ndef forward(self, x):\n    return torch.from_file('f', True, 9)\n",
    "torch.save": "\ndef forward(self, x):\n    y = torch.save(x, 'f')\n    return y\n",
    "torch.save by another name": "\ndef forward(self, x):\n    y = torch.save;  z = y(x, 'f')\n    return z\n",
    "torch.os": "\ndef forward(self, x):\n    return torch.os.system('f')\n",
    "torch.ops": "\ndef forward(self, x):\n    return torch.ops.aten.from_file('f')\n",
    "torch itself": "\ndef forward(self, x):\n    y = torch;  return y.save(x, 'f')\n",
    "a method": "\ndef forward(self, x):\n    return x.tofile('f')\n",
    "a method of a result": "\ndef forward(self, x):\n    return x.numpy().tofile('f')\n",
    "a method as a value": "\ndef forward(self, x):\n    y = x.tofile;  return y('f')\n",
    "a method of self": "\ndef forward(self, x):\n    return self.compile()\n",
    "getattr": "\ndef forward(self, x):\n    return getattr(torch, 'save')(x, 'f')\n",
    "getattr of a method": "\ndef forward(self, x):\n    y = getattr(x, 'tofile');  return y\n",
    "names of python": "\ndef forward(self, x):\n    return x.__class__\n",
    "a lambda": "\ndef forward(self, x):\n    return (lambda: x)()\n",
    "a loop": "\ndef forward(self, x):\n    for y in x:\n        pass\n    return x\n",
    "a comprehension": "\ndef forward(self, x):\n    return [y for y in x]\n",
    "a formatted text": "\ndef forward(self, x):\n    return f'{x}'\n",
    "a walrus": "\ndef forward(self, x):\n    return (y := x)\n",
    "an attribute set": "\ndef forward(self, x):\n    self.forward = x\n    return x\n",
    "an attribute of torch set among others": "\ndef forward(self, x):\n    (torch.add, y) = x\n    return x\n",
    "torch set": "\ndef forward(self, x):\n    torch = x\n    return x\n",
    "open": "\ndef forward(self, x):\n    return open('f', 'w')\n",
    "eval": "\ndef forward(self, x):\n    return eval('1')\n",
    "another import as torch": None,
    "cut off": "\ndef forward(self",
    "a line feed of another kind": "\ndef forward(self, x):\n    return x\n#\r\nimport os\n",
    "a form feed": "\ndef forward(self, x):\n    return x\n\x0cimport os\n",
    "a continued line": "\ndef forward(self, x):\n    return \\\nx\n",
}  # fmt: skip


@pytest.mark.parametrize("name", TRACED)
def test_source_that_tracing_does_not_write_is_refused(name: str, tmp_path: Path) -> None:
    source = TRACED[name]
    graph = traced(FORWARD, "import os as torch\n") if source is None else traced(source)
    with pytest.raises(RefusedError, match=r"traced function|source code"):
        untrusted.check(archive(tmp_path / "m.model", model(graph)))


@pytest.mark.parametrize(
    "source",
    [
        FORWARD,
        "\ndef forward(self, x):\n    tensordot = torch.functional.tensordot(x, x, dims = ((1,), (0,)), out = None)\n"
        "    permute = tensordot.permute(0, 2, 1);  tensordot = None\n    return permute\n    ",
        "\ndef forward(self, x):\n    getattr_1 = x.shape\n    getitem = getattr_1[slice(None, -1, None)]\n"
        "    add = getitem + (4,)\n    y = x.new_zeros(add, dtype = torch.float64, device = device(type='cpu'))\n    return (y, -x * inf)\n",
        "\ndef forward(self, x):\n    lin = self.lin(x)\n    w = self._tensor_constant0\n    return torch.nn.functional.silu(lin + w)\n",
    ],
)  # fmt: skip
def test_source_that_tracing_writes_gets_through(source: str) -> None:
    imports = "NoneType = type(None)\nfrom math import inf\nfrom torch import device\nimport torch\nimport torch.fx._pytree as fx_pytree\n"
    models_traced.check_traced(imports + source, {"lin", "_tensor_constant0"})


def test_the_text_that_runs_is_the_text_that_is_checked(tmp_path: Path) -> None:
    """PyTorch puts imports and code together without a line between them, and takes the one name of the code before the other."""
    for graph, why in (
        (traced("\ndef forward(self, x):\n    return x\n", "import torch, os"), "the line 'import torch, os'"),
        (traced("x\ndef forward(self, x):\n    return x\n", "import torch.os as "), "the line 'import torch.os as x'"),
        (traced("import os\ndef forward(self, x):\n    return x\n", code=value(FORWARD)), "the line 'import os'"),
        (traced("", code=value("import os\ndef forward(self, x):\n    return x\n")), "the line 'import os'"),
        (traced(FORWARD, _tracer_cls=named("torch.nn.modules.linear.Linear")), "traced by an unknown class"),
        (traced(FORWARD, _tracer_extras=value({"concrete_args": 1})), "called as no model calls it"),
    ):
        with pytest.raises(RefusedError, match=f"{why}$"):
            untrusted.check(archive(tmp_path / "m.model", model(graph)))


SCRIPTS = {
    "aten::from_file": "def f(x: Tensor) -> Tensor:\n  return torch.from_file('f', True, 9)\n",
    "aten::save": "def f(x: Tensor) -> Tensor:\n  torch.save(x, 'f')\n  return x\n",
    "by another name": "def f(x: Tensor) -> Tensor:\n  _0 = torch.save\n  _0(x, 'f')\n  return x\n",
    "ops": "def f(x: Tensor) -> Tensor:\n  return ops.aten.from_file('f', True, 9)\n",
    "ops of another library": "def f(x: Tensor) -> Tensor:\n  ops.image.write_file('f', x)\n  return x\n",
    "ops by another name": "def f(x: Tensor) -> Tensor:\n  a = ops.image\n  a.write_file('f', x)\n  return x\n",
    "in a default": "def f(x: Tensor=torch.from_file('f', True, 9)) -> Tensor:\n  return x\n",
    "in a field": "class M(Module):\n  a : Tensor = torch.from_file('f', True, 9)\n",
    "when it is opened": "class M(Module):\n  def __setstate__(self, state: Tensor) -> NoneType:\n    return None\n",
    "another task": "def f(x: Tensor) -> Tensor:\n  return fork(f, x)\n",
    "a class of C++": "class M(Module):\n  a : __torch__.torch.classes.x.Y\n  def f(self):\n    return __torch__.torch.classes.x.Y()\n",
    "an import": "import os\n",
    "a comment of another end": "def f(x: Tensor) -> Tensor:\n  # \r  torch.save(x, 'f')\n  return x\n",
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_torchscript_that_does_more_than_compute_is_refused(name: str, tmp_path: Path) -> None:
    """As a file, and hidden in a module of e3nn, whose state opens it."""
    alone = tmp_path / "m.pth"
    alone.write_bytes(script(SCRIPTS[name]))
    inside = given(
        new("e3nn.o3._linear.Linear"), __codegen__=b"}(" + value("main") + value(script(SCRIPTS[name])) + b"u"
    )
    for path in (alone, archive(tmp_path / "m.model", model(inside))):
        with pytest.raises(RefusedError, match=r"TorchScript|source code"):
            untrusted.check(path)


def test_names_that_torchscript_asks_objects_for_are_given_on(tmp_path: Path) -> None:
    """Of a tensor they would be operators: PyTorch has to say."""
    (tmp_path / "m.pth").write_bytes(
        script("def f(x: Tensor) -> Tensor:\n  x.save('f')\n  getattr(x, 'from_file')\n  return x\n")
    )
    assert {"save", "from_file"} <= untrusted.check(tmp_path / "m.pth").attributes


def test_torchscript_with_other_records_or_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    for content in (
        script("", b"cposix\nsystem\n"),
        script("", b"c__torch__.torch.classes.x\nY\n"),
        script("", b"ctorch._utils\n_rebuild_parameter\n"),
        script("", records={"model.so": b"x"}),
        script("", records={"extra/data_modifier.pth": b"x"}),
    ):
        path.write_bytes(content)
        with pytest.raises(RefusedError, match=r"TorchScript|modifier"):
            untrusted.check(path)


def test_archives_that_two_readers_read_in_two_ways_are_refused(tmp_path: Path) -> None:
    good = model(value(1))
    path = tmp_path / "m.model"
    assert untrusted.check(archive(path, good)).top == MODEL
    content = path.read_bytes()
    for spoilt in (b"#!/bin/sh\n" + content, content + bytes(100), content[:-2] + b"\x03\x00abc"):
        path.write_bytes(spoilt)
        with pytest.raises(RefusedError, match="not as PyTorch writes it"):
            untrusted.check(path)
    for records in ({"Data.pkl": b"x"}, {"../other/data.pkl": b"x"}):
        archive(path, good, records)
        if "../other/data.pkl" in records:  # another folder at the top
            with zipfile.ZipFile(path, "a") as file:
                file.writestr("other/data.pkl", b"x")
        with pytest.raises(RefusedError, match="not as PyTorch writes it"):
            untrusted.check(path)
    bomb = archive(path, good, {"data/0": bytes(10**7)}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 10**5
    with pytest.raises(RefusedError, match="packed records"):
        untrusted.check(bomb)


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04" + bytes(50), pickle.dumps({"a": 1})])
def test_what_pytorch_did_not_write_is_told_from_what_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.model").write_bytes(content)
    with pytest.raises(NotThisKindError, match=r"^no archive$"):
        untrusted.check(tmp_path / "m.model")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
            "is a pointer of Git LFS, not the file",
        ),
        (b"", "m.model is empty: a download"),
        (b"<!DOCTYPE html>\n<html lang='en'>", "is a web page, not the file itself: download it again"),
    ],
)
def test_what_a_download_left_instead_of_weights_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "m.model").write_bytes(content)
    with pytest.raises(UserError, match=said):
        checked(tmp_path / "m.model", "MACE")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_file_that_is_cut_off_is_called_that(share: float, tmp_path: Path) -> None:
    whole = archive(tmp_path / "m.model", model(value(1))).read_bytes()
    (tmp_path / "m.model").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"weights: m\.model is cut off or damaged: download or copy it again$"):
        checked(tmp_path / "m.model", "MACE")


@pytest.mark.parametrize("names", [["a.model"], ["run/a.model", "run/log.txt"], ["a.model", "README", "run/a"], []])
@pytest.mark.parametrize("framework", ["MACE", "DeePMD"])
def test_an_archive_of_a_model_is_to_be_unpacked(names: list[str], framework: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as file:
        for name in names:
            file.writestr(name, archive(tmp_path / "m.model", model(value(1))).read_bytes())
    with pytest.raises(UserError) as refused:
        checked(tmp_path / "m.zip", framework)
    assert (
        str(refused.value)
        == f"weights: m.zip is an archive of other files: unpack it, and give the {framework} model in it"
    )
