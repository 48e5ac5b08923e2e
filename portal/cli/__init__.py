"""The `gpulab` command: a program of its own that speaks to the API by HTTP and imports nothing of the house."""

__version__ = "0.1.0"
