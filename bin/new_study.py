#!/usr/bin/env python3
"""Write a commented study of a liquid to begin with, and say what it will cost."""

import sys

from ionmelt.study.new import main

if __name__ == "__main__":
    sys.exit(main())
