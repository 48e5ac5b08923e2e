"""What people are told about, and in which words they choose it. Pure."""

from dataclasses import dataclass

MAIL, WEBHOOK = "mail", "webhook"
CHANNELS = {MAIL: "Mail", WEBHOOK: "Chat"}


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of message. `roles` are those that it is for (empty: everybody); it goes by both channels unless its reader says otherwise."""

    code: str
    words: str
    help: str = ""
    roles: tuple[str, ...] = ()


_ADMIN = ("administrator",)
KINDS: dict[str, Kind] = {
    kind.code: kind
    for kind in (
        Kind("ready", "My lab is ready", "When it took more than two minutes from the click."),
        Kind("ending", "My lab ends in 30 minutes", "So that you can save your work or extend it."),
        Kind("idle", "My lab does nothing and will be stopped", "With time left to keep it."),
        Kind("degraded", "My lab has lost its GPU", "When its programs cannot open it any more and a restart would help."),
        Kind("ended", "My lab has ended", "With the reason; not when you stopped it yourself."),
        Kind("reclaim", "My extra GPUs are needed by others", "Five minutes before a lab over its quota is stopped."),
        Kind("claim", "GPUs are held for me", "For labs that ask before they start."),
        Kind("quota", "My quota changes", "Answers to what you asked for, and what ends by itself."),
        Kind("disk_mine", "My workspace gets full", "At 80 and 95% of your disk, and when it is over."),
        Kind("workspace", "My workspace is moved to another node", "When somebody else asked for it, and what came of it."),
        Kind("quota_asked", "Somebody asks me for more quota", roles=("teacher", "administrator")),
        Kind("class", "My classes", "New, moved and cancelled hours."),
        Kind("maintenance", "Maintenance of my labs' nodes", "Before a node is closed on which one of your labs runs."),
        Kind("shared", "Somebody shares an app of their lab with me"),
        Kind("house", "News from the house", "What administrators announce and think important enough to send."),
        Kind("drained", "A node under my lab is taken out of service", "With the time at which the lab ends."),
        Kind("sign_in", "A new browser signed in as me", "So that you know at once if it was not you."),
        Kind("webhook", "My webhook was switched off", "When its receiver takes nothing any more."),
        Kind("digest", "My week in figures", "On Mondays: GPU-hours, how busy they were, and what would help."),
        Kind("card_sick", "A GPU is sick", roles=_ADMIN),
        Kind("node_lost", "A node is lost, or empty after a drain", roles=_ADMIN),
        Kind("disk", "A disk is 90% full", roles=_ADMIN),
        Kind("stray", "A container that nobody knows was found", roles=_ADMIN),
    )
}
#: Asked for by its reader with a button, so it cannot be switched off.
TEST = "test"


def kinds_for(role: str) -> list[Kind]:
    """What a person of that role can choose."""
    return [kind for kind in KINDS.values() if not kind.roles or role in kind.roles]
