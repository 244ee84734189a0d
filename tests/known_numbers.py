"""The numbers of a made-up study, and which of its runs went wrong."""

T = 430.0
DENSITY = {"pyr14bf4": 1070.0, "pyr14tfsi": 1300.0}  # the references
OFFSET = {
    ("mace", "both"): 2.0,
    ("mace", "eq"): -45.0,
    ("dpmd", "both"): 150.0,
    ("dpmd", "eq"): 120.0,
    ("clp", None): -20.0,
}
FRAMEWORKS = {"mace": "mace", "dpmd": "deepmd"}  # of the trained models
DATASETS = ["eq", "both"]  # of frames, that the models are trained on
SPEED = {"mace": 1.0, "dpmd": 0.4, "clp": 0.3}  # of the ions in a model, relative to the first
FORCE = {("mace", "both"): 0.045, ("mace", "eq"): 0.050, ("dpmd", "both"): 0.120, ("dpmd", "eq"): 0.125}
IONS = {"pyr14bf4": ("pyr14", "bf4"), "pyr14tfsi": ("pyr14", "tfsi")}
BROKEN = "pyr14bf4-430K-r1-dpmd-eq-s1"
MISSING = "pyr14bf4-430K-r2-dpmd-eq-s2"
UNCONVERGED = "pyr14bf4-430K-r1-mace-eq-s3"
UNEQUILIBRATED = ("pyr14tfsi", 1)
