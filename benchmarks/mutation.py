"""Score of the tests: change the code in one spot at a time, and count the changes that no test notices.

usage: benchmarks/run mutation --module measure/slope [--sample N] [--seed N]
       benchmarks/run mutation --module frame --replace 'old text' 'new text'

The module's tests are those of the quick tier in the files of its folder in tests/analysis that import it (else all of the
folder); of them, those that run the changed line. Spots are drawn with the seed, so that a run takes minutes. Changes: operators and comparisons swapped,
numbers and words changed, conditions turned round, an element of a list, a key of a dictionary or an argument left out.
`--replace` makes a change by hand instead; it may be given several times.

Keys of the last line: `mutants` that the module has, `drawn` of them, `killed` by a failed test or its limit of time,
`equivalent` (listed with a reason in benchmarks/equivalent_mutants.csv: no test can tell), `survived`, `not_run` (of those
that survived, how many are in lines that no test runs), and `score`: killed over those drawn that are not equivalent.

Why no tool of others: cosmic-ray starts a process for each change and edits the checkout, which takes 5 s and more here; mutmut
wants a package of its own under src/. Here a process that holds all libraries forks.
"""

# environment: --tests analysis

import argparse
import ast
import contextlib
import copy
import csv
import importlib.abc
import importlib.machinery
import importlib.util
import io
import json
import logging
import os
import pickle
import random
import re
import resource
import signal
import sys
import tempfile
import threading
import time
import types
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).resolve().parent.parent
EQUIVALENT = TOP / "benchmarks/equivalent_mutants.csv"
OPTIONS = ["-q", "-x", "--tb=no", "-p", "no:cacheprovider", "-m", "not long and not all"]
OF_PYTEST = (
    "pytest",
    "_pytest",
    "hypothesis",
    "_hypothesis",
    "xdist",
    "conftest",
    "test",
)  # rewritten or set up anew in each run
MEMORY = 12 << 30  # bytes of a changed program, which may ask for any number

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or,
    ast.Or: ast.And, ast.USub: ast.UAdd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
TURNED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
DROPPED = {
    "abs",
    "sqrt",
    "sorted",
    "log",
    "exp",
    "round",
    "rint",
}  # functions that may be left out around their argument


@dataclass(frozen=True)
class Mutant:
    """One change: the fields that the node of this number (in the order of `ast.walk`) gets."""

    node: int
    fields: dict[str, Any]
    line: int
    lines: range  # of the smallest statement around it
    text: str  # old -> new


def changes(node: ast.AST) -> Iterator[dict[str, Any]]:
    """Yield the changes to one node."""
    # a case for each kind of node: the branches are many, and none is inside another
    match node:
        case ast.Compare():
            for table in (SWAPS, TURNED):
                for i, operator in enumerate(node.ops):
                    if new := table.get(type(operator)):
                        yield {"ops": [*node.ops[:i], new(), *node.ops[i + 1 :]]}
        case ast.BinOp() | ast.BoolOp() | ast.UnaryOp() | ast.AugAssign() if type(node.op) in SWAPS:
            yield {"op": SWAPS[type(node.op)]()}
        case ast.UnaryOp(op=ast.Not()):
            yield {"operand": ast.UnaryOp(ast.Not(), node.operand)}
        case ast.Constant(value=bool()):
            yield {"value": not node.value}
        case ast.Constant(value=int() | float()):
            yield {"value": node.value + 1 if isinstance(node.value, int) else 2 * node.value or 1.0}
        case ast.Constant(value=str()) if re.fullmatch(r"[\w.]+", node.value):
            yield {"value": node.value + "_"}
        case ast.If() | ast.IfExp() | ast.While():
            yield {"test": ast.UnaryOp(ast.Not(), node.test)}
        case ast.List() | ast.Tuple() | ast.Set() if len(node.elts) > 1 and isinstance(
            getattr(node, "ctx", ast.Load()), ast.Load
        ):
            for i in range(len(node.elts)):
                yield {"elts": node.elts[:i] + node.elts[i + 1 :]}
        case ast.Dict() if len(node.keys) > 1:
            for i in range(len(node.keys)):
                yield {"keys": node.keys[:i] + node.keys[i + 1 :], "values": node.values[:i] + node.values[i + 1 :]}
        case ast.comprehension():
            for i in range(len(node.ifs)):
                yield {"ifs": node.ifs[:i] + node.ifs[i + 1 :]}
        case ast.Expr(value=ast.Call() | ast.Yield()):
            yield {"value": ast.Constant(None)}
        case ast.Call():
            for i in range(len(node.keywords)):
                yield {"keywords": node.keywords[:i] + node.keywords[i + 1 :]}
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in NAMES:
                yield {
                    "func": ast.Attribute(node.func.value, NAMES[name], ast.Load())
                    if isinstance(node.func, ast.Attribute)
                    else ast.Name(NAMES[name], ast.Load())
                }
            elif name in DROPPED and len(node.args) == 1:
                yield {"func": ast.parse("lambda x, **_: x", mode="eval").body}


def unparsed(node: ast.AST) -> str:
    """Return the code of a node on one line."""
    if isinstance(node, ast.If | ast.While):
        node = node.test
    return " ".join(ast.unparse(ast.fix_missing_locations(node)).split())


def changed(tree: ast.Module, mutant: Mutant) -> ast.Module:
    """Return a copy of the tree with a change made."""
    tree = copy.deepcopy(tree)
    target = next(node for i, node in enumerate(ast.walk(tree)) if i == mutant.node)
    for field, value in mutant.fields.items():
        setattr(target, field, copy.deepcopy(value))
    return ast.fix_missing_locations(tree)


def code_only(node: ast.AST, statement: ast.stmt | None = None) -> Iterator[tuple[ast.AST, ast.stmt | None]]:
    """Yield what computes, each with its statement: no annotations, no docstrings, no words within f-strings."""
    if isinstance(node, ast.stmt):
        statement = node
    yield node, statement
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "format_spec", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            words = isinstance(child, ast.Constant) and isinstance(child.value, str)
            if isinstance(child, ast.AST) and not (words and isinstance(node, ast.JoinedStr | ast.Expr)):
                yield from code_only(child, statement)


def header(statement: ast.stmt) -> range:
    """Return the lines of a statement without those of the statements in it."""
    body = getattr(statement, "body", None)
    end = max(statement.lineno, body[0].lineno - 1) if body else statement.end_lineno or statement.lineno
    return range(statement.lineno, end + 1)


def mutants_of(tree: ast.Module) -> list[Mutant]:
    """Return all changes to a module."""
    number = {id(node): i for i, node in enumerate(ast.walk(tree))}
    mutants = []
    for node, statement in code_only(tree):
        for fields in changes(node):
            assert statement is not None
            index = number[id(node)]
            new = copy.copy(node)
            for field, value in fields.items():
                setattr(new, field, value)
            text = f"{unparsed(node)} -> {unparsed(new)}"
            line = getattr(node, "lineno", statement.lineno)
            mutants.append(Mutant(index, fields, line, header(statement), text))
    return mutants


class Changed(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Finds and loads the changed module in place of the one in its file."""

    def __init__(self, name: str, path: Path, code: types.CodeType) -> None:
        super().__init__(name, str(path))
        self.code = code

    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        """Return this loader for the one module."""
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname: str) -> types.CodeType:
        """Return the changed code."""
        return self.code


class Tracer:
    """A plug-in of pytest that notes which lines of a file each test runs, and how long it takes; "": when files are imported."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.test = ""
        self.lines: dict[str, set[int]] = defaultdict(set)
        self.seconds: dict[str, float] = defaultdict(float)

    def __call__(self, frame: types.FrameType, event: str, argument: object) -> Any:
        """Note the line, as `sys.settrace` asks for it."""
        if frame.f_code.co_filename == self.path:
            self.lines[self.test].add(frame.f_lineno)
            return self
        return None

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note which test runs."""
        self.test = nodeid

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the time of a part of a test."""
        self.seconds[report.nodeid] += report.duration


def tested(arguments: list[str], plugins: list[object], log: str = os.devnull) -> int:
    """Run pytest, whose words go to a file, and return how it ended."""
    with Path(log).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    return int(pytest.main(OPTIONS + arguments, plugins=plugins))


def forked(work: Callable[[], int], cpu_s: int, wall_s: float) -> int:
    """Return the exit code of a child process that does the work, -1 where it was ended."""
    child = os.fork()
    if not child:
        # a group to be killed as one, in the session (and its share of the processor) of who started this
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        code = 70
        try:
            code = work()
        finally:
            os._exit(code)
    alarm = threading.Timer(wall_s, lambda: os.killpg(child, signal.SIGKILL))
    alarm.start()
    try:
        _, status = os.waitpid(child, 0)
    except KeyboardInterrupt:
        os.killpg(child, signal.SIGKILL)
        raise
    finally:
        alarm.cancel()
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else -1


@dataclass(frozen=True)
class Coverage:
    """The lines of the module that each test runs, the time of each in s, and the libraries that all load."""

    lines: dict[str, set[int]]
    seconds: dict[str, float]
    libraries: list[str]

    def tests_of(self, lines: range) -> list[str]:
        """Return the tests that run one of these lines, files and tests in the order of their times.

        What runs when the module is loaded, such as its constants, any test may look at.
        """
        at_import = self.lines.get("", set()).intersection(lines)
        tests = [test for test in self.seconds if at_import or self.lines.get(test, set()).intersection(lines)]
        of_file: dict[str, float] = defaultdict(float)
        for test in tests:
            of_file[test.split("::")[0]] += self.seconds[test]
        return sorted(tests, key=lambda test: (of_file[test.split("::")[0]], test.split("::")[0], self.seconds[test]))


def covered(path: Path, tests: list[str]) -> Coverage:
    """Run the tests on the code as it is; they must pass."""
    with tempfile.NamedTemporaryFile() as result, tempfile.NamedTemporaryFile() as log:

        def work() -> int:
            before, tracer = set(sys.modules), Tracer(path)
            threading.settrace(tracer)
            sys.settrace(tracer)
            code = tested(tests, [tracer], log.name)
            sys.settrace(None)
            libraries = [n for n, m in sys.modules.items() if "site-packages" in (getattr(m, "__file__", "") or "")]
            top = [name for name in libraries if name not in before and not name.startswith(OF_PYTEST)]
            Path(result.name).write_bytes(pickle.dumps(Coverage(dict(tracer.lines), dict(tracer.seconds), top)))
            return code

        if code := forked(work, 3600, 3600):
            sys.exit(f"{log.read().decode()}error: the tests fail (pytest ends with {code}) on the code as it is")
        return pickle.loads(Path(result.name).read_bytes())


def survives(name: str, path: Path, code: types.CodeType, tests: list[str], seconds: float) -> bool:
    """Return whether all these tests pass with the changed module."""

    def work() -> int:
        sys.meta_path.insert(0, Changed(name, path, code))
        return tested(tests, [])

    return forked(work, round(10 + 5 * seconds), 120 + 20 * seconds) == 0


def preload(libraries: list[str]) -> None:
    """Load libraries once, here, instead of in each child; what some of them say at it is of no use."""
    logging.disable(logging.CRITICAL)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        for library in libraries:
            with contextlib.suppress(ImportError):  # a part that can be had only once its package is set up
                importlib.import_module(library)
    logging.disable(logging.NOTSET)


def by_hand(name: str, path: Path, coverage: Coverage, changes_made: list[tuple[str, str]]) -> list[bool]:
    """Make changes that somebody names, one at a time, and return which of them a test notices."""
    source, killed = path.read_text(), []
    for old, new in changes_made:
        code = compile(source.replace(old, new), path, "exec")
        first = source[: source.index(old)].count("\n") + 1
        tests = coverage.tests_of(range(first, first + old.count("\n") + 1))
        killed.append(not survives(name, path, code, tests, sum(coverage.seconds[test] for test in tests)))
        print(f"{path.name}:{first}: {old} -> {new}: {'killed' if killed[-1] else 'survived'}", flush=True)
    return killed


def tests_of(module: str) -> list[str]:
    """Return the tests of a module: the files of the mirrored folder, or of tests/analysis, that import it; else the whole folder."""
    folder = TOP / "tests/analysis" / Path(module).parts[0] if "/" in module else TOP / "tests/analysis"
    package, _, name = f"ionmelt/{module}".replace("/", ".").rpartition(".")
    imported = re.compile(rf"from {package} import [^\n(]*\b{name}\b|{package}\.{name}\b")
    files = sorted(folder.rglob("test_*.py") if "/" in module else folder.glob("test_*.py"))
    test_files = [str(file) for file in files if imported.search(file.read_text())]
    return test_files or [str(folder)]


def main() -> None:
    """Change, test, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", required=True, help="below bin/ionmelt, such as measure/slope")
    parser.add_argument("--sample", type=int, default=100, help="how many changes are drawn (default: 100)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tests", nargs="+", help="files or folders of tests instead of the module's own")
    parser.add_argument("--replace", nargs=2, action="append", metavar=("OLD", "NEW"), help="make this change by hand")
    args = parser.parse_args()
    path = TOP / f"bin/ionmelt/{args.module}.py"
    if not path.is_file():
        parser.error(f"--module: {args.module}: there is no bin/ionmelt/{args.module}.py")
    for old, _ in args.replace or ():
        if (times := path.read_text().count(old)) != 1:
            parser.error(f"--replace: {args.module} holds {old!r} {times} times, not once")
    name, source = "ionmelt." + args.module.replace("/", "."), path.read_text()
    os.chdir(TOP)
    coverage = covered(path, args.tests or tests_of(args.module))
    preload(coverage.libraries)
    unchanged = compile(source, path, "exec")
    every = coverage.tests_of(range(1, source.count("\n") + 2))
    if not survives(name, path, unchanged, every, sum(coverage.seconds.values())):
        sys.exit("error: the tests fail on the unchanged code where it is loaded as changes are: no score can be had")
    if args.replace:
        print(json.dumps({"module": args.module, "killed": by_hand(name, path, coverage, args.replace)}))
        return

    tree = ast.parse(source)
    mutants = mutants_of(tree)
    drawn = random.Random(args.seed).sample(mutants, min(args.sample, len(mutants)))
    lines = source.splitlines()
    with EQUIVALENT.open() as file:
        equivalent = {(row["module"], row["line"], row["change"]) for row in csv.DictReader(file)}
    count: dict[str, int] = defaultdict(int)
    start = time.monotonic()
    for mutant in sorted(drawn, key=lambda item: item.line):
        if (args.module, lines[mutant.line - 1].strip(), mutant.text) in equivalent:
            count["equivalent"] += 1
            continue
        tests = coverage.tests_of(mutant.lines)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compile(changed(tree, mutant), path, "exec")
        if tests and not survives(name, path, code, tests, sum(coverage.seconds[test] for test in tests)):
            count["killed"] += 1
            continue
        count["survived"] += 1
        count["not_run"] += not tests
        print(f"{args.module}:{mutant.line}: {mutant.text}{'' if tests else ' (no test runs it)'}", flush=True)
        print(f"    {lines[mutant.line - 1].strip()}", flush=True)
    judged = len(drawn) - count["equivalent"]
    result: dict[str, Any] = {
        "cpu": os.environ.get("BENCHMARK_CPU"),
        "module": args.module,
        "mutants": len(mutants),
        "drawn": len(drawn),
    }
    result |= {key: count[key] for key in ("killed", "equivalent", "survived", "not_run")}
    result |= {"score": round(count["killed"] / judged, 3) if judged else None}
    print(json.dumps(result | {"seconds": round(time.monotonic() - start)}))


if __name__ == "__main__":
    main()
