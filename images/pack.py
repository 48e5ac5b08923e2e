"""Tell what was installed in a folder, and nothing else: a tar on stdout, words on stderr. Plain Python, run in a lab by its user.

    python3 -I pack.py FOLDER MOST_BYTES WITHIN_S

Installed is what a package's own list of files (RECORD) names, below the folder. What lies there besides, such as a token that somebody kept
there, is not told. The first line of stderr is {"bytes": …, "packages": …, "purelib": …, "left_out": […]}; then come words, if it fails.
"""

import importlib.metadata as metadata
import json
import os
import signal
import site
import stat
import sys
import tarfile

#: Names under which secrets are kept; no package needs such a file of ours.
SECRET = {".netrc", ".git-credentials", ".pypirc", ".env", ".npmrc", "pip.conf", "credentials.json", "id_rsa", "id_ed25519", "id_ecdsa", "kaggle.json"}
FOLDERS = {".git", ".ssh", ".aws", ".ipynb_checkpoints", ".huggingface"}
EMPTY, TOO_LARGE = 3, 4


def installed(folder):
    """Path below the folder -> size, of all that packages list; and the names of those that are only linked from elsewhere."""
    found, linked, packages = {}, [], 0
    root = os.path.realpath(folder)
    for place in sites(root):
        for one in metadata.distributions(path=[place]):
            packages += 1
            if is_linked(one):
                linked.append(one.metadata["Name"] or "?")
            for listed in one.files or ():
                path = os.path.normpath(os.path.join(place, str(listed)))
                below = os.path.relpath(path, root)
                if is_told(path, below, root, one):
                    found[below] = os.lstat(path).st_size
    return found, linked, packages


def sites(root):
    """The folders of packages: one for each Python that installed here."""
    library = os.path.join(root, "lib")
    names = sorted(os.listdir(library)) if os.path.isdir(library) else []
    places = [os.path.join(library, name, "site-packages") for name in names if name.startswith("python3")]
    return [place for place in places if os.path.isdir(place)]


def is_linked(one):
    """Was it installed as a link to a folder (pip install -e)? Then its files are the workspace's, not its own."""
    said = one.read_text("direct_url.json")
    return bool(said) and bool(json.loads(said).get("dir_info", {}).get("editable"))


def is_told(path, below, root, one):
    """A plain file below the folder, not by way of a link out of it, that no secret is kept in by its name."""
    parts = below.split(os.sep)
    if parts[0] == ".." or parts[-1] in SECRET or FOLDERS & set(parts):
        return False
    if os.path.realpath(os.path.dirname(path)) != os.path.dirname(path) or not path.startswith(root + os.sep):
        return False
    if parts[-1] == "direct_url.json" and "@" in (one.read_text("direct_url.json") or "").partition("://")[2].partition("/")[0]:
        return False
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def purelib():
    """Where the image's own packages are."""
    return next((place for place in site.getsitepackages() if place in sys.path and os.path.isdir(place)), "")


def main():
    """Say what comes, then let it come."""
    folder, most, within = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    signal.alarm(within)
    found, linked, packages = installed(folder)
    total = sum(found.values())
    print(json.dumps({"bytes": total, "packages": packages, "purelib": purelib(), "left_out": sorted(linked)}), file=sys.stderr, flush=True)
    if not found:
        sys.exit(EMPTY)
    if total > most:
        sys.exit(TOO_LARGE)
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", bufsize=256 * 1024) as archive:
        for below in sorted(found):
            descriptor = os.open(os.path.join(folder, below), os.O_RDONLY | os.O_NOFOLLOW)
            with os.fdopen(descriptor, "rb") as content:
                about = archive.gettarinfo(arcname=below, fileobj=content)
                archive.addfile(about, content)


if __name__ == "__main__":
    main()
