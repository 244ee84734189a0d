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
    withName: '.*:RUN_MD' { clusterOptions = '--constraint=fast' }
    withName: PLAN_STUDY { beforeScript = 'true # of the site' }
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
            image = r"ionmelt-(analysis|dft|mace(-gpu)?|deepmd):\d+\.\d+\.\d+-[0-9a-f]{12}"
            assert re.fullmatch(("" if profile == "slurm" else "ghcr.io/someone/") + image, task["container"]), stage
            assert "one_gpu" not in task["beforeScript"], "only this machine shares out its GPUs"
            if stage == "PLAN_STUDY":  # what a site says of one task stands beside the environment
                assert re.fullmatch(r"true # of the site\n\. '.*/containers/activate' analysis", task["beforeScript"])


@pytest.mark.all
@each_profile
def test_who_gets_a_gpu(directives, profile: str) -> None:
    kind = PARAMETERS[profile].get("gpu_type")
    for stage, members in directives(profile).items():
        on_gpu = [task for task in members if task["accelerator"]]
        # the classical force field needs none
        assert {task["container"].split(":")[0].split("/")[-1] for task in on_gpu} == (
            {"ionmelt-mace-gpu", "ionmelt-deepmd"} if on_gpu else set()
        )
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
                words = ["--constraint=fast"] * (stage == "RUN_MD") + ["--gres=gpu:a100:1"] * gpu
                assert task["clusterOptions"] == " ".join(words)
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
    "docker": ["docker.runOptions = '-u $(id -u):$(id -g) --network none --cap-drop all", "docker.envWhitelist = 'CUDA_VISIBLE_DEVICES,CUDA_MPS_"],
    "podman": ["podman.enabled = true", "--network none --cap-drop all"],
    "singularity": ["singularity.autoMounts = true"],
    "apptainer": ["apptainer.autoMounts = true"],
    "charliecloud": ["charliecloud.enabled = true", "charliecloud.envWhitelist = 'CUDA_VISIBLE_DEVICES,CUDA_MPS_"],
    "standard": ["docker.runOptions = '-u $(id -u):$(id -g) --network none", "--network none --cap-drop all"],    # whoever enables an engine
    "test": ["/studies/test.yaml'"],
    "test_full": ["/studies/demo.yaml'"],
    "stub": ["stubRun = true"],
}  # fmt: skip
# Profiles that go together, whichever is named first.
TOGETHER = [("gpu", "docker", "test"), ("gpu", "awsbatch"), ("gpu", "googlebatch"), ("gpu", "azurebatch"), ("gpu", "k8s"), ("gpu", "podman", "slurm"), ("slurm", "standard"), ("k8s", "standard")]  # fmt: skip
# Profiles of which a run takes one, and GPUs that are too few: wanted, CUDA_VISIBLE_DEVICES, what nvidia-smi -L lists. With what is said.
REFUSED = {
    "wrong_of_profiles(['slurm', 'gpu', 'k8s'])": "-profile: slurm,gpu,k8s: k8s and slurm exclude each other: name one of them",
    "wrong_of_profiles(['test_full', 'podman', 'test'])": "-profile: test_full,podman,test: test and test_full exclude each other: name one of them",
    "wrong_of_profiles(['podman', 'docker'])": "-profile: podman,docker: docker and podman exclude each other: name one of them",
    "wrong_of_profiles(['gpu', 'apptainer', 'slurm', 'test', 'stub'])": "",
    "missing_gpus(1, null, '')": "--gpus: 1; nvidia-smi finds 0 NVIDIA GPUs here: leave out -profile gpu",
    "missing_gpus(2, null, 'GPU 0: A100')": "--gpus: 2; nvidia-smi finds 1 NVIDIA GPUs here: leave out -profile gpu",
    "missing_gpus(1, '0', '')": "--gpus: 1; nvidia-smi finds 0 NVIDIA GPUs here: leave out -profile gpu",
    "missing_gpus(1, '', 'GPU 0: A100')": "--gpus: 1; CUDA_VISIBLE_DEVICES names 0: leave out -profile gpu",
    "missing_gpus(3, 'MIG-a,MIG-b', 'GPU 0: A100\\n  MIG 1g.10gb Device 0:')": "--gpus: 3; CUDA_VISIBLE_DEVICES names 2: leave out -profile gpu",
    "missing_gpus(2, 'MIG-a,MIG-b', 'GPU 0: A100\\n  MIG 1g.10gb Device 0:')": "",
    "missing_programs(submitting('lsf'))": "bsub: is not installed here: ",
    "missing_programs(submitting('pbspro'))": "qsub: is not installed here: ",
    "missing_programs(submitting('condor'))": "condor_submit: is not installed here: ",
    "submitting('local') + submitting('k8s')": "",
    "missing_image('true', '', 'analysis')": "true: has no image ionmelt-analysis:",  # an engine that knows none, and one that has all
    "missing_image('echo', 'local', 'mace-gpu')": "",
    "missing_image('true', '', 'mace-gpu')": "true: has no image ionmelt-mace-gpu:",
    "images_of(file('images'), false, false)": "analysis dft mace",
    "images_of(file('images'), false, true)": "analysis dft-gpu mace mace-gpu",
    "images_of(file('images'), true, true)": "dft-gpu",
}
# Prints, in one start of Nextflow, since each takes seconds: what profiles set (functions by their text), and what functions give.
RESOLVE = r"""
include { images_of; missing_gpus; missing_image; missing_programs; submitting; wrong_of_profiles } from './modules/help.nf'

def config(profile, closures) {
    new nextflow.config.ConfigBuilder().setBaseDir(projectDir).setCurrentDir(projectDir).setShowClosures(closures).setProfile(profile).buildConfigObject()
}

def given(profile, engine, accelerator, executor, container, more) {
    def real = config(profile, false)
    def task = [ext: [engine: engine], accelerator: accelerator, executor: executor, process: 'MODELS:TRAIN_MODEL', label: ['train', 'env_by_engine'], cpus: 3]
    def names = [task: task, params: real.params + more, projectDir: projectDir, workflow: [manifest: [version: '0.1.0'], containerEngine: container, stubRun: false]]
    def environment = real.process['withLabel:env_.*']
    ['image', 'site'].each { name -> task.ext[name] = environment.ext[name].cloneWith(names).call() }
    def all = real.process['withName:((.*))']
    def parts = [container: environment, containerOptions: all, beforeScript: all].collectEntries { name, section -> [name, section[name].cloneWith(names).call()] }
    def cluster = real.process['withName:(.*)'] ?: [:]
    // A job array, of which Slurm is asked, has no task.ext, and no label.
    def asked = names + [task: [accelerator: accelerator, executor: executor, process: 'LABELLED:LABEL_FRAMES', cpus: 3]]
    if (!accelerator && cluster.clusterOptions) { parts.array = cluster.clusterOptions.cloneWith(asked).call() }
    asked = names + [task: task - [ext: task.ext]]
    all.containerOptions.cloneWith(asked).call()     // can be called
    parts + ['clusterOptions', 'queue'].collectEntries { name -> [name, cluster[name] ? cluster[name].cloneWith(asked).call() : null] }
}

workflow {
    PROFILES_SHOWN.each { profile -> println("== ${profile}\n" + nextflow.util.ConfigHelper.toFlattenString(config(profile, true))) }
    REFUSED_SHOWN
    def site = nextflow.Global.session.config.process
    def cases = new groovy.json.JsonSlurper().parse(file('cases.json').toFile())
    cases.each { one ->
        site.clusterOptions = one.site == 'closure' ? new GroovyShell().evaluate('return { "--qos=q${task.cpus}" }') : one.site
        ['beforeScript', 'containerOptions', 'queue'].each { name -> site[name] = one.site_says?.get(name) }
        site['withLabel:process_gpu'] = one.site_gpu
        (one.sections ?: [:]).each { key, section -> site[key] = section }
        println('CASE ' + groovy.json.JsonOutput.toJson(given(one.profile, one.engine, one.gpu ? [request: 1] : null, one.executor, one.container, one.params ?: [:])))
        (one.sections ?: [:]).each { key, _section -> site.remove(key) }
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
# What a site says of some tasks: by a label, by their names, and of others.
SOME = {
    "withLabel:train": {"queue": "by-label", "clusterOptions": "--qos=label"},
    "withName:.*:TRAIN_MODEL": {"queue": "gpu-train", "clusterOptions": "--qos=train", "beforeScript": "module load y"},
    "withName:RUN_MD": {"queue": "no", "clusterOptions": "no", "beforeScript": "no"},
}
ON_SLURM: dict[str, object] = {
    "profile": "slurm",
    "engine": "mace",
    "gpu": True,
    "executor": "slurm",
    "container": None,
}
CASES: list[dict[str, object]] = [
    *({"profile": f"{name},gpu", "engine": "mace", "gpu": True, "executor": "local", "container": name, "containerOptions": words} for name, words in GPU.items()),
    *({"profile": f"{name},gpu", "engine": "mace", "gpu": False, "executor": "local", "container": name, "containerOptions": ""} for name in GPU),
    {"profile": "azurebatch,gpu", "engine": "mace", "gpu": True, "executor": "azurebatch", "container": "docker", "containerOptions": "-u 0:0 --gpus all"},
    {"profile": "azurebatch", "engine": "dft", "gpu": False, "executor": "azurebatch", "container": "docker", "containerOptions": "-u 0:0"},
    {"profile": "awsbatch,gpu", "engine": "mace", "gpu": True, "executor": "awsbatch", "container": "docker", "containerOptions": ""},
    {"profile": "apptainer,gpu", "engine": "mace", "gpu": True, "executor": "lsf", "container": "apptainer", "containerOptions": "--nv"},
    {"profile": "gpu", "engine": "dft", "gpu": True, "executor": "local", "container": None, "params": {"gpus": 2}, "whole_script": ". 'TOP/containers/one_gpu' 2\n. 'TOP/containers/activate' dft-gpu"},
    {"profile": "gpu", "engine": "dft", "gpu": False, "executor": "local", "container": None, "whole_script": ". 'TOP/containers/activate' dft"},
    {"profile": "podman", "engine": "my/own:1", "gpu": False, "executor": "local", "container": "podman", "container_name": "my/own:1"},
    {"profile": "podman", "engine": "nequip", "gpu": False, "executor": "local", "container": "podman", "params": {"registry": "ghcr.io/me"}, "prefix": "ghcr.io/me/"},
    {"profile": "podman", "engine": "nequip", "gpu": False, "executor": "local", "container": "podman", "params": {"registry": "local"}},
    {"profile": "podman", "engine": "nequip", "gpu": False, "executor": "local", "container": "podman", "container_name": RELEASED},
    {"profile": "podman", "engine": "orb", "gpu": False, "executor": "local", "container": "podman", "params": {"registry": "local"}},
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
    {"profile": "slurm", "engine": "mace", "gpu": True, "executor": "slurm", "container": None, "site_gpu": SITE_GPU, "params": {"gpu_type": "a100", "slurm_gpu_queue": "gpus"}, "cluster": "--gres=gpu:a100:1", "queue": "gpus"},
    *({**ON_SLURM, "site": words, "cluster": f"{words} --gres=gpu:1"} for words in ("--gres-flags=enforce-binding", "--comment=x-G")),
    *({**ON_SLURM, "site": words, "cluster": words} for words in ("--gpus-per-node=2", "-G 1", "--qos=x -G1", "--gres lscratch:9,gpu:2", "--gres=shard:1")),
    {**ON_SLURM, "site": "--account=site --gres=lscratch:200 --qos=x", "cluster": "--account=site --qos=x --gres=lscratch:200,gpu:1"},
    {**ON_SLURM, "site": "--gres 'lscratch:200,gpu:2'", "params": {"slurm_gres": "mps:50"}, "cluster": "--gres=lscratch:200,mps:50"},
    {**ON_SLURM, "site": "-A x", "site_says": SITE, "sections": SOME, "params": {"slurm_queue": "long"}, "cluster": "--qos=train --gres=gpu:1", "queue": "gpu-train", "script": "module load y\n. '"},
    {**ON_SLURM, "gpu": False, "site": "-A x", "site_says": SITE, "sections": {"withLabel:train|md": {"queue": "heavy"}}, "cluster": "-A x", "queue": "heavy", "script": "module load x\n. '"},
    {**ON_SLURM, "gpu": False, "site": "-A x", "sections": {"withLabel:labelling": {"clusterOptions": "-C dft"}, "withName:!RUN_MD": {"queue": "rest"}}, "cluster": "-A x", "array": "-C dft", "queue": "rest"},
    {"profile": "podman,gpu", "engine": "mace", "gpu": True, "executor": "local", "container": "podman", "sections": {"withName:TRAIN_MODEL": {"containerOptions": "-v /data"}}, "containerOptions": "-v /data --device nvidia.com/gpu=all"},
]  # fmt: skip


@pytest.fixture(scope="module", params=["v1", "v2"])
def resolved(request: pytest.FixtureRequest, pipeline) -> tuple[dict[str, str], list[dict[str, str | None]], list[str]]:
    """What each profile says, what the functions of the configuration give in each case, and what is refused, by one of Nextflow's two parsers."""
    places = [*PROFILES, *(",".join(order) for some in TOGETHER for order in (some, some[::-1]))]
    calls = "\n    ".join(f"println('REFUSED ' + ({call}).join(' '))" for call in REFUSED)
    script = RESOLVE.replace("PROFILES_SHOWN", str(places)).replace("REFUSED_SHOWN", calls)
    (pipeline.folder / "profiles.nf").write_text(script)
    (pipeline.folder / "cases.json").write_text(json.dumps(CASES))
    tag = subprocess.check_output([TOP / "containers" / "tag", "nequip"], text=True).strip()
    plan = pipeline.folder / "images"
    plan.mkdir(exist_ok=True)
    for name, image in {"models": "mace\nmy/own:1\nanalysis", "runs": "mace", "explore": ""}.items():
        (plan / f"{name}.csv").write_text(f"image\n{image}\n")
    (plan / "label_engine.csv").write_text("engine,image,gpu\npyscf,dft,true\n")
    released = pipeline.folder / "containers" / "released.txt"  # as a release has it, for one image
    released.write_text(f"{tag.rpartition('-')[0]}-0123456789ab other\n{tag} {RELEASED}\n")
    result = start(pipeline, program="profiles.nf", NXF_SYNTAX_PARSER=request.param)
    released.unlink()
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr
    parts = re.split(r"^== (.*)\n", result.stdout, flags=re.M)[1:]
    cases = [json.loads(line.removeprefix("CASE ")) for line in result.stdout.splitlines() if line.startswith("CASE ")]
    texts = (
        re.sub(r"\S+\$_\w*closure\S+", "a function", text.split("REFUSED")[0]) for text in parts[1::2]
    )  # of an included file
    refused = [line.removeprefix("REFUSED ") for line in result.stdout.splitlines() if line.startswith("REFUSED ")]
    return dict(zip(parts[::2], texts, strict=True)), cases, refused


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


def test_what_is_refused_here(resolved) -> None:
    assert len(resolved[2]) == len(REFUSED)
    for (call, words), line in zip(REFUSED.items(), resolved[2], strict=True):
        assert line.strip().startswith(words) and bool(line.strip()) == bool(words), call


def test_what_a_task_is_given(resolved, pipeline) -> None:
    """Words for a GPU where one is used and no other place; a site's own words beside ours; an image that the build makes."""
    some = ("mace", "mace-gpu", "dft", "dft-gpu", "nequip", "orb")
    names = subprocess.check_output([TOP / "containers" / "tag", *some], text=True).split()
    images = {re.sub(r"ionmelt-(.*):.*", r"\1", name): name for name in names}
    assert len(resolved[1]) == len(CASES)
    for case, given in zip(CASES, resolved[1], strict=True):
        image = f"{case['engine']}-gpu" if case["gpu"] and case["engine"] in ("dft", "mace") else str(case["engine"])
        expected = case.get("container_name") or f"{case.get('prefix', '')}{images[image]}"
        assert given["container"] == expected, case
        assert given["containerOptions"] == case.get("containerOptions", given["containerOptions"]), case
        assert given["clusterOptions"] == case.get("cluster"), case
        assert given["queue"] == case.get("queue"), case
        assert given.get("array") == case.get("array", given.get("array")), case
        assert str(case.get("script", "")) in str(given["beforeScript"]), case
        script = str(given["beforeScript"]).replace(str(pipeline.folder), "TOP")
        assert script == case.get("whole_script", script), case
        assert ("one_gpu" in str(given["beforeScript"])) == (case["gpu"] and case["executor"] == "local"), case
