"""What a person sees when the lab itself cannot answer: whole pages in themselves, for there is no portal cookie here."""

import base64
import hashlib
from dataclasses import dataclass
from html import escape

from aiohttp import web

from labs.lifecycle import states
from labs.lifecycle.routes import Route
from worker.relay.gate import wants_page

STYLE = (
    ":root{color-scheme:light dark;--ink:#182433;--dim:#667382;--paper:#f6f8fb;--card:#fff;--line:#dadfe5;--accent:#066fd1}"
    "@media(prefers-color-scheme:dark){:root{--ink:#dce1e7;--dim:#9aa5b1;--paper:#111827;--card:#182433;--line:#25384f;--accent:#5aa9f0}}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--paper);color:var(--ink);"
    "font:16px/1.5 Inter,system-ui,sans-serif}"
    "main{box-sizing:border-box;width:min(28rem,calc(100% - 2rem));padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:8px}"
    "h1{margin:0 0 .5rem;font-size:1.25rem}p{margin:0 0 1rem;color:var(--dim)}a{color:var(--accent)}p:last-child{margin:0}"
    ".bar{height:4px;margin:0 0 1.25rem;border-radius:2px;background:var(--line);overflow:hidden}"
    ".bar i{display:block;width:40%;height:100%;background:var(--accent);animation:run 1.4s ease-in-out infinite alternate}"
    "@keyframes run{to{margin-left:60%}}@media(prefers-reduced-motion:reduce){.bar i{animation:none}}"
)
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
#: Seconds after which a page that follows a lab asks again.
FOLLOW_S = 2


@dataclass(frozen=True, slots=True)
class Notice:
    """A page: what is, what to do, and whether it is worth asking again by itself."""

    status: int
    title: str
    words: str
    follow: bool = False


NO_ENTRY = Notice(
    403,
    "Open this lab from its page",
    "Labs are entered from the portal, so that only their owner gets in. Your visit may simply have ended: open it again there.",
)
TICKET_USED = Notice(403, "This link was used already", "It works once, for a minute. Open the lab again from its page.")
ENDED = Notice(410, "This lab has ended", "Your files are kept. Its page says what happened and starts it again.")
NO_ANSWER = Notice(502, "The lab does not answer", "Its Jupyter may be busy or starting anew. This page keeps trying.", follow=True)
LEADS_OUT = Notice(502, "The lab leads somewhere else", "It answered with a link to another site, which is not followed from here.")
UNKNOWN = Notice(503, "Labs cannot be reached for a moment", "The way to the labs is being looked up. This page keeps trying.", follow=True)
NODE_AWAY = Notice(502, "The lab's machine cannot be reached", "The lab itself may well go on. This page keeps trying.", follow=True)
NOT_FROM_HERE = Notice(403, "Labs are not open to this network", "Ask for the campus network or its VPN, and try again.")
NOWHERE = Notice(404, "There is nothing here", "Labs are opened from the portal.")
WAITING = {
    states.QUEUED: Notice(503, "The lab is waiting for its turn", "It starts by itself, and this page opens it then.", follow=True),
    states.OFFERED: Notice(503, "The lab is held for you", "Its turn has come: take it on its page within ten minutes, and it starts.", follow=True),
    states.STARTING: Notice(503, "The lab is starting", "This page opens it as soon as Jupyter answers.", follow=True),
    states.RUNNING: Notice(503, "The lab is starting", "This page opens it as soon as Jupyter answers.", follow=True),
    states.STOPPING: Notice(503, "The lab is stopping", "Your files are kept. This page says when it has ended.", follow=True),
}


#: The same of a file page, in its own words.
DESKS = {
    states.STARTING: Notice(503, "Your files are being opened", "This page shows them in a moment.", follow=True),
    states.RUNNING: Notice(503, "Your files are being opened", "This page shows them in a moment.", follow=True),
}
DESK_CLOSED = Notice(410, "Your files were closed", "Nobody used this page for a while. Open it again from the portal: uploads go on where they were.")
DESK_SILENT = Notice(502, "Your files do not answer", "The page may be starting anew. It keeps trying.", follow=True)


def no_app(port: int) -> Notice:
    """Nobody listens at that port of the lab."""
    words = f"Start your program in the lab and let it listen on 0.0.0.0, port {port} (not on 127.0.0.1). This page opens it then."
    return Notice(502, f"Nothing answers on port {port}", words, follow=True)


def waiting(route: Route) -> Notice:
    """The page that follows a lab which does not answer yet, or any more."""
    return DESKS.get(route.state, DESK_CLOSED) if route.files else WAITING.get(route.state, ENDED)


def answer(request: web.BaseRequest, notice: Notice, *, portal: str, lab_id: str = "") -> web.Response:
    """The notice as a page for a person, as JSON in Jupyter's manner for a program."""
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
    if notice.follow:
        headers["Retry-After"] = str(FOLLOW_S)
    if not wants_page(request):
        return web.json_response({"message": f"{notice.title}. {notice.words}", "reason": None}, status=notice.status, headers=headers)
    headers["Content-Security-Policy"] = POLICY
    link = f"{portal}/labs/{lab_id}/" if lab_id else portal
    return web.Response(text=_html(notice, link), content_type="text/html", charset="utf-8", status=notice.status, headers=headers)


def _html(notice: Notice, link: str) -> str:
    refresh = f'<meta http-equiv="refresh" content="{FOLLOW_S}">' if notice.follow else ""
    bar = '<div class="bar"><i></i></div>' if notice.follow else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">{refresh}'
        f"<title>{escape(notice.title)}</title><style>{STYLE}</style></head><body><main><h1>{escape(notice.title)}</h1>"
        f'<p>{escape(notice.words)}</p>{bar}<p><a href="{escape(link)}">Go to the portal</a></p></main></body></html>'
    )
