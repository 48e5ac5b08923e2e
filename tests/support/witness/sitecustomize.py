"""Python reads this at every start while its folder is on PYTHONPATH: in a run of all tests each process of every house is watched by it.

Nothing happens where WITNESS_FOLDER names no folder.
"""

import os

if os.environ.get("WITNESS_FOLDER"):
    import witness

    witness.begin()
