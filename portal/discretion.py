"""Links that open something by themselves stay out of the log: Django writes the path of each answer that was a refusal."""

import logging
import re
from typing import Any

#: Invitations, links that set a new password, and every bearer secret of ours, wherever it stands.
SECRET = re.compile(r"(/invite/|/confirm-email/|/password/reset/key/[0-9A-Za-z]+-|\bgp[a-z]_)[^/\s?\"']{8,}")


class Discreet(logging.Filter):
    """Lets every line through, without what must not be read in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true; the record's text is changed where it holds a secret."""
        text = record.getMessage()
        if (told := SECRET.sub(r"\1…", text)) != text:
            record.msg, record.args = told, ()
        return True


def logging_of(level: str) -> dict[str, Any]:
    """What Django's LOGGING takes: one line a record to standard output, from `level` on."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "filters": {"discreet": {"()": "portal.discretion.Discreet"}},
        # A line for every ring of the doorbell would bury the rest.
        "loggers": {name: {"level": "WARNING"} for name in ("celery.worker.strategy", "celery.app.trace")}
        | {name: {"filters": ["discreet"]} for name in ("django.request", "django.security.csrf")},
        "root": {"handlers": ["console"], "level": level},
    }
