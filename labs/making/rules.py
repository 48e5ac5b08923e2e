"""What people hand in to have an image made of it: a list of requirements, an environment.yml. Pure."""

import re
from dataclasses import dataclass

import yaml

#: Characters of a text that is handed in: it travels to the lab as one argument.
MOST_TEXT = 60_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,59}\Z")
#: Packages of an environment.yml that the image brings itself.
OURS = ("python", "pip", "setuptools", "wheel")
#: A name with a password in an address, or before a host of the web a name alone, which is a token then (`https://ghp_…@github.com`).
_SECRET = re.compile(r"://[^/\s:@]+:[^/\s@]+@|https?://[^/\s@]+@", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asked:
    """The requirements for pip; `words` say why there are none."""

    requirements: str = ""
    words: str = ""


def name_wrong(name: str) -> str:
    """Why it cannot be an image's name, in words; empty when it can."""
    return "" if _NAME.match(name) else "A name has 1 to 60 letters, digits, spaces and . _ + -, and begins with a letter or digit."


def text_wrong(text: str) -> str:
    """Why it cannot be handed in, in words: empty, too long, or with a password in it."""
    if not any(_is_asked(line) for line in text.splitlines()):
        return "There is no package in it."
    if len(text.encode()) > MOST_TEXT:
        return f"It has more than {MOST_TEXT // 1000} kB."
    if "\0" in text:
        return "It is not a text."
    if _SECRET.search(text):
        return (
            "There is a password or a token in an address in it. "
            "Put it into ~/.config/pip/pip.conf or ~/.netrc of your workspace: it is used there, and stays there."
        )
    return ""


def _is_asked(line: str) -> bool:
    line = line.strip()
    return bool(line) and not line.startswith(("#", "--"))


def from_environment(text: str) -> Asked:
    """The pip section of an environment.yml. Packages of conda itself are refused by name: conda is not in the images."""
    try:
        told = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return Asked(words=f"This is no YAML: {str(error).splitlines()[0]}.")
    listed = told.get("dependencies") if isinstance(told, dict) else None
    if not isinstance(listed, list):
        return Asked(words="There is no list of dependencies in it.")
    conda = [str(one) for one in listed if not isinstance(one, dict) and not _is_ours(str(one))]
    if conda:
        return Asked(
            words=f"Conda is not in the images, so these packages cannot be had from it: {', '.join(conda)}. Write them below `- pip:`, by their names on PyPI."
        )
    pip = [str(line) for one in listed if isinstance(one, dict) for line in one.get("pip") or ()]
    return Asked("\n".join(pip) + "\n") if pip else Asked(words="There is no package below `- pip:` in it.")


def _is_ours(asked: str) -> bool:
    return re.split(r"[\s=<>!~:]", asked.rpartition("::")[2], maxsplit=1)[0].lower() in OURS
