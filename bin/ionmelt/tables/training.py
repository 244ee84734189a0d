"""The course of a training."""

from ionmelt.tables.columns import MODEL, REAL, TEXT, WHOLE, Schema

# As the training writes it, and with what the plan knows of the model
CURVE: Schema = {"model_key": TEXT, "step": WHOLE, "set": TEXT, "quantity": TEXT, "value": REAL, "unit": TEXT}
CURVES: Schema = {"model_key": TEXT, **MODEL, "framework": TEXT, **CURVE}
