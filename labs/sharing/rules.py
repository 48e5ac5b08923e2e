"""What may be started in a lab besides Jupyter, and where. Pure."""

import unicodedata
from dataclasses import dataclass

#: How long an app may be shared at once, in hours, with its words.
SPANS = ((1, "1 hour"), (8, "8 hours"), (24, "1 day"), (24 * 7, "7 days"), (24 * 30, "30 days"))
MOST_HOURS = SPANS[-1][0]
FOLDER_MOST = 200


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that the house starts in a lab on demand."""

    code: str
    title: str
    folder_words: str
    missing: str  # told when the lab's image does not have it


TOOLS = {
    tool.code: tool
    for tool in (
        Tool("tensorboard", "TensorBoard", "The folder with your runs", "This image has no TensorBoard. Install it in a terminal: pip install tensorboard"),
        Tool(
            "vscode",
            "VS Code",
            "The folder to open",
            "This image has no VS Code for the browser (code-server or openvscode-server). Use VS Code on your computer with the SSH command, "
            "or ask for an image that has it.",
        ),
    )
}


def folder_wrong(folder: str) -> str:
    """Why this cannot be a folder of a workspace, in words; empty when it can. Whether it exists is for the lab to say."""
    if folder.startswith("/"):
        return "Name the folder as you see it in JupyterLab's file list, without /workspace before it."
    if len(folder) > FOLDER_MOST:
        return f"A folder's path here has at most {FOLDER_MOST} characters."
    if ".." in folder.split("/"):
        return "A path with .. leads out of the workspace."
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in folder):
        return "A folder's path has no line breaks or control characters."
    return ""
