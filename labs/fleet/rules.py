"""Is a card that nobody has as it should be, and do workspaces of a node lie encrypted? Pure."""

from collections.abc import Sequence

#: A free card may use this much more memory than when it was last seen quiet.
SLACK_MIB = 64
#: A card that was never seen quiet counts as quiet with no more than this in use.
IDLE_MOST_MIB = 1024


def unclean(*, strangers: Sequence[str], used_mib: int | None, baseline_mib: int | None) -> str:
    """What is on a card that should be free, in words; empty for a clean one. `strangers`: processes that may not be there."""
    if strangers:
        return f"Held back: {' and '.join(strangers[:3])} {'is' if len(strangers) == 1 else 'are'} on it, of no lab."
    most = IDLE_MOST_MIB if baseline_mib is None else baseline_mib + SLACK_MIB
    if used_mib is not None and used_mib > most:
        return f"Held back: {used_mib} MiB of its memory are in use and no process says why; {most} MiB would be usual."
    return ""


def plain_words(encrypts: bool | None) -> str:
    """Why workspaces of a node do not count as encrypted, for the middle of a sentence; empty where they lie encrypted. What cannot be told counts as no."""
    if encrypts is None:
        return "whether workspaces there lie encrypted cannot be told, which counts as no"
    return "" if encrypts else "workspaces there do not lie encrypted"
