#!/usr/bin/env python3
"""Tell whether a task that failed did so for its model alone, and if so, end well: the model is then a row with its reason."""

import argparse
import sys
from pathlib import Path

from ionmelt.failure import judge

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--code", type=int, required=True, help="exit code of the task's script")
    parser.add_argument(
        "--out", type=Path, nargs="+", required=True, help="what it was to write: removed with its model"
    )
    parser.add_argument(
        "--errors", type=Path, nargs="+", required=True, help="files for the reason, one line a mistake"
    )
    args = parser.parse_args()
    sys.exit(judge(args.code, args.errors, args.out))
