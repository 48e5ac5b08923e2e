"""How the file page writes HTML: everything that is not ours is escaped in one place."""

import os
import time
from html import escape
from urllib.parse import quote

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
ICONS = {
    "folder": "M5 4h4l3 3h7a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2",
    "file": "M14 3v4a1 1 0 0 0 1 1h4M17 21H7a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2h7l5 5v11a2 2 0 0 1-2 2",
    "link": "M9 15l6-6M11 6l.5-.5a5 5 0 0 1 7 7l-.5.5M13 18l-.4.5a5 5 0 0 1-7-7l.4-.5",
    "other": "M12 12m-9 0a9 9 0 1 0 18 0a9 9 0 1 0-18 0",
    "download": "M4 17v2a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-2M7 11l5 5 5-5M12 4v12",
    "upload": "M4 17v2a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-2M7 9l5-5 5 5M12 4v12",
    "plus": "M12 5v14M5 12h14",
    "world": "M3 12a9 9 0 1 0 18 0a9 9 0 1 0-18 0M3.6 9h16.8M3.6 15h16.8M11.5 3a17 17 0 0 0 0 18M12.5 3a17 17 0 0 1 0 18",
    "trash": "M4 7h16M10 11v6M14 11v6M5 7l1 12a2 2 0 0 0 2 2h8a2 2 0 0 0 2-2l1-12M9 7V4a1 1 0 0 1 1-1h4a1 1 0 0 1 1 1v3",
    "back": "M9 14l-4-4 4-4M5 10h11a4 4 0 1 1 0 8h-1",
}


def icon(name: str) -> str:
    """An outline that says nothing to a screen reader."""
    return f'<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="{ICONS[name]}"/></svg>'


def text(value: str) -> str:
    """Somebody's words or a file's name, for a page; bytes that are no letters become marks."""
    return escape(os.fsencode(value).decode("utf-8", "replace"))


def way(path: str) -> str:
    """A path in an address: the very bytes of its names."""
    return quote(os.fsencode(path), safe="/")


def size(count: float) -> str:
    """Bytes in the unit that a person reads."""
    for unit in UNITS:
        if count < 1024 or unit == UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return ""


def moment(seconds: float) -> str:
    """A moment; the browser writes it in its own time."""
    at = time.gmtime(min(max(seconds, 0), 253402300799))
    return f'<time datetime="{time.strftime("%Y-%m-%dT%H:%M:%SZ", at)}">{time.strftime("%Y-%m-%d %H:%M", at)} UTC</time>'


def form(act: str, words: str, fields: "dict[str, str]", *, inner: str = "", kind: str = "plain", mark: str = "") -> str:
    """A form of one action: hidden fields, what a person fills in, and its button."""
    given = {"do": act, **{name: value for name, value in fields.items() if name != "path"}}
    if "path" in fields:
        given["way"] = way(fields["path"])  # a form writes letters, and a name may be bytes that are none
    hidden = "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in given.items())
    return f'<form method="post" action="act">{hidden}{inner}<button class="btn {kind}" type="submit">{icon(mark) if mark else ""}{words}</button></form>'


def page(title: str, body: str, *, portal: str, node: str) -> bytes:
    """A whole page."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        '<link rel="icon" href="static/icon.svg">'
        f'<meta name="color-scheme" content="light dark"><title>{text(title)} · GPU Lab</title><link rel="stylesheet" href="static/files.css">'
        '<script src="static/vendor/tus/tus.min.js" defer></script><script src="static/files.js" defer></script></head><body>'
        f'<header><a class="brand" href="{escape(portal)}/">GPU Lab</a><nav><a href=".">Files</a><a href="trash">Trash</a>'
        f'<a href="{escape(portal)}/files/">Back to the portal</a></nav><span class="dim node">on {text(node)}</span></header><main>{body}</main></body></html>'
    ).encode()


def note(words: str, kind: str = "good") -> str:
    """A line above a page."""
    return f'<p class="note {kind}" role="status">{words}</p>' if words else ""
