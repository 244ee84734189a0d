"""What a study gives and nothing of it uses: a number that was set for a reason, and changes nothing, is said."""

from collections.abc import Callable
from typing import Any

from ionmelt.dynamics.engines import ENGINES, PLAIN
from ionmelt.measure.observables import NAMED
from ionmelt.mistakes import listed
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.settings import LearnedModel
from ionmelt.study.keys import sets_of
from ionmelt.study.schema import Study

Add = Callable[[tuple[Any, ...], str], None]  # a field and what is said of it
# What weights bring with them, by framework.
OF_THE_NET = {
    "mace": (
        "channels", "max_L", "r_max_A", "interactions", "max_ell", "correlation", "radial_bases", "radial_neurons", "cutoff_power",
        "readout_channels",
    ),
    "deepmd": (
        "descriptor", "rcut_A", "rcut_smth_A", "neurons", "attention_layers", "layers", "node_width", "edge_width", "angle_width",
        "angle_rcut_A", "axis_neurons", "type_one_side", "resnet_dt", "fitting_resnet_dt", "precision", "fitting_neurons",
    ),
}  # fmt: skip
OF_A_RUN = {"mode", "framework", "dtype"}  # what a model that is used as it is may give beside what all may


def warn_of_idle(study: Study, add: Add) -> None:
    """Say which settings of a study nothing uses."""
    warn_of_trainings(study, add)
    warn_of_nets(study, add)
    warn_of_runs(study, add)


def warn_of_trainings(study: Study, add: Add) -> None:
    """Say what is of trainings where there are none, and which dataset no model is trained on."""
    if not any(model.is_trained for model in study.models):
        if study.datasets:
            add(("datasets",), "are not used: no model is trained; without them every labelled frame is one to test on")
        for name in ("training", "sizes"):
            if getattr(study, name):
                add((name,), "is not used: no model is trained")
        if len(study.seeds) > 1:
            add(("seeds",), "are not used: no model is trained; independent boxes are md.replicas")
        return
    mixtures = {chosen.mixture for model in study.models if model.is_trained for chosen in sets_of(study, model)}
    for name in study.datasets:
        if name not in mixtures:
            add(("datasets", name), "is not used: no model is trained on it")


def warn_of_nets(study: Study, add: Add) -> None:
    """Say what a model gives that its weights bring with them, or that is of a training it does not have."""
    for index, model in enumerate(study.models):
        if not isinstance(model, LearnedModel) or model.weights is None:
            continue
        given = [name for name in type(model).model_fields if name in model.model_fields_set]
        net = [name for name in given if name in OF_THE_NET.get(model.framework, ())]
        if net:
            text = f"{listed(net)}: the weights bring their own; only the estimate of the cost takes what is given"
            add(("models", index), text)
        of_training = set(type(model).model_fields) - set(LearnedModel.model_fields) - OF_A_RUN
        idle = [name for name in given if name in of_training and name not in net]
        if idle and not model.is_trained:
            add(("models", index), f"{listed(idle)}: not used: a zero-shot model is not trained")


def warn_of_runs(study: Study, add: Add) -> None:
    """Say what is of runs that no model has, and margins of what no run measures."""
    md = study.md
    if md.truth_times > 1 and not any(map(study.runs, study.truths)):
        text = f"{md.truth_times:g}: is not used: no model that runs is the method of the labels itself"
        add(("md", "truth_times"), text)
    of_engine = {row.framework for row in ENGINES if row.name == md.engine}
    running = {model.framework for model in study.models if study.runs(model.id)}
    if md.engine not in ("auto", PLAIN) and not of_engine & running:
        frameworks = listed([name for name in FRAMEWORKS if name in of_engine])
        add(("md", "engine"), f"{md.engine}: is not used: it is for {frameworks}, and no such model runs")
    for name, observable in NAMED.items() if study.margins and not md.nvt_ps else ():
        if observable.phase == "nvt" and dict(study.margins or {}).get(f"{name}_percent") is not None:
            add(("margins", f"{name}_percent"), "is not used: md.nvt_ps is 0, and it is measured at constant volume")
