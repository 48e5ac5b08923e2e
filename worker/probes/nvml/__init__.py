"""The cards as the NVIDIA driver sees them, by nvidia-ml-py."""
