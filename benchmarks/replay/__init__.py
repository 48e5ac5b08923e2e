"""The replay of a trace through the scheduler and its peers: `python -m benchmarks.scheduling`."""
