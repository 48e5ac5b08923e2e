"""Small pieces of the pages' look: icons, badges, sizes, times."""

from datetime import datetime

from django import forms, template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from labs.lifecycle.models import Lab
from labs.lifecycle.states import OFFERED
from labs.people.models import User

register = template.Library()

#: State -> (class, icon). The word comes from the state table, so a state is told by colour, word and icon.
LAB_STATES = {
    "queued": ("wait", "hourglass"),
    "offered": ("busy", "clock"),
    "starting": ("busy", "loader-2"),
    "running": ("good", "circle-check"),
    "stopping": ("busy", "loader-2"),
    "stopped": ("quiet", "player-stop"),
    "failed": ("bad", "alert-circle"),
    "done": ("good", "circle-check"),
}
OTHER_STATES = {
    "ready": ("good", "circle-check"),
    "cordoned": ("wait", "player-pause"),
    "draining": ("wait", "hourglass"),
    "unknown": ("bad", "wifi-off"),
    "gone": ("quiet", "x"),
    "green": ("good", "circle-check"),
    "yellow": ("wait", "alert-triangle"),
    "red": ("bad", "circle-x"),
    "ok": ("good", "circle-check"),
    "drained": ("quiet", "player-pause"),
    "held": ("wait", "player-pause"),
    "retired": ("bad", "alert-triangle"),
    "present": ("good", "circle-check"),
    "pulling": ("busy", "loader-2"),
    "absent": ("quiet", "circle-dashed"),
    "now": ("good", "circle-check"),
    "later": ("wait", "hourglass"),
    "never": ("bad", "circle-x"),
    "open": ("wait", "hourglass"),
    "sent": ("good", "circle-check"),
    "waiting": ("wait", "hourglass"),
    "granted": ("good", "circle-check"),
    "declined": ("bad", "circle-x"),
    "withdrawn": ("quiet", "x"),
}


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """An icon of the sprite. Without a label it is decoration and hidden from screen readers."""
    sprite = static("vendor/icons/icons.svg")
    if label:
        return format_html('<svg class="icon" role="img" aria-label="{}"><use href="{}#{}"></use></svg>', label, sprite, name)
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', sprite, name)


@register.simple_tag
def state(code: str, words: str) -> SafeString:
    """A state as a badge: colour, icon and word."""
    tone, name = LAB_STATES.get(code) or OTHER_STATES.get(code, ("quiet", "circle-dot"))
    spin = " spin" if name == "loader-2" else ""
    return format_html('<span class="state state-{}{}">{}<span>{}</span></span>', tone, spin, icon(name), words)


#: Widget -> Tabler's class; the most specific entry of a widget's ancestry wins.
CONTROLS: dict[type[forms.Widget], str] = {
    forms.CheckboxInput: "form-check-input",
    forms.RadioSelect: "",
    forms.Select: "form-select",
    forms.Textarea: "form-control",
    forms.widgets.Input: "form-control",
}


@register.filter
def control(field: forms.BoundField) -> SafeString:
    """A form's field with Tabler's class; it names its help and its error to a screen reader."""
    css = next((CONTROLS[kind] for kind in type(field.field.widget).__mro__ if kind in CONTROLS), "")
    described = [f"{field.auto_id}_helptext"] if field.help_text else []
    described += [f"{field.auto_id}_error"] if field.errors else []
    return field.as_widget(attrs={"class": css, "aria-describedby": " ".join(described)} if described else {"class": css})


@register.filter
def gib(mib: int | None) -> str:
    """MiB as GiB in words, such as `32 GiB` or `1.5 GiB`; below one GiB in MiB."""
    if mib is None:
        return "–"
    if mib < 1024:
        return f"{mib} MiB"
    return f"{mib / 1024:.1f}".removesuffix(".0") + " GiB"


@register.filter
def size(count: int | None) -> str:
    """Bytes in the largest binary unit of which there is one, such as `297.5 MiB`."""
    left, units = float(count or 0), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while left >= 1024 and len(units) > 1:
        left, units = left / 1024, units[1:]
    return f"{left:.1f}".removesuffix(".0") + f" {units[0]}"


@register.filter
def reading(value: float | None, unit: str) -> str:
    """A measured number with its unit; a dash where nothing was measured."""
    return "–" if value is None or value == "" else f"{value:.0f}{unit}"


#: Words of a user agent, the telling ones first: every Chrome also calls itself Safari.
BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"), ("curl", "curl"))
SYSTEMS = (("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "macOS"), ("Linux", "Linux"))


@register.filter
def browser(user_agent: str) -> str:
    """`Firefox on Linux`; good enough to tell one's own browsers apart."""
    name = next((words for mark, words in BROWSERS if mark in user_agent), "A browser")
    system = next((words for mark, words in SYSTEMS if mark in user_agent), "")
    return f"{name} on {system}" if system else name


@register.filter
def gpus(count: int) -> str:
    """`no GPU`, `1 GPU`, `4 GPUs`."""
    return {0: "no GPU", 1: "1 GPU"}.get(count, f"{count} GPUs")


@register.filter
def cores(count: int) -> str:
    """`1 core`, `8 cores`."""
    return f"{count} core" + ("" if count == 1 else "s")


@register.filter
def words_for(lab: Lab, reader: User) -> str:
    """The state of a lab as whoever reads it is told: what is held for its owner is not held for others."""
    return "Held for its owner" if lab.state == OFFERED and lab.owner_id != reader.pk else lab.state_words


#: What a driver calls a limit that it reads back, where a person calls it otherwise.
READ_BACK = {
    "memory and swap": "Memory with swap",
    "shm": "Shared memory",
    "cpu": "CPU cores",
    "cpus": "CPU cores",
    "pids": "Processes",
    "user": "User number",
    "uid": "User number",
    "capabilities": "System rights",
    "new privileges": "Can gain rights",
    "no_new_privileges": "Bar to more rights",
    "root": "System folders",
    "gpus": "GPUs",
    "restart": "Restarts by itself",
    "host": "Shared with the host",
    "group": "Limits of",
}


@register.filter
def read_back(name: str) -> str:
    """The name of a limit that was read back, such as `Processes` for `pids`."""
    return READ_BACK.get(name) or name.capitalize()


@register.filter
def hours(count: float) -> str:
    """`1 hour`, `12 hours`."""
    return f"{count:g} hour" + ("" if count == 1 else "s")


def span(seconds: float) -> str:
    """A length of time in the two largest units, such as `5 h 12 min`."""
    minutes = int(max(seconds, 0)) // 60
    if minutes < 1:
        return "less than a minute"
    days, rest = divmod(minutes, 1440)
    hour, minute = divmod(rest, 60)
    if days:
        return f"{days} d {hour} h" if hour else f"{days} d"
    if hour:
        return f"{hour} h {minute} min" if minute else f"{hour} h"
    return f"{minute} min"


@register.simple_tag
def left(until: datetime | None) -> SafeString | str:
    """The time left until a moment; app.js keeps it counting."""
    if until is None:
        return ""
    words = span((until - timezone.now()).total_seconds())
    return format_html('<time class="num" datetime="{}" data-left>{} left</time>', until.isoformat(), words)


@register.simple_tag
def ago(at: datetime | None, never: str = "never") -> SafeString | str:
    """How long ago a moment was, with the moment itself as a title."""
    if at is None:
        return never
    words = span((timezone.now() - at).total_seconds())
    return format_html('<time datetime="{}" title="{} UTC" data-ago>{} ago</time>', at.isoformat(), f"{at:%Y-%m-%d %H:%M}", words)


@register.simple_tag
def moment(at: datetime | None, never: str = "–") -> SafeString | str:
    """A moment in UTC; app.js shows it in the reader's own time zone."""
    if at is None:
        return never
    return format_html('<time class="num" datetime="{}" data-local>{} UTC</time>', at.isoformat(), f"{at:%d %b %Y, %H:%M}")
