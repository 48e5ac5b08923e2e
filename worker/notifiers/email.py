"""Mail, by Django's own backend: plain text, and the same as HTML."""

import smtplib

from django.core.mail import EmailMultiAlternatives

from worker.notifiers.base import Message, NotifierFault


class EmailNotifier:
    """Hands messages to the mail server of the settings."""

    kind = "mail"

    def __init__(self, *, prefix: str = "[GPU Lab] ") -> None:
        self.prefix = prefix

    def send(self, message: Message) -> None:
        """One mail to one reader. A refused reader is permanent; a server that is away, busy or hanging is not."""
        headers = {"Message-ID": f"<{message.id}>", "Auto-Submitted": "auto-generated"}
        subject = " ".join(f"{self.prefix}{message.subject}".split())
        mail = EmailMultiAlternatives(subject=subject, body=message.text, to=[message.to], headers=headers)
        if message.html:
            mail.attach_alternative(message.html, "text/html")
        try:
            mail.send()
        except smtplib.SMTPRecipientsRefused as refused:
            codes = [code for code, _ in refused.recipients.values()]
            raise NotifierFault("The mail server does not take mail for this address.", permanent=all(code >= 500 for code in codes)) from refused
        except smtplib.SMTPAuthenticationError as error:
            raise NotifierFault("The mail server does not accept the house's name and password.") from error
        except (smtplib.SMTPException, OSError) as error:
            raise NotifierFault("The mail server does not answer, or not as it should.") from error
