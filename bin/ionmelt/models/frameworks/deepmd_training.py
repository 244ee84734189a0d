"""Train a DeePMD model with DeePMD's own tool (dp --pt train, freeze, compress): from nothing, or from a checkpoint (--weights).

Writes the model folder --out: model_frozen.pth, model.pth (compressed: the same model with its embedding
nets tabulated, several times faster; se_e2_a, and se_atten without attention), model.pt (to be fine-tuned), curve.parquet (learning curve) and
model.json (the model card). On a CPU the same settings, seed, data and number of threads give the same model, a training that was
killed included: it goes on from --checkpoints.
"""

import json
import math
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ionmelt.models import loss as models_loss
from ionmelt.models import pace
from ionmelt.models.card import Facts, TunedFrom
from ionmelt.models.frameworks import deepmd_tool
from ionmelt.models.frameworks.deepmd import INPUT, DeepmdTraining
from ionmelt.models.frameworks.deepmd_net import Net, energies_of, net_of
from ionmelt.models.tool import ToolInput, environment, run_tool
from ionmelt.models.training import (
    Trained,
    TrainingTask,
    determined_by,
    hand_on,
    kept,
    loss_weights,
    own_weights,
    read_inputs,
    spent_before,
    write_card,
    write_curve,
    write_tool_input,
)
from ionmelt.task import check_device

# What the learning rate falls to, as a share of the first, where a study does not say.
FINAL_LEARNING_RATE = 0.01
LONGEST_STEP = 5.0  # what the gradient of a net of messages is clipped to where a study does not say, as in DeePMD's own example of DPA-3
DISPLAYS = 25  # points of the learning curve
CHECKPOINTS = 10
CHECKPOINT, LOSS = "model.ckpt", "loss.json"  # in the folder of checkpoints
SHORT = 60  # steps of a training that tells the pace: the first ones are slow
FROZEN, COMPRESSED = "model_frozen.pth", "model.pth"
UNITS = {
    "rmse": ("loss", "1"),
    "rmse_e": ("energy_per_atom_rmse", "eV"),
    "rmse_f": ("force_rmse", "eV/A"),
    "rmse_v": ("virial_per_atom_rmse", "eV"),
}


def weights_of_loss(settings: DeepmdTraining) -> dict[str, dict[str, float | None]]:
    """Return the weight of each term of the loss at the start and at the limit, None where it is to be found from the data."""
    return dict(zip(deepmd_tool.ENDS, loss_weights(settings), strict=True))


def tool_input(settings: DeepmdTraining, net: Net, folder: Path, checkpoint: Path) -> ToolInput:
    """Return DeePMD's input for the settings of a study and a model, new or that of a checkpoint to be fine-tuned.

    The reference energies of the elements are those fitted to the dataset, also where free atoms are known: DeePMD takes off no
    mean besides them, and its net would first have to learn the binding. A model that is fine-tuned has its own,
    which DeePMD moves by what its energies are off on the training frames.
    """
    steps, seed, first = settings.steps, settings.seed, settings.learning_rate
    last = settings.final_learning_rate or first * FINAL_LEARNING_RATE
    # DeePMD leaves a term out for good where it has no weight: those that are to be found begin as one.
    prefactors = {
        f"{end}_pref_{deepmd_tool.LETTERS[name]}": 1.0 if value is None else value
        for end, weights in weights_of_loss(settings).items()
        for name, value in weights.items()
    }

    def systems(frames: str) -> list[str]:
        return sorted(str(path.parent) for path in (folder / frames).glob("*/type.raw"))

    longest = settings.clip_grad or (LONGEST_STEP if net.descriptor.type == "dpa3" else None)
    # Where the study says nothing the rate is smooth: every step has its own, however few there are.
    fall: ToolInput = {"decay_steps": settings.decay_steps} if settings.decay_steps else {"smooth": True}
    validated = sum(len(np.load(Path(system) / "set.000" / "box.npy")) for system in systems("valid"))

    return {
        "model": net.model_dump(mode="json", exclude_unset=True),
        "learning_rate": {
            "type": "exp",
            "start_lr": first,
            "stop_lr": last,
            **fall,
        },  # the weights of the loss follow it
        "loss": {"type": "ener", **prefactors},
        "training": {
            "training_data": {"systems": systems("train"), "batch_size": settings.batch_size},
            "validation_data": {
                "systems": systems("valid"),
                "batch_size": settings.batch_size,
                "numb_btch": max(1, min(settings.validation_batches, math.ceil(validated / settings.batch_size))),
            },
            "numb_steps": steps,
            "seed": seed,
            "disp_file": str(checkpoint.with_name("lcurve.out")),
            "disp_freq": max(1, steps // DISPLAYS),
            "save_freq": max(1, steps // CHECKPOINTS),
            "max_ckpt_keep": 2,
            "save_ckpt": str(checkpoint),
            **({"gradient_max_norm": longest} if longest else {}),
        },
    }


def curve(lcurve: Path) -> Iterator[tuple[int, str, str, float, str]]:
    """Yield the learning curve (step, set, quantity, value, unit) from DeePMD's lcurve.out.

    The errors are those of a batch or a few, as DeePMD prints them.
    """
    lines = lcurve.read_text().splitlines()
    names = lines[0].lstrip("# ").split()
    # A training that was taken up again appends to the file: the last word on a step counts.
    rows = {int(line.split()[0]): line.split() for line in lines[1:] if not line.startswith("#")}
    for step, row in sorted(rows.items()):
        for name, value in zip(names[1:], row[1:], strict=True):
            base, _, frames = name.rpartition("_")
            if base in UNITS:
                quantity, unit = UNITS[base]
                yield step, {"trn": "train", "val": "valid"}[frames], quantity, float(value), unit


def tool_environment(task: TrainingTask) -> dict[str, str]:
    """Return the environment of DeePMD's tool."""
    env = environment(task.threads) | {
        "DP_INTRA_OP_PARALLELISM_THREADS": str(task.threads),
        "DP_INTER_OP_PARALLELISM_THREADS": "1",
        "NUM_WORKERS": "0",  # loader processes would share the few cores, and the small data are in memory
    }
    return env | {"DEVICE": "cpu"} if task.device == "cpu" else env


def tool_commands(net: Net, last: Path, weights: Path | None, head: str | None) -> list[list[str]]:
    """Return the arguments of dp --pt, a list for each command: train, freeze, and compress where the descriptor can be.

    `last` is the checkpoint that a training writes and, where it is there, goes on from.
    """
    begin: list[str] = []
    if last.exists():
        begin = ["--restart", str(last)]
    elif weights is not None:
        begin = ["--finetune", str(weights), *(["--model-branch", head] if head else [])]
    commands = [["train", INPUT, *begin], ["freeze", "-c", str(last), "-o", FROZEN]]
    if net.descriptor.is_compressible:
        commands.append(["compress", "-i", FROZEN, "-o", COMPRESSED])
    return commands


def run(
    settings: DeepmdTraining, net: Net, folder: Path, checkpoints: Path, weights: Path | None, task: TrainingTask
) -> list[str]:
    """Train on a dataset with DeePMD's tool, in the folder `training`; return the names of the files there that hold the model."""
    scratch = Path("training").resolve()
    tool = tool_input(settings, net, folder, checkpoints / CHECKPOINT)
    (scratch / INPUT).write_text(json.dumps(tool, indent=2) + "\n")
    commands = tool_commands(net, checkpoints / f"{CHECKPOINT}.pt", weights, settings.head)
    files = [FROZEN, COMPRESSED][: len(commands) - 1]
    arguments = [
        str(checkpoints / LOSS),
        json.dumps(weights_of_loss(settings)),
        str(settings.seed),
        json.dumps(commands),
    ]
    run_tool(
        "dp --pt",
        [sys.executable, "-P", "-m", deepmd_tool.__name__, *arguments],  # -P: no folder here hides a library
        tool_environment(task),
        scratch,
        lambda line: " val: rmse" in line,
        scratch / files[-1],
        settings.steps,
    )
    return files


def train(task: TrainingTask) -> None:
    """Do the work of the task: train in a scratch folder, then write the model folder."""
    began = time.perf_counter()
    check_device(task.device)
    settings, data = read_inputs(task, DeepmdTraining)
    weights = own_weights(settings, task.weights)
    scratch = Path("training").resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    folder = task.dataset.resolve() / "deepmd"
    net = net_of(weights, settings, data, folder)
    with kept(task.checkpoints, determined_by(settings, data, task), [weights]) as checkpoints:
        before_s = spent_before(checkpoints)

        def train_on(kept_in: Path, steps: int) -> None:
            run(settings.model_copy(update={"steps": steps}), net, folder, kept_in, weights, task)

        settings = pace.with_length(settings, checkpoints, task.threads, task.device, train_on, SHORT)
        files = run(settings, net, folder, checkpoints, weights, task)
        task.out.mkdir(parents=True, exist_ok=True)
        for name in files:
            shutil.copyfile(scratch / name, task.out / name)
        shutil.copyfile(checkpoints / f"{CHECKPOINT}.pt", task.out / "model.pt")
        folders = {folder: "dataset/deepmd", checkpoints: "checkpoints"}
        write_tool_input(task.out / INPUT, (scratch / INPUT).read_text(), folders)
        write_curve(task.out / "curve.parquet", settings.id, curve(checkpoints / "lcurve.out"))
        about_loss = models_loss.LossRecord.read(checkpoints / LOSS)
    hand_on(task.dataset, task.out)
    cutoff_A = net.descriptor.cutoff_A
    if weights is None:
        facts, tuned = Facts(elements=tuple(data.elements), cutoff_A=cutoff_A, e0s_ev=data.e0s_ev), None
    else:
        energies = energies_of(task.out / "model.pt", net.type_map)
        facts = Facts(elements=tuple(net.type_map), cutoff_A=cutoff_A, e0s_ev=energies)
        tuned = TunedFrom(file=weights.name, sha256=settings.sha256, theory=settings.theory, head=settings.head)
    cost = task.cost(began, before_s, settings.steps * settings.batch_size)
    write_card(task.out, settings, data, Trained(["model.pt", *files], facts, cost, about_loss, tuned))
