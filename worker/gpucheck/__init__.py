"""What an administrator runs on a host with a new NVIDIA card: does all that GPU Lab builds on hold here? No engine, no house, no record."""
