"""The conventions that the pipeline rests on: what a process is called, what it names, and what no file may hold."""

import ast
import graphlib
import json
import os
import re
import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
from used_files import all_imports, files_of, imports

TOP = Path(__file__).resolve().parents[2]
MODULES = sorted(path for path in (TOP / "modules").glob("*.nf") if re.search(r"^process ", path.read_text(), re.M))
PLANS_IN_STUB_RUNS = {"plan_study"}  # a stub run plans for real, so that a study is checked at no cost

each_module = pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)


def script_block(module: Path) -> str:
    """Return the text between the quotes of a module's script."""
    match = re.search(r'^ *script:.*?"""\n(.*?)"""', module.read_text(), re.M | re.S)
    assert match, f"{module.name} has no script block"
    return match[1]


def selectors(config: str) -> set[str]:
    """Return the labels that a configuration file has a section for."""
    return set(re.findall(r"withLabel: *(\w+)", (TOP / "conf" / config).read_text()))


def project_files() -> list[Path]:
    """Return every text file of the project that git does not ignore."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=TOP, check=True, capture_output=True, text=True).stdout.split("\0")
    return [TOP / name for name in names if name and (TOP / name).is_file()]


def test_there_are_modules() -> None:
    assert MODULES


def test_main_is_one_screen() -> None:
    lines = (TOP / "main.nf").read_text().splitlines()
    assert len(lines) <= 110
    assert max(map(len, lines)) <= 110


def test_a_process_is_named_in_its_files_without_the_workflow_around_it() -> None:
    """`task.process` is LABELLED:LABEL_FRAMES there: no name of a file, nor a label of a cloud, can hold that."""
    for path in [*(TOP / "modules").glob("*.nf"), *(TOP / "conf").glob("*.config")]:
        names = path.read_text()
        # compared with a name, cut, or held against a site's patterns
        for use in ("task.process != 'PLAN_STUDY'", "task.process.tokenize(':')[-1]", "'withName:': [task.process]"):
            names = names.replace(use, "")
        assert "task.process" not in names, path.name


@each_module
def test_one_name_in_four_places(module: Path) -> None:
    name = module.stem
    assert re.findall(r"^process (\w+)", module.read_text(), re.M) == [name.upper()]
    assert f"{name}.py" in script_block(module).split()
    assert (TOP / "bin" / f"{name}.py").is_file()
    assert list((TOP / "tests").glob(f"*/**/test_{name}.py"))


def by_lines(path: Path) -> set[Path]:
    """Return the files of the package that a file imports by the patterns of modules/code.nf."""
    text, names = path.read_text(), []
    patterns = re.findall(r"findAll\(/(.*?)/\)", (TOP / "modules" / "code.nf").read_text())
    lines = next(pattern for pattern in patterns if pattern.startswith("(?m)^ *from"))
    for line in re.findall(lines, text):
        _, module, _, *words = re.findall(r"[\w.]+", line)
        names += [module, *(f"{module}.{word}" for word in words)]
    quoted = next(pattern for pattern in patterns if pattern.startswith('"ionmelt'))
    names += [word.strip('"') for word in re.findall(quoted, text)]
    named = next(pattern for pattern in patterns if "html" in pattern)
    beside = {path.with_name(word.strip('"')) for word in re.findall(named, text)}
    return {file for name in names for file in files_of(name)} | {file for file in beside if file.exists()}


def test_the_digest_of_code_sees_every_import() -> None:
    """modules/code.nf reads lines where Python reads syntax: what it missed, an edit would not repeat."""
    for path in [*(TOP / "bin").glob("*.py"), *(TOP / "bin" / "ionmelt").rglob("*.py")]:
        assert by_lines(path) == imports(path), path
    read = {path.name for path in all_imports(TOP / "bin" / "compare_models.py")}
    assert {"page.html", "style.css", "page.js", "liquid.js"} <= read, "the page of the report is code too"


def test_the_code_of_a_label_engine_is_in_no_digest_but_its_own() -> None:
    """modules/code.nf makes that from the file of the engine's name: an edit of one engine repeats no label of another."""
    names = [
        path.stem for path in (TOP / "bin/ionmelt/labels/engines").glob("*.py") if "class Engine:" in path.read_text()
    ]
    assert {"xtb", "cp2k", "pyscf", "classical", "model"} <= set(names)
    code = {name: all_imports(TOP / f"bin/ionmelt/labels/engines/{name}.py") for name in names}
    for script in (TOP / "bin").glob("*.py"):
        read = {
            path.stem
            for path in all_imports(script)
            if path.parent.name == "engines" and path.parents[1].name == "labels"
        }
        assert not read & set(names), script.name
    for name, files in code.items():
        used = {path.stem for path in files if path.parent.name == "engines"} | {name}
        assert not used & set(names) - {name}, f"{name} shares its digest with another engine"


@each_module
def test_each_process_takes_the_digest_of_its_script(module: Path) -> None:
    """Nextflow knows nothing of what a script imports: the digest in the hash of a task tells it."""
    assert re.search(r"^    val code\b", module.read_text(), re.M)
    text = "\n".join(path.read_text() for path in (TOP / "main.nf", *(TOP / "modules").glob("*.nf")))
    calls = re.findall(r"(?<![\w.])(\w+)\((?:[^()]|\([^()]*\)|\((?:[^()]|\([^()]*\))*\))*code\('(\w+)\.py'\)", text)
    names = {name for name, script in calls if script == module.stem}
    assert module.stem.upper() in names, f"{module.stem.upper()} is not given code('{module.stem}.py')"


@each_module
def test_two_labels_each_with_a_section(module: Path) -> None:
    labels = re.findall(r"^ *label '(\w+)'", module.read_text(), re.M)
    assert len(labels) == 2
    assert labels[0] in selectors("resources.config")
    assert labels[1] in selectors("containers.config") | {"env_by_engine"}
    if labels[1] == "env_by_engine":
        assert re.search(r"^ *ext engine: \{ engine(\.environment)? \}", module.read_text(), re.M)


@each_module
def test_a_stub_and_nothing_published_by_itself(module: Path) -> None:
    text = module.read_text()
    assert ("\n    stub:\n" in text) != (module.stem in PLANS_IN_STUB_RUNS)
    assert "publishDir" not in text


@pytest.mark.parametrize("datasets", [{}, {"both": ["eq", "neq"]}], ids=["nothing is trained", "one mixture"])
def test_the_stub_of_the_split_leaves_what_the_process_promises(datasets: dict, tmp_path: Path) -> None:
    """A study may sample and label to judge models that are there, and train nothing."""
    (tmp_path / "dataset.json").write_text(json.dumps({"datasets": datasets}))
    text = (TOP / "modules" / "split_dataset.nf").read_text()
    stub = text.split("stub:")[1].split('"""')[1].replace("${settings}", "dataset.json")
    subprocess.run(["bash", "-euc", stub], cwd=tmp_path, check=True)
    for pattern in re.findall(r"path '([^']+)',? +(?!.*optional)(?:emit|topic)", text):
        assert list(tmp_path.glob(pattern)), pattern
    assert sorted(path.name for path in tmp_path.glob("dataset/datasets/*")) == sorted(datasets)


def test_published_processes_exist() -> None:
    names = re.findall(r"withName: *'?([\w.*|]+)", (TOP / "conf" / "publish.config").read_text())
    processes = [module.stem.upper() for module in MODULES]
    for name in names:
        assert any(re.fullmatch(name, process) for process in processes), name


def test_scripts_can_be_run_and_hide_no_library() -> None:
    elsewhere = [folder for folder in sys.path if Path(folder).resolve() != TOP / "bin"]
    for path in sorted((TOP / "bin").glob("*.py")):
        assert os.access(path, os.X_OK), path.name
        assert PathFinder.find_spec(path.stem, elsewhere) is None, f"{path.name} hides a library of that name"
    for name in (
        "nextflow",
        "containers/environment",
        "containers/build",
        "containers/tag",
        "containers/test",
        "containers/lock",
        "tests/run",
        ".ci/run",
    ):
        assert os.access(TOP / name, os.X_OK), name


def test_containerfiles_are_short_and_pinned() -> None:
    for path in sorted((TOP / "containers").rglob("*Containerfile")):
        text = path.read_text()
        assert len(text.splitlines()) <= 25, path
        assert "--require-hashes" in text
        assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.M), path
        assert re.search(r"^ARG BASE=\S+@sha256:[0-9a-f]{64}\nFROM \$BASE$", text, re.M), path
        name = "$LIBRARY" if path.name.startswith("library.") else path.parent.name
        assert f"ionmelt-{name}" in text


def test_every_image_is_released_and_known_to_the_tasks() -> None:
    folders = {path.parent.name for path in (TOP / "containers").glob("*/Containerfile")}
    (released,) = re.findall(r"name: \[(.*)\]", (TOP / ".github" / "workflows" / "release.yml").read_text())
    assert set(released.split(", ")) == folders | {
        f"{path.parent.name}-gpu" for path in (TOP / "containers").glob("*/requirements-gpu.txt")
    }
    (listed,) = re.findall(r"!\(task.ext.engine in \[(.*)\]\)", (TOP / "conf" / "containers.config").read_text())
    libraries = {path.parent.name for path in (TOP / "containers").glob("*/requirements.in")} - folders
    assert {"orb", "fairchem"} <= libraries, "each has a list of its own, and an image that is made as the others are"
    assert {name.strip("'") for name in listed.split(", ")} == folders | libraries
    studies = (TOP / "bin" / "ionmelt" / "study" / "check_models.py").read_text()
    (accepted,) = re.findall(r"^ENVIRONMENTS = \((.*?)\)", studies, re.M | re.S)
    (made,) = re.findall(r"^LIBRARIES = \((.*)\)", (TOP / "containers" / "environment").read_text(), re.M)
    assert set(re.findall(r"\w+", accepted)) == folders | libraries
    assert set(re.findall(r"\w+", made)) == libraries


def test_every_pin_has_a_hash() -> None:
    for path in [
        *(TOP / "containers").glob("*/requirements*.txt"),
        TOP / "containers/uv.txt",
        TOP / "containers/torch.txt",
        TOP / "docs/requirements.txt",
        TOP / "tests/requirements.txt",
        TOP / "tests/containers/requirements.txt",
    ]:
        for block in re.split(r"\n(?=\w)", path.read_text().strip()):
            assert re.match(r"[\w.\-\[\],]+==\S+", block), block
            assert "--hash=sha256:" in block, block


def test_no_file_names_a_package_host_or_a_path_of_one_machine() -> None:
    hosts = (
        r"py[p]i\.|python[h]osted|repo1?\.(m[a]ven)|m[a]ven\.org/|npm[j]s|deb\.deb[i]an|c[r]ates\.io|proxy\.go[l]ang"
    )
    paths = r"(^|[^A-Za-z0-9_.])/(wo[r]k|fa[r]m|ro[o]t|ho[m]e|tm[p]/\w+)/"
    for path in project_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        # The name of Maven's file format is an address, though nothing is fetched from it.
        text = text.replace("http://maven.apache.org/POM/4.0.0", "")
        match = re.search(f"{hosts}|{paths}", text, re.M)
        assert not match, f"{path.relative_to(TOP)}: {match}"


def test_no_large_file() -> None:
    published = TOP / "docs" / "results"  # docs/publish holds their reports to 2 MB
    large = [path for path in project_files() if path.stat().st_size > 1_000_000]
    assert [path for path in large if path.name != "report.html" or path.parents[1] != published] == []


def test_no_file_of_the_package_imports_itself_through_others() -> None:
    """Whichever file of a circle is imported first would find another half made. Imports within functions come later."""
    package = TOP / "bin" / "ionmelt"
    files = {".".join(path.relative_to(package.parent).with_suffix("").parts): path for path in package.rglob("*.py")}
    files = {name.removesuffix(".__init__"): path for name, path in files.items()}
    graph = {
        path: {
            files.get(f"{node.module}.{alias.name}") or files[str(node.module)]
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("ionmelt")
            for alias in node.names
        }
        for path in files.values()
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_names_are_nouns() -> None:
    """Not what a reader must look up: found what, known to whom, whose own, part of what, which place?"""
    vague = {"found", "known", "own", "part", "place"}
    for folder in ("bin", "tests", "benchmarks", "containers", "docs"):
        for path in (TOP / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                is_set = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
                name = node.id if is_set else node.arg if isinstance(node, ast.arg) else getattr(node, "name", None)
                assert name not in vague, f"{path.relative_to(TOP)}:{getattr(node, 'lineno', 0)}: {name}"


def test_the_two_lists_of_what_to_cite_are_one() -> None:
    """CITATION.cff for programs, CITATIONS.md for people."""
    cited = {name: (TOP / name).read_text() for name in ("CITATION.cff", "CITATIONS.md")}
    numbers = [
        set(re.findall(r"10\.\d{4,}/[^\s,}\"]+|(?<=arXiv:)[\d.]+\d|(?<=/abs/)[\d.]+\d", text))
        for text in cited.values()
    ]
    assert len(numbers[0]) > 15
    assert numbers[0] == numbers[1]


def test_workflows_take_others_actions_by_the_digest_of_a_commit() -> None:
    """A tag can be moved to other code, and a release signs what it made with them."""
    used = [
        line.split("uses:")[1].strip()
        for path in sorted((TOP / ".github" / "workflows").glob("*.yml"))
        for line in path.read_text().splitlines()
        if "uses:" in line
    ]
    assert len(used) > 5
    assert [one for one in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)] == []


def test_workflows_take_others_images_by_digest() -> None:
    """What is run, and what a job runs in; the bare Debian that the tests are for is any of its release."""
    text = "\n".join(path.read_text() for path in (TOP / ".github" / "workflows").glob("*.yml"))
    images = [line.split(" -w /repo ")[1].split()[0] for line in text.splitlines() if "docker run" in line]
    assert len(images) == 2
    assert [name for name in images if not re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", name)] == []
