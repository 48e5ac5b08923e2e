"""Bodies that chats understand, and what their answers mean. Pure."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from worker.notifiers.base import Message

#: What chats take in one message, in bytes.
MOST = 3500


def body_of(message: Message) -> Mapping[str, Any]:
    """The message as the chat of its shape takes it."""
    text = _cut(message.text)
    if message.shape == "slack":
        title, text = (_slack(part) for part in (message.subject, text))
        return {"text": f"*{title}*\n{text}" + (f"\n<{message.url}|Open GPU Lab>" if message.url else "")}
    link = f"\n\n[Open GPU Lab]({message.url})" if message.url else ""
    markdown = f"**GPU Lab: {message.subject}**\n\n{text}{link}"
    if message.shape == "dingtalk":
        return {"msgtype": "markdown", "markdown": {"title": f"GPU Lab: {message.subject}", "text": markdown}}
    return {"msgtype": "markdown", "markdown": {"content": markdown}}


def signed(url: str, secret: str, at_ms: int) -> str:
    """The address with DingTalk's signature, where its owner gave a signing secret."""
    if not secret:
        return url
    sign = base64.b64encode(hmac.new(secret.encode(), f"{at_ms}\n{secret}".encode(), hashlib.sha256).digest()).decode()
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode({'timestamp': at_ms, 'sign': sign})}"


def refusal_of(shape: str, answer: bytes) -> str:
    """Why a chat that answered 200 did not take the message (DingTalk and WeCom say so in the body); empty when it did."""
    if shape == "slack":
        return ""
    try:
        said = json.loads(answer)
        code = int(said["errcode"])
    except (ValueError, KeyError, TypeError):
        return "The chat's answer was not understood."
    return f"The chat refused it (error {code})." if code else ""


def _slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str) -> str:
    whole = text.encode()
    return text if len(whole) <= MOST else whole[:MOST].decode(errors="ignore") + "…"
