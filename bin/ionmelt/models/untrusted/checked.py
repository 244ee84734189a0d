"""What is noted of a file of weights while it is gone through."""

from dataclasses import dataclass, field


@dataclass
class Checked:
    """What was found in a file that has to be asked of PyTorch yet."""

    script: bool = False  # TorchScript as a whole, no pickle
    globals: set[str] = field(default_factory=set)  # that a pickle names
    attributes: set[str] = field(default_factory=set)  # that TorchScript asks objects for: no operators of torch
    refused: list[str] = field(default_factory=list)  # that a pickle names or calls, and no model needs
    top: str = ""  # what a pickle holds: the name of the class
