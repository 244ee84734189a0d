"""The images, built once from what is here, and a copy of the project to run in them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from runs import Pipeline, copy_project

TOP = Path(__file__).resolve().parents[2]
BASE = "docker.io/library/debian:trixie-slim"
HERE = f"--isolation chroot --network host --build-arg BASE={BASE}"  # where the image that is pinned cannot be had
# A machine that cannot pull images may have a script beside the project that makes the base image from packages.
LOCAL_BASE = TOP.parent / "shared" / "tools" / "local-base-image"
NAMES = tuple(sorted(path.parent.name for path in (TOP / "containers").glob("*/Containerfile")))


def call(*command: str | Path, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | more)


def base_image() -> dict[str, str]:
    """Get the base image; return what `containers/build` needs in its environment, or skip and say why."""
    if shutil.which("podman") and (
        call("podman", "image", "exists", BASE).returncode == 0 or call("podman", "pull", "-q", BASE).returncode == 0
    ):
        # An image imported as one layer was made here: then this machine builds in a chroot, with its own network.
        layers = call("podman", "image", "inspect", BASE, "--format", "{{.Comment}}").stdout
        return {"BUILD_OPTIONS": HERE} if "mported" in layers else {}
    if LOCAL_BASE.exists() and os.geteuid() == 0:
        made = call(LOCAL_BASE)
        if made.returncode == 0:
            return {"BUILD_OPTIONS": HERE}
        pytest.skip(f"no base image: {made.stderr[-300:]}")
    pytest.skip(f"no images: podman, and {BASE} to be pulled, are needed")


@pytest.fixture(scope="session")
def images(pytestconfig: pytest.Config) -> tuple[str, ...]:
    """The images, built by the one command; how long each took and its size are shown."""
    options = base_image() | {key: os.environ[key] for key in ("BUILD_OPTIONS",) if key in os.environ}
    shown = []
    for name in NAMES:
        built = call(TOP / "containers" / "build", name, **options)
        assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
        size = call("podman", "image", "inspect", tag(name), "--format", "{{.Size}}").stdout
        shown.append(f"{built.stdout.splitlines()[-1]}, {int(size) / 1e6:.0f} MB")
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("", *shown, sep="\n")
    return NAMES


def tag(name: str) -> str:
    return call(TOP / "containers" / "tag", name).stdout.strip()


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A copy of the project; what runs leave in it is large."""
    folder = copy_project(tmp_path_factory.mktemp("project") / "ionmelt")
    yield Pipeline(folder)
    shutil.rmtree(folder, ignore_errors=True)
