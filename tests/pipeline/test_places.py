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
    "PLAN_STUDY", "BUILD_LIQUID", "EQUILIBRATE", "ESTIMATE_POWER", "SAMPLE_FRAMES", "LABEL_FRAMES", "SPLIT_DATASET", "TRAIN_MODEL",
    "EXPORT_MODEL", "EVALUATE_MODEL", "RUN_MD", "MEASURE_LIQUID", "COMPARE_MODELS",
}  # fmt: skip
GPU_STAGES = {"TRAIN_MODEL", "EVALUATE_MODEL", "RUN_MD"}
PARAMETERS = {
    "awsbatch": {"aws_queue": "cpus", "aws_gpu_queue": "gpus", "aws_region": "eu-central-1", "aws_cli": "/opt/aws/bin/aws"},
    "googlebatch": {"google_project": "mine", "google_location": "europe-west4", "gpu_type": "nvidia-l4", "gpu_machine": "g2-standard-8"},
    "azurebatch": {"azure_account": "mine", "azure_location": "westeurope", "azure_storage": "store", "gpu_machine": "Standard_NC4as_T4_v3"},
    "k8s": {"k8s_claim": "work", "k8s_nodes": "spot=true", "gpu_type": "nvidia.com/gpu"},
    "slurm": {"slurm_queue": "long", "slurm_gpu_queue": "gpus", "slurm_account": "chemistry", "gpu_type": "a100"},
}  # fmt: skip
DIRECTIVES = (
    "queue", "machineType", "accelerator", "clusterOptions", "resourceLabels", "pod", "cpus",
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
TOP = Path(__file__).resolve().parents[2]
SECRETS = {"AZURE_BATCH_ACCOUNT_KEY": "none", "AZURE_STORAGE_ACCOUNT_KEY": "none"}


def arguments(profile: str) -> list[str]:
    words = [f"--{name}={value}" for name, value in PARAMETERS[profile].items()]
    return [*words, *([] if profile == "slurm" else ["--registry=ghcr.io/someone"])]


def start(pipeline, *words: str, program: str = "main.nf", **more: str) -> "subprocess.CompletedProcess[str]":
    command = ["./nextflow", "run", program, "-ansi-log", "false", *words]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("AZURE_")}
    environ |= {"NXF_PLUGINS_DEFAULT": "false", **more}
    return subprocess.run(command, cwd=pipeline.folder, env=environ, capture_output=True, text=True, timeout=600)


@pytest.mark.all
@pytest.mark.parametrize("profile", ["awsbatch", "googlebatch", "azurebatch", "k8s"])
def test_a_place_says_what_it_was_not_told(pipeline, profile: str) -> None:
    result = start(pipeline, "-profile", f"gpu,{profile}")
    screen = result.stdout + result.stderr
    assert result.returncode
    assert "Submitted process" not in screen
    schema = json.loads((pipeline.folder / "nextflow_schema.json").read_text())
    about = {name: words for group in schema["$defs"].values() for name, words in group["properties"].items()}
    optional = {"aws_gpu_queue", "k8s_nodes", *({"gpu_type"} if profile == "k8s" else ())}
    optional |= {"gpu_machine"} if profile == "googlebatch" else set()
    for name in {*PARAMETERS[profile], "registry"} - optional:
        assert f"--{name}: missing; profile {profile} needs it: {about[name]['description']}" in screen
    if profile == "azurebatch":
        assert "AZURE_BATCH_ACCOUNT_KEY: missing" in screen


@pytest.fixture(scope="module")
def directives(pipeline, tmp_path_factory: pytest.TempPathFactory):
    """Return what each task of a profile would be started with: (profile) -> {stage: [directives, ...]}, a stub run each."""
    directives_of: dict[str, dict[str, list[dict[str, str | None]]]] = {}

    def of(profile: str) -> dict[str, list[dict[str, str | None]]]:
        if profile not in directives_of:
            folder = tmp_path_factory.mktemp(profile)
            (folder / "probe.config").write_text(
                PROBE.replace("FILE", str(folder / "tasks")).replace("NAMES", str(list(DIRECTIVES)))
            )
            result = start(pipeline, "-profile", f"test,stub,gpu,{profile}", *arguments(profile), "-c", f"{folder}/probe.config",
                           "-work-dir", f"{folder}/work", "--outdir", f"{folder}/results", **SECRETS)  # fmt: skip
            assert result.returncode == 0, result.stdout[-3000:]
            directives_of[profile] = {}
            for line in (folder / "tasks").read_text().split():
                task = json.loads(base64.b64decode(line))
                directives_of[profile].setdefault(task["process"], []).append(task)
        return directives_of[profile]

    return of


each_profile = pytest.mark.parametrize("profile", sorted(PARAMETERS))


@pytest.mark.all
@each_profile
def test_every_task_has_what_any_place_needs(directives, profile: str) -> None:
    tasks = directives(profile)
    assert set(tasks) == STAGES
    for stage, members in tasks.items():
        for task in members:
            assert re.fullmatch(r"\d+", task["cpus"]), stage
            assert re.fullmatch(r"\d+ GB", task["memory"] or ""), stage
            assert re.fullmatch(r"\d+[hd]", task["time"] or ""), stage
            assert task["maxForks"] in (None, "0"), f"{stage}: a cluster or cloud takes all at once"
            image = r"ionmelt-(analysis|dft|mace|deepmd):\d+\.\d+\.\d+-[0-9a-f]{12}"
            assert re.fullmatch(("" if profile == "slurm" else "ghcr.io/someone/") + image, task["container"]), stage
            assert "one_gpu" not in task["beforeScript"], "only this machine shares out its GPUs"


@pytest.mark.all
@each_profile
def test_who_gets_a_gpu(directives, profile: str) -> None:
    kind = PARAMETERS[profile].get("gpu_type")
    for stage, members in directives(profile).items():
        on_gpu = [task for task in members if task["accelerator"]]
        # the classical force field needs none
        assert {task["container"].split(":")[0].split("/")[-1] for task in on_gpu} <= {"ionmelt-mace", "ionmelt-deepmd"}
        assert bool(on_gpu) == (stage in GPU_STAGES), stage
        for task in on_gpu:
            assert f"request:1, limit:null, type:{kind or 'null'}" in task["accelerator"]
        for task in members:
            gpu = task in on_gpu
            if profile == "awsbatch":  # a number is all it takes; the queue says the rest
                assert task["queue"] == ("gpus" if gpu else "cpus")
            if profile == "googlebatch":
                assert task["machineType"] == ("g2-standard-8" if gpu else None)
            if profile == "azurebatch":  # knows no accelerator: a machine that has one
                assert task["machineType"] == ("Standard_NC4as_T4_v3" if gpu else "Standard_D8s_v5")
            if profile == "slurm":  # knows no accelerator either
                assert task["clusterOptions"] == ("--gres=gpu:a100:1" if gpu else "")
                assert task["queue"] == ("gpus" if gpu else "long")


@pytest.mark.all
@each_profile
def test_costs_can_be_told_apart(directives, profile: str) -> None:
    if profile == "slurm":
        pytest.skip("Slurm has accounts and no labels")
    for stage, members in directives(profile).items():
        for task in members:
            labels = dict(pair.split(":") for pair in task["resourceLabels"].strip("[]").split(", "))
            assert labels.keys() == {"pipeline", "run", "stage"}
            assert labels["stage"] == stage.lower()
            for value in labels.values():  # the strictest rule, Google's
                assert re.fullmatch(r"[a-z0-9_-]{1,63}", value)


@pytest.mark.all
def test_kubernetes_keeps_to_the_nodes_it_is_told(directives) -> None:
    for members in directives("k8s").values():
        assert all("spot:true" in task["pod"].replace("=", ":") for task in members)


# Of each profile, or several, what it must set.
PROFILES = {
    "awsbatch": ["process.executor = 'awsbatch'", "aws.batch.maxSpotAttempts = 5", "docker.enabled = true"],
    "googlebatch": ["process.executor = 'google-batch'", "google.batch.spot = true", "google.batch.maxSpotAttempts = 5", "'--uid=1000', '--gid=1000'"],
    "azurebatch": ["process.executor = 'azurebatch'", "azure.batch.pools.auto.lowPriority = true", "azure.batch.autoPoolMode = true"],
    "k8s": ["process.executor = 'k8s'", "params.label_store = '/workspace/label_store'", "k8s.storageMountPath = '/workspace'", "runAsUser"],
    "slurm": ["process.executor = 'slurm'", "executor.queueSize = 200", "labelling)'.array = 100"],
    "docker": ["docker.runOptions = '-u $(id -u):$(id -g) --network none --cap-drop all", "docker.envWhitelist = 'CUDA_VISIBLE_DEVICES'"],
    "podman": ["podman.enabled = true", "--network none --cap-drop all"],
    "singularity": ["singularity.autoMounts = true"],
    "apptainer": ["apptainer.autoMounts = true"],
    "charliecloud": ["charliecloud.enabled = true", "charliecloud.envWhitelist = 'CUDA_VISIBLE_DEVICES'"],
    "standard": ["process.executor = 'local'"],
    "test": ["/studies/test.yaml'"],
    "test_full": ["/studies/demo.yaml'"],
    "stub": ["stubRun = true"],
}  # fmt: skip
# Profiles that go together, whichever is named first.
TOGETHER = [("gpu", "docker", "test"), ("gpu", "awsbatch"), ("gpu", "googlebatch"), ("gpu", "azurebatch"), ("gpu", "k8s"), ("gpu", "podman", "slurm")]  # fmt: skip
# Prints, in one start of Nextflow, since each takes seconds: what profiles set (functions by their text), and what functions give.
RESOLVE = r"""
def config(profile, closures) {
    new nextflow.config.ConfigBuilder().setBaseDir(projectDir).setCurrentDir(projectDir).setShowClosures(closures).setProfile(profile).buildConfigObject()
}

def given(profile, engine, accelerator, executor, container, more) {
    def real = config(profile, false)
    def task = [ext: [engine: engine], accelerator: accelerator, executor: executor, process: 'TRAIN_MODEL', cpus: 3]
    def names = [task: task, params: real.params + more, projectDir: projectDir, workflow: [manifest: [version: '0.1.0'], containerEngine: container, stubRun: false]]
    def environment = real.process['withLabel:env_.*']
    ['image', 'site'].each { name -> task.ext[name] = environment.ext[name].cloneWith(names).call() }
    def parts = ['container', 'containerOptions', 'beforeScript'].collectEntries { name -> [name, environment[name].cloneWith(names).call()] }
    def cluster = real.process['withName:(.*)'] ?: [:]
    // A job array, of which Slurm is asked, has no task.ext.
    def asked = names + [task: [accelerator: accelerator, executor: executor, process: 'TRAIN_MODEL', cpus: 3]]
    environment.containerOptions.cloneWith(asked).call()     // can be called
    parts + ['clusterOptions', 'queue'].collectEntries { name -> [name, cluster[name] ? cluster[name].cloneWith(asked).call() : null] }
}

workflow {
    PROFILES_SHOWN.each { profile -> println("== ${profile}\n" + nextflow.util.ConfigHelper.toFlattenString(config(profile, true))) }
    def site = nextflow.Global.session.config.process
    def cases = new groovy.json.JsonSlurper().parse(file('cases.json').toFile())
    cases.each { one ->
        site.clusterOptions = one.site == 'closure' ? new GroovyShell().evaluate('return { "--qos=q${task.cpus}" }') : one.site
        ['beforeScript', 'containerOptions', 'queue'].each { name -> site[name] = one.site_says?.get(name) }
        site['withLabel:process_gpu'] = one.site_gpu
        println('CASE ' + groovy.json.JsonOutput.toJson(given(one.profile, one.engine, one.gpu ? [request: 1] : null, one.executor, one.container, one.params ?: [:])))
    }
}
"""
# What a task of a profile is given, by the words that its functions give.
GPU = {
    "docker": "--gpus all",
    "podman": "--device nvidia.com/gpu=all",
    "singularity": "--nv",
    "apptainer": "--nv",
    "charliecloud": "",
}
RELEASED = f"ghcr.io/someone/ionmelt-nequip@sha256:{'0' * 64}"
SITE = {"beforeScript": "module load x", "containerOptions": "-B /data", "queue": "short"}
SITE_GPU = {"queue": "gpu-l40", "clusterOptions": "--gres=gpu:l40:1"}
CASES: list[dict[str, object]] = [
    *({"profile": f"{name},gpu", "engine": "mace", "gpu": True, "executor": "local", "container": name, "containerOptions": words} for name, words in GPU.items()),
    *({"profile": f"{name},gpu", "engine": "mace", "gpu": False, "executor": "local", "container": name, "containerOptions": ""} for name in GPU),
    {"profile": "azurebatch,gpu", "engine": "mace", "gpu": True, "executor": "azurebatch", "container": "docker", "containerOptions": "-u 0:0 --gpus all"},
    {"profile": "azurebatch", "engine": "dft", "gpu": False, "executor": "azurebatch", "container": "docker", "containerOptions": "-u 0:0"},
    {"profile": "awsbatch,gpu", "engine": "mace", "gpu": True, "executor": "awsbatch", "container": "docker", "containerOptions": ""},
    {"profile": "apptainer,gpu", "engine": "mace", "gpu": True, "executor": "lsf", "container": "apptainer", "containerOptions": "--nv"},
    {"profile": "gpu", "engine": "dft", "gpu": True, "executor": "local", "container": None, "image": "dft-gpu", "params": {"gpus": 2}, "script": "one_gpu' 2"},
    {"profile": "podman", "engine": "my/own:1", "gpu": False, "executor": "local", "container": "podman", "container_name": "my/own:1"},
    {"profile": "podman", "engine": "nequip", "gpu": False, "executor": "local", "container": "podman", "params": {"registry": "ghcr.io/me"}, "prefix": "ghcr.io/me/"},
    {"profile": "podman", "engine": "nequip", "gpu": False, "executor": "local", "container": "podman", "params": {"registry": "local"}},
    {"profile": "podman", "engine": "nequip", "gpu": False, "executor": "local", "container": "podman", "container_name": RELEASED},
    {"profile": "slurm", "engine": "mace", "gpu": True, "executor": "slurm", "container": None, "cluster": "--gres=gpu:1"},
    {"profile": "slurm", "engine": "mace", "gpu": False, "executor": "slurm", "container": None, "cluster": ""},
    {"profile": "slurm", "engine": "mace", "gpu": True, "executor": "slurm", "container": None, "site": "--qos=long", "cluster": "--qos=long --gres=gpu:1"},
    {"profile": "slurm", "engine": "mace", "gpu": False, "executor": "slurm", "container": None, "site": ["--qos=long", "-C x"], "cluster": "--qos=long -C x"},
    {"profile": "slurm", "engine": "mace", "gpu": True, "executor": "slurm", "container": None, "site": "closure", "params": {"gpu_type": "1g.10gb"}, "cluster": "--qos=q3 --gres=gpu:1g.10gb:1"},
    {"profile": "slurm", "engine": "mace", "gpu": True, "executor": "slurm", "container": None, "params": {"slurm_gres": "mps:50"}, "cluster": "--gres=mps:50"},
    {"profile": "slurm,apptainer", "engine": "mace", "gpu": True, "executor": "slurm", "container": "apptainer", "site_says": SITE, "containerOptions": "-B /data --nv", "whole_script": "module load x", "cluster": "--gres=gpu:1", "queue": "short"},
    {"profile": "slurm,apptainer", "engine": "mace", "gpu": False, "executor": "slurm", "container": "apptainer", "site_says": SITE, "containerOptions": "-B /data", "whole_script": "module load x", "cluster": "", "params": {"slurm_queue": "long", "slurm_gpu_queue": "gpus"}, "queue": "long"},
    {"profile": "slurm", "engine": "mace", "gpu": True, "executor": "slurm", "container": None, "site_says": SITE, "containerOptions": "-B /data", "script": "module load x\n. '", "cluster": "--gres=gpu:1", "params": {"slurm_gpu_queue": "gpus"}, "queue": "gpus"},
    {"profile": "slurm", "engine": "mace", "gpu": True, "executor": "slurm", "container": None, "site": "-A x", "site_says": SITE, "site_gpu": SITE_GPU, "cluster": "--gres=gpu:l40:1", "queue": "gpu-l40"},
    {"profile": "slurm", "engine": "mace", "gpu": True, "executor": "slurm", "container": None, "site": "-A x", "site_gpu": {"queue": "gpu-l40"}, "cluster": "-A x --gres=gpu:1", "queue": "gpu-l40"},
    {"profile": "slurm", "engine": "mace", "gpu": False, "executor": "slurm", "container": None, "site": "-A x", "site_says": SITE, "site_gpu": SITE_GPU, "cluster": "-A x", "queue": "short"},
    {"profile": "slurm", "engine": "mace", "gpu": True, "executor": "slurm", "container": None, "site_gpu": SITE_GPU, "params": {"gpu_type": "a100", "slurm_gpu_queue": "gpus"}, "cluster": "--gres=gpu:l40:1 --gres=gpu:a100:1", "queue": "gpus"},
]  # fmt: skip


@pytest.fixture(scope="module", params=["v1", "v2"])
def resolved(request: pytest.FixtureRequest, pipeline) -> tuple[dict[str, str], list[dict[str, str | None]]]:
    """What each profile says, and what the functions of the configuration give in each case, by one of Nextflow's two parsers."""
    places = [*PROFILES, *(",".join(order) for some in TOGETHER for order in (some, some[::-1]))]
    (pipeline.folder / "profiles.nf").write_text(RESOLVE.replace("PROFILES_SHOWN", str(places)))
    (pipeline.folder / "cases.json").write_text(json.dumps(CASES))
    tag = subprocess.run(
        [TOP / "containers" / "tag", "nequip"], check=True, capture_output=True, text=True
    ).stdout.strip()
    released = pipeline.folder / "containers" / "released.txt"  # as a release has it, for one image
    released.write_text(f"{tag.rpartition('-')[0]}-0123456789ab other\n{tag} {RELEASED}\n")
    result = start(pipeline, program="profiles.nf", NXF_SYNTAX_PARSER=request.param)
    released.unlink()
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr
    parts = re.split(r"^== (.*)\n", result.stdout, flags=re.M)[1:]
    cases = [json.loads(line.removeprefix("CASE ")) for line in result.stdout.splitlines() if line.startswith("CASE ")]
    texts = (
        re.sub(r"\S+\$_\w*closure\S+", "a function", text.split("CASE")[0]) for text in parts[1::2]
    )  # of an included file
    return dict(zip(parts[::2], texts, strict=True)), cases


def test_what_a_profile_sets(resolved) -> None:
    for profile, lines in PROFILES.items():
        text = resolved[0][profile]
        for line in lines:
            assert line in text, line
        assert not re.search(r"(?i)key = '\S+'|password|token\b", text), "no secret in a configuration"


def test_the_order_of_profiles_changes_nothing(resolved) -> None:
    """The default parser of 25.04 takes them as they stand in the file, the strict one, and 26, as they are named."""
    for some in TOGETHER:
        one, other = (sorted(resolved[0][",".join(order)].splitlines()) for order in (some, some[::-1]))
        assert one == other, some


def test_what_a_task_is_given(resolved) -> None:
    """Words for a GPU where one is used and no other place; a site's own words beside ours; an image that the build makes."""
    some = ("mace", "dft", "dft-gpu", "nequip")
    names = subprocess.run(
        [TOP / "containers" / "tag", *some], check=True, capture_output=True, text=True
    ).stdout.split()
    images = {re.sub(r"ionmelt-(.*):.*", r"\1", name): name for name in names}
    assert len(resolved[1]) == len(CASES)
    for case, given in zip(CASES, resolved[1], strict=True):
        expected = case.get("container_name") or case.get("prefix", "") + images[case.get("image", case["engine"])]  # type: ignore[operator,index]
        assert given["container"] == expected, case
        assert given["containerOptions"] == case.get("containerOptions", given["containerOptions"]), case
        assert given["clusterOptions"] == case.get("cluster"), case
        assert given["queue"] == case.get("queue"), case
        assert str(case.get("script", "")) in str(given["beforeScript"]), case
        assert given["beforeScript"] == case.get("whole_script", given["beforeScript"]), case
        assert ("one_gpu" in str(given["beforeScript"])) == (case["gpu"] and case["executor"] == "local"), case


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
