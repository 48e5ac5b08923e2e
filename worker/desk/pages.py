"""The pages: a folder, a file, the trash, and what could not be done."""

from collections.abc import Sequence
from html import escape

from worker.desk.exports import Export
from worker.desk.fetch import RUNNING, Fetch
from worker.desk.listing import SORTS, Entry, Listing, View
from worker.desk.look import form, icon, moment, note, size, text, way
from worker.desk.preview import Shown
from worker.desk.trash import Thrown

#: What is said after an action, by a word in the address: nobody can put words of their own there.
SAID = {
    "made": "The folder is made.",
    "moved": "It has been moved.",
    "deleted": 'It lies in the <a href="trash">trash</a> for seven days.',
    "restored": "It is back where it was.",
    "purged": "It is gone for ever.",
    "emptied": "The trash is empty.",
    "fetching": "It is being fetched. You can close this page: it goes on while your files are open.",
    "cancelled": "It is not fetched any more.",
    "sending": "It is being sent. You can close this page: it goes on while your files are open.",
    "unsent": "It is not sent any more. What is there already stays there.",
}
TITLES = {"name": "Name", "size": "Size", "changed": "Changed"}
EMPTY = '<div class="empty"><h2>Nothing here yet</h2><p>Drop files onto this page, choose Upload, or save something here in a lab.</p></div>'


def crumbs(path: str, *, last_is_link: bool = False) -> str:
    """The way from the workspace to here."""
    parts = [part for part in path.split("/") if part]
    links = ['<a href=".">Files</a>' if parts else "<span>Files</span>"]
    for count, part in enumerate(parts, 1):
        here = count == len(parts) and not last_is_link
        links.append(f"<span>{text(part)}</span>" if here else f'<a href="?path={way("/".join(parts[:count]))}">{text(part)}</a>')
    return f'<h1 class="crumbs">{" <i>/</i> ".join(links)}</h1>'


def folder(path: str, listing: Listing, view: View, *, said: str, under_way: Sequence[str], own: bool) -> str:
    """A folder: what can be done here, what is under way, what lies in it."""
    tools = _tools(path) if own else ""
    return (
        f'{note(SAID.get(said, ""))}<div class="top" id="here" data-path="{escape(way(path))}"><div>{crumbs(path)}</div>{tools}</div>'
        f'<div id="uploads" aria-live="polite"></div>{_under_way(under_way)}<div id="listing">{_listing(path, listing, view)}</div>'
        f"{_of_folder(path) if own and path else _packed(path)}"
    )


def _tools(path: str) -> str:
    naming = '<label>Name<input name="name" required maxlength="255" autocomplete="off"></label>'
    address = '<label>Address<input type="url" name="url" required placeholder="https://…" autocomplete="off"></label>'
    return (
        f'<div class="tools"><label class="btn primary" id="pick" hidden>{icon("upload")}Upload<input type="file" multiple hidden></label>'
        "<noscript><span class=dim>Uploads need JavaScript.</span></noscript>"
        f'<details><summary class="btn">{icon("plus")}New folder</summary>{form("mkdir", "Make it", {"path": path}, inner=naming, kind="primary")}</details>'
        f'<details><summary class="btn">{icon("world")}From a URL</summary><p class="dim">It is fetched in your own lab network, into this folder.</p>'
        f"{form('fetch', 'Fetch it', {'path': path}, inner=address, kind='primary')}</details></div>"
    )


def _under_way(lines: Sequence[str]) -> str:
    live = any(line.startswith(f'<div class="line {RUNNING}">') for line in lines)
    return f'<div id="fetches"{" data-live" if live else ""}>{"".join(lines)}</div>'


def export_line(one: Export) -> str:
    """A folder on its way to a store, or how that ended."""
    amount = f"{one.there} of {one.files} files, {size(min(one.sent, one.size))} of {size(one.size)}"
    spared = f", {one.spared} of them were there already" if one.spared else ""
    state = {"running": amount, "done": f"{one.there} files are there and were compared{spared}", "failed": text(one.words), "cancelled": "not sent further"}
    known = f'value="{min(one.sent, one.size)}" max="{one.size}"' if one.size else ""
    bar = f'<progress aria-label="How much is there" {known}></progress>' if one.state == RUNNING else ""
    acts = {"running": ("send not", "Cancel"), "failed": ("send again", "Try again"), "cancelled": ("send again", "Go on")}
    act = form(*acts[one.state], {"id": str(one.id)}) if one.state in acts else ""
    name = f"{text(one.folder) or 'Files'} → {text(one.place)}"
    return f'<div class="line {one.state}"><strong>{name}</strong><span class="dim">{state[one.state]}</span>{bar}{act}</div>'


def fetch_line(one: Fetch) -> str:
    """A file from the web on its way, or how that ended."""
    known = f'value="{one.got}" max="{one.size}"' if one.size else ""
    amount = f"{size(one.got)} of {size(one.size)}" if one.size else size(one.got)
    state = {"running": f"{amount}", "done": f"here, {size(one.got)}", "failed": text(one.words), "cancelled": "not fetched"}[one.state]
    bar = f'<progress aria-label="How much is here" {known}></progress>' if one.state == RUNNING else ""
    stop = form("cancel", "Cancel", {"id": str(one.id)}) if one.state == RUNNING else ""
    return f'<div class="line {one.state}"><strong>{text(one.name)}</strong><span class="dim">{state}</span>{bar}{stop}</div>'


def _listing(path: str, listing: Listing, view: View) -> str:
    hidden = ""
    if listing.hidden or view.hidden:
        words = "Leave hidden files out" if view.hidden else f"Show {listing.hidden} hidden"
        hidden = f'<a href="{_address(path, View(view.sort, view.down, not view.hidden))}">{words}</a>'
    foot = (
        f'<div class="foot"><span class="dim">{listing.total} {"thing" if listing.total == 1 else "things"}</span>{hidden}{_pager(path, listing, view)}</div>'
    )
    if not listing.entries:
        return EMPTY + foot
    heads = "".join(_head(path, view, sort) for sort in SORTS)
    rows = "".join(_row(path, one) for one in listing.entries)
    return f'<table><thead><tr>{heads}<th><span class="unseen">Actions</span></th></tr></thead><tbody>{rows}</tbody></table>{foot}'


def _head(path: str, view: View, sort: str) -> str:
    current = view.sort == sort
    down = not view.down if current else sort != "name"
    aria = f' aria-sort="{"descending" if view.down else "ascending"}"' if current else ""
    arrow = (" ↓" if view.down else " ↑") if current else ""
    return f'<th class="{sort}"{aria}><a href="{_address(path, View(sort, down, view.hidden))}">{TITLES[sort]}{arrow}</a></th>'


def _row(path: str, one: Entry) -> str:
    below = way(f"{path}/{one.name}" if path else one.name)
    address = {"folder": f"?path={below}", "file": f"view?path={below}"}.get(one.kind, f"view?path={below}")
    shown = "" if one.kind == "folder" else size(one.size) if one.kind == "file" else one.kind
    download = f'<a class="btn small" href="raw?path={below}" aria-label="Download {text(one.name)}">{icon("download")}</a>' if one.kind == "file" else ""
    return (
        f'<tr><td class="name"><a href="{address}">{icon(one.kind)}<span>{text(one.name)}</span></a></td><td class="size">{shown}</td>'
        f'<td class="changed">{moment(one.changed)}</td><td class="act">{download}</td></tr>'
    )


def _pager(path: str, listing: Listing, view: View) -> str:
    if listing.pages == 1:
        return ""
    links = [f"<span>Page {listing.page} of {listing.pages}</span>"]
    if listing.page > 1:
        links.insert(0, f'<a rel="prev" href="{_address(path, view, listing.page - 1)}">Earlier</a>')
    if listing.page < listing.pages:
        links.append(f'<a rel="next" href="{_address(path, view, listing.page + 1)}">Later</a>')
    return f'<nav class="pager" aria-label="Pages">{"".join(links)}</nav>'


def _address(path: str, view: View, number: int = 1) -> str:
    asked = {
        "path": way(path),
        "sort": view.sort,
        "down": "1" if view.down else "",
        "hidden": "1" if view.hidden else "",
        "page": str(number) if number > 1 else "",
    }
    return escape("?" + "&".join(f"{name}={value}" for name, value in asked.items() if value))


def _packed(path: str, more: str = "") -> str:
    links = "".join(f'<a class="btn" href="archive?kind={kind}&amp;path={way(path)}">{icon("download")}as {kind}</a>' for kind in ("zip", "tar"))
    return (
        f'<section class="card"><h2>This folder</h2><div class="tools"><span class="dim">Download all of it</span>{links}{_sending(path)}{more}</div></section>'
    )


def _sending(path: str) -> str:
    plain = (
        ("endpoint", "Address of the store (empty: Amazon)", 'type="url" placeholder="https://s3.example.edu"'),
        ("bucket", "Bucket", 'required maxlength="63"'),
        ("prefix", "Folder in it", f'maxlength="500" value="{text(path)}"'),
        ("region", "Region", 'maxlength="40" placeholder="us-east-1"'),
        ("key", "Access key", 'required maxlength="200"'),
        ("secret", "Secret key", 'required maxlength="200" type="password"'),
    )
    inner = "".join(f'<label>{words}<input name="{name}" autocomplete="off" spellcheck="false" {more}></label>' for name, words, more in plain)
    about = '<p class="dim">From your own lab network, and compared when it is there. The keys stay in memory until all is there or your files close.</p>'
    do = form("send", "Send it", {"path": path}, inner=inner, kind="primary")
    return f'<details><summary class="btn">{icon("upload")}Send to S3</summary>{about}{do}</details>'


def _of_folder(path: str) -> str:
    return _packed(path, _changing(path))


def _changing(path: str) -> str:
    parent, _, name = path.rpartition("/")
    fields = (
        f'<label>Name<input name="name" required maxlength="255" value="{text(name)}" autocomplete="off"></label>'
        f'<label>In folder<input name="to" value="{text(parent)}" placeholder="the workspace" autocomplete="off"></label>'
    )
    return f'<details><summary class="btn">Rename or move</summary>{form("move", "Do it", {"path": path}, inner=fields, kind="primary")}</details>' + form(
        "delete", "Delete", {"path": path}, kind="bad", mark="trash"
    )


def file(path: str, entry: Entry, shown: "Shown | None", *, own: bool) -> str:
    """One file: what it shows of itself, and what can be done with it."""
    about = f"{size(entry.size)} · changed {moment(entry.changed)}" if entry.kind == "file" else f"A {entry.kind}: it is not followed here. Open it in a lab."
    download = f'<a class="btn primary" href="raw?path={way(path)}">{icon("download")}Download</a>' if entry.kind == "file" else ""
    changing = _changing(path) if own else ""
    head = f'<div class="top"><div>{crumbs(path)}<p class="dim">{about}</p></div><div class="tools">{download}{changing}</div></div>'
    return head + (_shown(path, shown) if shown else "")


def _shown(path: str, shown: Shown) -> str:
    rest = '<p class="dim">This is the beginning only. Download it to see all.</p>' if shown.rest else ""
    if shown.kind == "image":
        return f'<div class="card picture"><img src="raw?inline=1&amp;path={way(path)}" alt="{text(path.rpartition("/")[2])}"></div>'
    if shown.kind == "notebook":
        return f'<iframe class="card notebook" sandbox title="The notebook, as it was saved" src="notebook?path={way(path)}"></iframe>'
    if shown.kind == "table" and shown.rows:
        head = "".join(f"<th>{text(cell)}</th>" for cell in shown.rows[0])
        rows = "".join("<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in shown.rows[1:])
        return f'<div class="card wide" tabindex="0"><table class="cells"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{rest}'
    if shown.kind in ("text", "table"):
        return f'<pre class="card wide" tabindex="0">{text(shown.text) or "(empty)"}</pre>{rest}'
    return '<div class="empty"><h2>No preview</h2><p>This kind of file is not shown here. Download it, or open it in a lab.</p></div>'


def trash(things: Sequence[Thrown], said: str) -> str:
    """What was deleted in the last seven days."""
    about = '<p class="dim">What you delete lies here for seven days and counts as yours until then.</p>'
    head = f'{note(SAID.get(said, ""))}<div class="top"><div><h1>Trash</h1>{about}</div>'
    if not things:
        words = "What you delete on the page of a file or a folder waits here for a change of mind."
        return f'{head}</div><div class="empty"><h2>The trash is empty</h2><p>{words}</p></div>'
    rows = "".join(
        f'<tr><td class="name"><span>{text(one.path)}</span></td><td class="changed">until {moment(one.until)}</td><td class="act">'
        f'{form("restore", "Restore", {"id": one.id}, mark="back")}<a class="btn small bad" href="ask?id={one.id}">Delete for ever</a></td></tr>'
        for one in things
    )
    empty = f'<div class="tools"><a class="btn bad" href="ask">{icon("trash")}Empty the trash</a></div></div>'
    return f'{head}{empty}<table class="thrown"><tbody>{rows}</tbody></table>'


def ask(words: str, key: str) -> str:
    """A question before something is lost."""
    do = form("purge", "Delete for ever", {"id": key}, kind="bad") if key else form("empty", "Delete all of it for ever", {}, kind="bad")
    tools = f'<div class="tools">{do}<a class="btn" href="trash">Keep it</a></div>'
    return f'<section class="card ask"><h1>Delete for ever?</h1><p>{text(words)} Nobody can bring it back.</p>{tools}</section>'


def wrong(words: str, back: str) -> str:
    """What could not be done."""
    tools = f'<div class="tools"><a class="btn primary" href="{escape(back)}">Go back</a></div>'
    return f'<section class="card ask"><h1>That did not work</h1><p>{text(words)}</p>{tools}</section>'
