#!/usr/bin/env python3
"""PLAN_STUDY: read a study file, refuse every mistake at once, and write one small file of settings a task."""

import sys

from ionmelt.study.plan import main

if __name__ == "__main__":
    sys.exit(main())
