"""The Docker runtime: labs as hardened containers. Only this package imports the `docker` SDK."""
