"""The GPUs of one machine: each has one task at a time, of those that are named."""

import os
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


@pytest.mark.all
def test_a_gpu_that_is_not_there_is_refused(pipeline, tmp_path: Path) -> None:
    smi = tmp_path / "nvidia-smi"  # a driver that shows one GPU, wherever this test runs
    smi.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA A100 (UUID: GPU-0)'\n")
    smi.chmod(0o755)
    program = (
        "env",
        "-u",
        "CUDA_VISIBLE_DEVICES",
        f"PATH={tmp_path}:{os.environ['PATH']}",
        "./nextflow",
        "run",
        "main.nf",
    )
    screen = pipeline.run("-profile", "test,gpu", "--gpus", "2", fails=True, program=program)
    assert "--gpus: 2; nvidia-smi finds 1 NVIDIA GPUs here: leave out -profile gpu" in screen
    assert "Submitted process" not in screen


def test_tasks_of_one_machine_take_turns_on_its_gpus(tmp_path: Path) -> None:
    """Six tasks, two GPUs: never more than two at once, never two on one, and a killed task gives its GPU back."""
    script = """. containers/one_gpu 2
    echo "$CUDA_VISIBLE_DEVICES" > "$TMPDIR/in.$CUDA_VISIBLE_DEVICES.$$"
    set -- "$TMPDIR"/in."$CUDA_VISIBLE_DEVICES".*
    [ $# = 1 ] && echo "$CUDA_VISIBLE_DEVICES" >> "$TMPDIR/good" || echo "$*" >> "$TMPDIR/bad"
    sleep 0.3
    rm "$TMPDIR/in.$CUDA_VISIBLE_DEVICES.$$"
    [ "$KILLED" ] && kill -9 $$
    true
    """
    without_gpus = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    tasks = [
        subprocess.Popen(
            ["bash", "-c", script], cwd=TOP, env=without_gpus | {"TMPDIR": str(tmp_path), "KILLED": killed}
        )
        for killed in ("1", "", "", "1", "", "")
    ]
    for task in tasks:
        task.wait(timeout=120)
    assert not (tmp_path / "bad").exists()
    used = (tmp_path / "good").read_text().split()
    assert len(used) == 6
    assert set(used) == {"0", "1"}


@pytest.mark.parametrize(
    ("visible", "count", "taken"),
    [("3,5", 2, "3"), ("3,5", 1, "3"), ("GPU-ab,GPU-cd", 4, "GPU-ab"), ("1", 8, "1"), ("", 1, "")],
)
def test_gpus_that_are_named_already_are_kept_to(tmp_path: Path, visible: str, count: int, taken: str) -> None:
    """A scheduler, or another user's agreement, has said which are ours."""
    script = f'. containers/one_gpu {count} && echo "$CUDA_VISIBLE_DEVICES"'
    environ = os.environ | {"TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": visible}
    done = subprocess.run(
        ["bash", "-eu", "-c", script], cwd=TOP, env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == taken
    assert (done.returncode, done.stderr) == (
        (0, "")
        if taken
        else (2, "error: CUDA_VISIBLE_DEVICES is set to nothing: unset it, or leave out -profile gpu\n")
    )
