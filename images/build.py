"""Install a list of packages into a folder, saying what pip says. Plain Python, run in a lab by its user, within the lab's limits.

    python3 -I build.py FOLDER MOST_BYTES WITHIN_S REQUIREMENTS

Ends with pip's own exit code, or 4 when the packages are larger than they may be, 5 when the time is up.
"""

import os
import shutil
import subprocess
import sys
import threading
import time

TOO_LARGE, TOO_LONG = 4, 5
LOOK_S = 3


def size_of(folder):
    """Bytes in it now."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def watch(running, folder, most, until, why):
    """End it when it grows too large or takes too long."""
    while running.poll() is None:
        if size_of(folder) > 2 * most:
            why.append(TOO_LARGE)
        elif time.monotonic() > until:
            why.append(TOO_LONG)
        if why:
            running.kill()
            return
        time.sleep(LOOK_S)


def main():
    """Install, and leave nothing of a try that failed."""
    folder, most, within, text = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    shutil.rmtree(folder, ignore_errors=True)
    temporary = os.path.join(folder, "tmp")
    os.makedirs(temporary)
    listed = os.path.join(temporary, "requirements.txt")
    with open(listed, "w", encoding="utf-8") as file:
        file.write(text)
    environment = dict(os.environ, PYTHONUSERBASE=folder, TMPDIR=temporary, HOME="/workspace", PIP_NO_CACHE_DIR="1", PIP_NO_INPUT="1", PYTHONUNBUFFERED="1")
    command = [sys.executable, "-m", "pip", "install", "--user", "--no-warn-script-location", "--progress-bar", "off", "-r", listed]
    why = []
    running = subprocess.Popen(command, env=environment, cwd="/workspace", stdin=subprocess.DEVNULL, stdout=sys.stdout, stderr=subprocess.STDOUT)
    watcher = threading.Thread(target=watch, args=(running, folder, most, time.monotonic() + within, why), daemon=True)
    watcher.start()
    code = running.wait()
    watcher.join(2 * LOOK_S)
    shutil.rmtree(temporary, ignore_errors=True)
    if why or code:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(why[0] if why else code)


if __name__ == "__main__":
    main()
