"""What the image's Jupyter is started by: what a start does not use is loaded at its first use."""

import subprocess
import sys
from pathlib import Path

START = Path(__file__).parents[2] / "images" / "pytorch-cuda" / "bin" / "start-jupyterlab.py"
LABAPP = """
import gc
import requests
print("imported", gc.isenabled())
def main():
    print("started", gc.isenabled())
    print(requests.SAID)
    import arrow
    return 3
"""


def test_a_client_that_a_start_does_not_use_is_loaded_at_its_first_use(tmp_path: Path) -> None:
    texts = {"jupyterlab/__init__": "", "jupyterlab/labapp": LABAPP, "requests": "print('loaded')\nSAID = 'used'\n", "arrow": "print('at once')\n"}
    (tmp_path / "jupyterlab").mkdir()
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    ran = subprocess.run([sys.executable, "-s", START], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.splitlines() == ["imported False", "started True", "loaded", "used", "at once"], ran.stderr
    assert ran.returncode == 3
