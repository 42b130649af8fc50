"""The front door: ``python train.py backbone=NAME head=NAME``; ``--help`` tells the rest."""

import sys

from collision.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
