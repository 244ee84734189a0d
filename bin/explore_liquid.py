#!/usr/bin/env python3
"""Walk through a liquid with a committee of models, and keep the frames on which its members disagree."""

import sys

from ionmelt.frames.exploration import main

if __name__ == "__main__":
    sys.exit(main())
