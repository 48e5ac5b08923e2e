"""`python -m gpulab`."""

from .main import entry

entry()
