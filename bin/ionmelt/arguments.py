"""The command line of a script: what several scripts take is described once."""

import argparse
from pathlib import Path
from typing import Any

SHARED: dict[str, dict[str, Any]] = {
    "--id": {"required": True, "help": "key of the task"},
    "--settings": {"type": Path, "required": True, "help": "settings of the task: a JSON file of the plan"},
    "--model": {"type": Path, "required": True, "help": "model folder"},
    "--out": {"type": Path, "required": True, "help": "folder to write"},
    "--threads": {"type": int, "default": 1, "help": "CPU threads (default: %(default)s)"},
    "--device": {"choices": ("auto", "cuda"), "default": "auto", "help": "cuda: refuse the CPU (default: %(default)s)"},
    "--checkpoints": {
        "type": Path,
        "help": "a file of the folder that keeps checkpoints of what was killed, or that folder (default: none is kept)",
    },
    "--code": {
        "default": "",
        "help": "digest of the code: what another code began is not gone on with (default: whatever it was)",
    },
    "--errors": {"type": Path, "nargs": "*", "default": [], "help": "files for why the model cannot be used"},
}


def command_line(about: str | None, *names: str) -> argparse.ArgumentParser:
    """Return the parser of a script, whose help is the docstring `about`, with these of the shared arguments."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in names:
        parser.add_argument(name, **SHARED[name])
    return parser
