"""`python -m gpulab`."""

from .entry import entry

entry()
