"""What is in an image: what its tasks need, who runs it, what it says of itself, and nothing more."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PYTHON = "py" + "pi"  # the type of Python packages in a package URL
NAMES = tuple(sorted(path.parent.name for path in (TOP / "containers").glob("*/Containerfile")))
VERSION = re.search(r"version *= '(.*)'", (TOP / "nextflow.config").read_text())[1]  # type: ignore[index]
TRAINED = (".model", ".pt", ".pth", ".pb", ".ckpt", ".safetensors", ".pickle")
# Prints what does not hold. It runs with the packages of tests/containers/requirements.txt alone.
CHECK_BILL = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
import json, re
bill, python, *pins = sys.argv[1:]
text = open(bill).read()
print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) or "", end="")
held = {(re.sub("[-_.]+", "-", c["name"]).lower(), c["version"]) for c in json.loads(text)["components"]}
minor = ".".join(python.split(".")[:2])
for file in pins:
    for line in open(file):
        if re.match("[a-zA-Z]", line):
            pin = Requirement(line.rstrip(" \\\\\\n"))
            here = {"python_full_version": python, "python_version": minor}
            if pin.marker is None or pin.marker.evaluate(here):
                if (pin.name, str(pin.specifier).lstrip("=")) not in held:
                    print(pin, "is not in the bill")
"""

each_image = pytest.mark.parametrize("name", NAMES)


def podman(*words: str) -> str:
    return subprocess.run(["podman", *words], capture_output=True, text=True, check=True).stdout


def image(name: str) -> str:
    return subprocess.run([TOP / "containers" / "tag", name], check=True, capture_output=True, text=True).stdout.strip()


def inside(name: str, *words: str) -> str:
    return podman("run", "--rm", "--network", "none", image(name), *words)


@pytest.mark.long
@each_image
def test_it_does_what_it_is_for(images, name: str) -> None:
    result = subprocess.run([TOP / "containers" / "test", name], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1].startswith(f"{name}: ok")


@pytest.mark.long
@each_image
def test_it_says_what_it_is_and_runs_as_nobody_special(images, name: str) -> None:
    about = json.loads(podman("image", "inspect", image(name)))[0]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in about["Labels"].items()}
    assert (labels["title"], labels["version"], labels["licenses"]) == (f"ionmelt-{name}", VERSION, "MIT")
    assert {"source", "revision"} <= labels.keys()
    assert about["Config"]["User"] == "1000:1000", "a number, which Kubernetes can see is not root's"
    assert inside(name, "id", "-u", "-n").strip() == "ionmelt"


@pytest.mark.long
def test_a_folder_of_roots_is_written_by_who_the_places_say(images, tmp_path: Path) -> None:
    """As a claim of Kubernetes or a bucket of Google's is mounted: the images' own user cannot, those of conf/ can."""
    (tmp_path / "task").mkdir(mode=0o755)
    mount = ("--volume", f"{tmp_path}/task:/task", "--workdir", "/task", "--network", "none", "--cap-drop", "all")
    for options, works in (((), False), (("--user", "0:0"), True)):
        command = ["podman", "run", "--rm", *mount, *options, image("analysis"), "touch", f"made-{works}"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode == 0) == works, done.stderr
    os.chown(tmp_path / "task", 1000, 1000)  # gcsfuse's --uid and --gid
    podman("run", "--rm", *mount, image("analysis"), "touch", "made")


@pytest.mark.long
@each_image
def test_it_holds_no_script_of_ours_and_no_weights(images, name: str) -> None:
    listing = "find / -xdev -type f -size +0 -printf '%s %p\\n'"
    files = podman("run", "--rm", "--user", "0", image(name), "sh", "-c", listing).splitlines()
    ours = {path.name for path in (TOP / "bin").glob("*.py")}
    for line in files:
        size, path = line.split(" ", 1)
        assert Path(path).name not in ours, path
        if path.endswith(TRAINED) and not path.endswith("e3nn/o3/constants.pt"):  # rotation matrices
            assert int(size) < 2_000_000, f"{path}: a trained model?"
    assert inside(name, "which", "ps").strip(), "Nextflow measures tasks with ps"


@pytest.mark.long
@each_image
def test_its_bill_of_materials_is_valid_and_complete(images, name: str, tmp_path: Path) -> None:
    bill = tmp_path / "bill.json"
    bill.write_text(inside(name, "cat", "/opt/sbom.cdx.json"))
    content = json.loads(bill.read_text())
    assert (content["metadata"]["component"]["name"], content["metadata"]["component"]["version"]) == (
        f"ionmelt-{name}",
        VERSION,
    )
    by_kind = {
        kind: [c for c in content["components"] if c["purl"].startswith(f"pkg:{kind}/")] for kind in (PYTHON, "deb")
    }
    system = inside(name, "dpkg-query", "-W", "-f", "${Package} ${Version}\n").splitlines()
    assert sorted(f"{c['name']} {c['version']}" for c in by_kind["deb"]) == sorted(system)
    assert ("cp2k" in {c["name"] for c in by_kind["deb"]}) == (name == "dft")
    licensed = [c for c in by_kind[PYTHON] if "licenses" in c]
    assert len(licensed) > 0.8 * len(by_kind[PYTHON])

    uv = subprocess.run([TOP / "containers" / "environment", "uv"], capture_output=True, text=True, check=True).stdout
    uv = f"{uv.strip()}/bin/uv"
    checker = tmp_path / "checker"
    subprocess.run([uv, "venv", "-q", checker], check=True)
    pins = TOP / "tests" / "containers" / "requirements.txt"
    subprocess.run(
        [uv, "pip", "install", "-q", "--require-hashes", "-p", checker / "bin" / "python", "-r", pins], check=True
    )
    python = inside(name, "python", "-c", "import platform; print(platform.python_version())").strip()
    assert python.startswith("3.13.")
    lists = [
        TOP / "containers" / name / "requirements.txt",
        *(
            [TOP / "containers" / "torch.txt"]
            if "torch.txt" in (TOP / "containers" / name / "Containerfile").read_text()
            else []
        ),
    ]
    check = [checker / "bin" / "python", "-c", CHECK_BILL, bill, python, *lists]
    checked = subprocess.run(check, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": ""})
    assert checked.stdout == ""
