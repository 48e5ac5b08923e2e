"""Links that open something by themselves stay out of the log: Django writes the path of each answer that was a refusal."""

import logging
import re

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
