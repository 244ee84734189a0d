"""The places to run: what each refuses to start without, and what it asks for each task, as Nextflow resolves it.

The plugins of the clouds are not needed for that: a stub run on this machine, under the profile of the place, writes
down every directive of every task.
"""

import base64
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

STAGES = {
    "PLAN_STUDY", "BUILD_LIQUID", "EQUILIBRATE", "SAMPLE_FRAMES", "LABEL_FRAMES", "SPLIT_DATASET", "TRAIN_MODEL",
    "EXPORT_MODEL", "EVALUATE_MODEL", "RUN_MD", "MEASURE_LIQUID", "COMPARE_MODELS",
}  # fmt: skip
GPU_STAGES = {"TRAIN_MODEL", "EVALUATE_MODEL", "RUN_MD"}
PARAMETERS = {
    "awsbatch": {"aws_queue": "cpus", "aws_gpu_queue": "gpus", "aws_region": "eu-central-1", "aws_cli": "/opt/aws/bin/aws"},
    "googlebatch": {"google_project": "mine", "google_location": "europe-west4", "gpu_type": "nvidia-l4", "gpu_machine": "g2-standard-8"},
    "azurebatch": {"azure_account": "mine", "azure_location": "westeurope", "azure_storage": "store", "gpu_machine": "Standard_NC4as_T4_v3"},
    "k8s": {"k8s_claim": "work", "k8s_nodes": "spot=true", "gpu_type": "nvidia.com/gpu"},
    "slurm": {"slurm_queue": "long", "slurm_account": "chemistry", "gpu_type": "a100"},
}  # fmt: skip
DIRECTIVES = (
    "queue", "machineType", "accelerator", "clusterOptions", "containerOptions", "resourceLabels", "pod", "cpus",
    "memory", "time", "maxForks", "maxRetries", "container", "beforeScript",
)  # fmt: skip
# Runs here, whatever the place; each task leaves a line with its directives.
PROBE = """
process.executor = 'local'
docker.enabled = false
process {
    withLabel: '(labelling)' { array = 0 }  // this machine has none
    withName: '.*' {
        afterScript = {
            def found = NAMES.collectEntries { name -> [name, task[name]?.toString()] } + [process: task.process.tokenize(':')[-1]]
            "echo ${groovy.json.JsonOutput.toJson(found).bytes.encodeBase64()} >> FILE"
        }
    }
}
"""
SECRETS = {"AZURE_BATCH_ACCOUNT_KEY": "none", "AZURE_STORAGE_ACCOUNT_KEY": "none"}


def arguments(place: str) -> list[str]:
    words = [f"--{name}={value}" for name, value in PARAMETERS[place].items()]
    return [*words, *([] if place == "slurm" else ["--registry=ghcr.io/someone"])]


def start(pipeline, *words: str, program: str = "main.nf", **more: str) -> "subprocess.CompletedProcess[str]":
    command = ["./nextflow", "run", program, "-ansi-log", "false", *words]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("AZURE_")}
    environ |= {"NXF_PLUGINS_DEFAULT": "false", **more}
    return subprocess.run(command, cwd=pipeline.folder, env=environ, capture_output=True, text=True, timeout=600)


@pytest.mark.all
@pytest.mark.parametrize("place", ["awsbatch", "googlebatch", "azurebatch", "k8s"])
def test_a_place_says_what_it_was_not_told(pipeline, place: str) -> None:
    result = start(pipeline, "-profile", f"gpu,{place}")
    screen = result.stdout + result.stderr
    assert result.returncode
    assert "Submitted process" not in screen
    schema = json.loads((pipeline.folder / "nextflow_schema.json").read_text())
    about = {name: words for group in schema["$defs"].values() for name, words in group["properties"].items()}
    optional = {"aws_gpu_queue", "k8s_nodes", *({"gpu_type"} if place == "k8s" else ())}
    optional |= {"gpu_machine"} if place == "googlebatch" else set()
    for name in {*PARAMETERS[place], "registry"} - optional:
        assert f"--{name}: missing; profile {place} needs it: {about[name]['description']}" in screen
    if place == "azurebatch":
        assert "AZURE_BATCH_ACCOUNT_KEY: missing" in screen


@pytest.fixture(scope="module")
def directives(pipeline, tmp_path_factory: pytest.TempPathFactory):
    """Return what each task of a place would be started with: (place) -> {stage: [directives, ...]}, a stub run each."""
    found: dict[str, dict[str, list[dict[str, str | None]]]] = {}

    def of(place: str) -> dict[str, list[dict[str, str | None]]]:
        if place not in found:
            folder = tmp_path_factory.mktemp(place)
            (folder / "probe.config").write_text(
                PROBE.replace("FILE", str(folder / "tasks")).replace("NAMES", str(list(DIRECTIVES)))
            )
            result = start(pipeline, "-profile", f"test,stub,gpu,{place}", *arguments(place), "-c", f"{folder}/probe.config",
                           "-work-dir", f"{folder}/work", "--outdir", f"{folder}/results", **SECRETS)  # fmt: skip
            assert result.returncode == 0, result.stdout[-3000:]
            found[place] = {}
            for line in (folder / "tasks").read_text().split():
                task = json.loads(base64.b64decode(line))
                found[place].setdefault(task["process"], []).append(task)
        return found[place]

    return of


each_place = pytest.mark.parametrize("place", sorted(PARAMETERS))


@pytest.mark.all
@each_place
def test_every_task_has_what_any_place_needs(directives, place: str) -> None:
    tasks = directives(place)
    assert set(tasks) == STAGES
    for stage, members in tasks.items():
        for task in members:
            assert re.fullmatch(r"\d+", task["cpus"]), stage
            assert re.fullmatch(r"\d+ GB", task["memory"] or ""), stage
            assert re.fullmatch(r"\d+[hd]", task["time"] or ""), stage
            assert task["maxForks"] in (None, "0"), f"{stage}: a cluster or cloud takes all at once"
            assert re.fullmatch(r"ionmelt-(analysis|dft|mace|deepmd):\d+\.\d+\.\d+", task["container"]), stage
            assert "one_gpu" not in task["beforeScript"], "only this machine shares out its GPUs"


@pytest.mark.all
@each_place
def test_who_gets_a_gpu(directives, place: str) -> None:
    kind = PARAMETERS[place].get("gpu_type")
    for stage, members in directives(place).items():
        on_gpu = [task for task in members if task["accelerator"]]
        # the classical force field needs none
        assert {task["container"].split(":")[0] for task in on_gpu} <= {"ionmelt-mace", "ionmelt-deepmd"}
        assert bool(on_gpu) == (stage in GPU_STAGES), stage
        for task in on_gpu:
            assert f"request:1, limit:null, type:{kind or 'null'}" in task["accelerator"]
        for task in members:
            gpu = task in on_gpu
            if place == "awsbatch":  # a number is all it takes; the queue says the rest
                assert task["queue"] == ("gpus" if gpu else "cpus")
            if place == "googlebatch":
                assert task["machineType"] == ("g2-standard-8" if gpu else None)
            if place == "azurebatch":  # knows no accelerator: a machine that has one, and the container told of it
                assert task["machineType"] == ("Standard_NC4as_T4_v3" if gpu else "Standard_D8s_v5")
                assert task["containerOptions"] == ("--gpus all" if gpu else "")
            if place == "slurm":  # knows no accelerator either
                assert task["clusterOptions"] == "--account=chemistry" + (" --gres=gpu:a100:1" if gpu else "")


@pytest.mark.all
@each_place
def test_costs_can_be_told_apart(directives, place: str) -> None:
    if place == "slurm":
        pytest.skip("Slurm has accounts and no labels")
    for stage, members in directives(place).items():
        for task in members:
            labels = dict(pair.split(":") for pair in task["resourceLabels"].strip("[]").split(", "))
            assert labels.keys() == {"pipeline", "run", "stage"}
            assert labels["stage"] == stage.lower()
            for value in labels.values():  # the strictest rule, Google's
                assert re.fullmatch(r"[a-z0-9_-]{1,63}", value)


@pytest.mark.all
def test_jobs_of_slurm_go_to_the_queue_that_is_named(directives) -> None:
    assert {task["queue"] for members in directives("slurm").values() for task in members} == {"long"}


@pytest.mark.all
def test_kubernetes_keeps_to_the_nodes_it_is_told(directives) -> None:
    for members in directives("k8s").values():
        assert all("spot:true" in task["pod"].replace("=", ":") for task in members)


# Of each profile, or several, what it must set.
PROFILES = {
    "awsbatch": ["process.executor = 'awsbatch'", "aws.batch.maxSpotAttempts = 5", "docker.enabled = true"],
    "googlebatch": ["process.executor = 'google-batch'", "google.batch.spot = true", "google.batch.maxSpotAttempts = 5"],
    "azurebatch": ["process.executor = 'azurebatch'", "azure.batch.pools.auto.lowPriority = true", "azure.batch.autoPoolMode = true"],
    "k8s": ["process.executor = 'k8s'", "params.label_store = '/workspace/label_store'", "k8s.storageMountPath = '/workspace'"],
    "slurm": ["process.executor = 'slurm'", "executor.queueSize = 200", "labelling)'.array = 100"],
    "docker,gpu": ["docker.runOptions = '-u $(id -u):$(id -g) --network none --gpus all'", "docker.envWhitelist = 'CUDA_VISIBLE_DEVICES'"],
    "podman,gpu": ["podman.enabled = true", "--network none --device nvidia.com/gpu=all'"],
    "singularity,gpu": ["singularity.runOptions = '--nv'", "singularity.autoMounts = true"],
    "apptainer,gpu": ["apptainer.runOptions = '--nv'", "apptainer.autoMounts = true"],
    "charliecloud,gpu": ["charliecloud.enabled = true", "charliecloud.envWhitelist = 'CUDA_VISIBLE_DEVICES'"],
    "standard": ["process.executor = 'local'"],
    "test": ["/studies/test.yaml'"],
    "test_full": ["/studies/demo.yaml'"],
    "stub": ["stubRun = true"],
}  # fmt: skip


@pytest.fixture(scope="module")
def resolved(pipeline) -> dict[str, str]:
    """Return what `nextflow config -flat -profile PLACE` says of each place, in one start of Nextflow: each takes seconds."""
    (pipeline.folder / "profiles.nf").write_text(
        "workflow {\n"
        f"    {list(PROFILES)}.each {{ place ->\n"
        '        println("== ${place}")\n'
        "        nextflow.plugin.Plugins.stop()\n"  # each command starts them
        "        def words = ['-q', 'config', '-flat', '-profile', place, 'main.nf']\n"
        "        if (new nextflow.cli.Launcher().command(words as String[]).run()) { System.exit(1) }\n"
        "    }\n"
        "}\n"
    )
    result = start(pipeline, program="profiles.nf")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr
    parts = re.split(r"^== (.*)\n", result.stdout, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("place", PROFILES)
def test_what_a_profile_sets(resolved: dict[str, str], place: str) -> None:
    for line in PROFILES[place]:
        assert line in resolved[place], line
    assert not re.search(r"(?i)key = '\S+'|password|token", resolved[place]), "no secret in a configuration"


@pytest.mark.all
def test_a_gpu_that_is_not_there_is_refused(pipeline, tmp_path: Path) -> None:
    smi = tmp_path / "nvidia-smi"  # a driver that shows one GPU, wherever this test runs
    smi.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA A100 (UUID: GPU-0)'\n")
    smi.chmod(0o755)
    result = start(pipeline, "-profile", "test,gpu", "--gpus", "2", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert result.returncode
    assert "--gpus: 2; nvidia-smi finds 1 NVIDIA GPUs here: leave out -profile gpu" in result.stdout + result.stderr
    assert "Submitted process" not in result.stdout


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
    top = Path(__file__).resolve().parents[2]
    tasks = [
        subprocess.Popen(["bash", "-c", script], cwd=top, env=os.environ | {"TMPDIR": str(tmp_path), "KILLED": killed})
        for killed in ("1", "", "", "1", "", "")
    ]
    for task in tasks:
        task.wait(timeout=120)
    assert not (tmp_path / "bad").exists()
    used = (tmp_path / "good").read_text().split()
    assert len(used) == 6
    assert set(used) == {"0", "1"}
