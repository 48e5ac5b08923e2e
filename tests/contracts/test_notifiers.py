"""What every notifier promises, tried on mail to a real server, on webhooks to a real chat, and on the one in memory."""

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import port_free
from tests.support.receivers import Chat, MailServer, certificate_write, chat_server, mail_server, silent_server
from worker.notifiers import webhook as webhook_module
from worker.notifiers.base import Message, Notifier, NotifierFault
from worker.notifiers.email import EmailNotifier
from worker.notifiers.fake import DeafNotifier, FakeNotifier, RefusingNotifier
from worker.notifiers.webhook import WebhookNotifier

HOSTILE = "Lab <b>x</b>\r\nBcc: eve@example.org & co"
MESSAGE = Message(
    id="notice-1@example.edu",
    to="",
    subject="resnet is ready",
    text="It runs with 1 GPU.\n\nJupyterLab opens from its page.",
    html="<p>It runs.</p>",
    url="https://lab.example.edu/labs/x/",
)


@dataclass
class End:
    """A notifier with what stands at its other end."""

    notifier: Notifier
    message: Message
    arrived: Callable[[], list[Any]]
    break_off: Callable[[], None]
    refuse: Callable[[], None]
    hang: Callable[[int], None]


def nothing(*_: Any) -> None:
    pass


@pytest.fixture
def smtp() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def chat() -> Iterator[Chat]:
    with chat_server() as server:
        yield server


@pytest.fixture
def mail_end(smtp: MailServer, settings: Any) -> End:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS, settings.EMAIL_TIMEOUT = "127.0.0.1", smtp.port, False, 30

    def port(number: int) -> None:
        settings.EMAIL_PORT = number

    def silent(number: int) -> None:
        settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = number, 1

    return End(
        EmailNotifier(),
        replace(MESSAGE, to="alice@example.edu"),
        lambda: smtp.mails,
        lambda: port(port_free()),
        lambda: setattr(smtp, "reader", "550 no such person"),
        silent,
    )


@pytest.fixture
def chat_end(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> End:
    end = End(WebhookNotifier(allows=lambda _: True), replace(MESSAGE, to=chat.url, shape="slack"), lambda: chat.posts, nothing, nothing, nothing)

    def port(number: int) -> None:
        end.message = replace(end.message, to=f"http://127.0.0.1:{number}/hook/very-secret")

    def silent(number: int) -> None:
        monkeypatch.setattr(webhook_module, "DEADLINE_S", 1.0)
        port(number)

    end.break_off, end.refuse, end.hang = lambda: port(port_free()), lambda: setattr(chat, "status", 404), silent
    return end


@pytest.fixture
def memory_end() -> End:
    fake = FakeNotifier()
    end = End(fake, replace(MESSAGE, to="anybody"), lambda: fake.sent, nothing, nothing, nothing)
    end.break_off = lambda: setattr(end, "notifier", DeafNotifier())
    end.refuse = lambda: setattr(end, "notifier", RefusingNotifier())
    end.hang = lambda _: end.break_off()
    return end


@pytest.fixture(params=["mail", "chat", "memory"])
def end(request: pytest.FixtureRequest) -> End:
    found: End = request.getfixturevalue(f"{request.param}_end")
    return found


def fault_of(end: End) -> NotifierFault:
    with pytest.raises(NotifierFault) as raised:
        end.notifier.send(end.message)
    return raised.value


def test_a_message_arrives_once(end: End):
    end.notifier.send(end.message)
    assert len(end.arrived()) == 1


def test_a_server_that_is_away_is_a_fault_that_may_pass(end: End):
    end.break_off()
    fault = fault_of(end)
    assert not fault.permanent
    assert fault.words.endswith(".")


def test_a_refused_reader_is_a_fault_that_stays(end: End):
    end.refuse()
    assert fault_of(end).permanent


def test_a_server_that_hangs_costs_seconds_and_no_more(end: End):
    with silent_server() as port:
        end.hang(port)
        began = time.monotonic()
        fault = fault_of(end)
    assert not fault.permanent
    assert time.monotonic() - began < 5


def test_the_words_of_a_fault_hold_no_secret(end: End):
    for break_it in (end.refuse, end.break_off):
        break_it()
        assert "very-secret" not in fault_of(end).words


def test_mail_is_text_and_html_with_the_id_that_marks_a_repetition(mail_end: End, smtp: MailServer):
    mail_end.notifier.send(replace(mail_end.message, subject=HOSTILE))
    [mail] = smtp.mails
    assert mail["To"] == "alice@example.edu"
    assert mail["Bcc"] is None
    assert mail["Subject"] == "[GPU Lab] Lab <b>x</b> Bcc: eve@example.org & co"
    assert mail["Message-ID"] == "<notice-1@example.edu>"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize("answer", ["451 try later", "554 looks like spam"])
def test_a_mail_server_that_takes_no_message_is_tried_again(mail_end: End, smtp: MailServer, answer: str):
    smtp.answer = answer
    assert not fault_of(mail_end).permanent


def test_a_reader_that_is_refused_for_now_is_tried_again(mail_end: End, smtp: MailServer):
    smtp.reader = "450 mailbox busy"
    assert not fault_of(mail_end).permanent


def test_slack_reads_a_text_in_which_nothing_is_a_command(chat_end: End, chat: Chat):
    chat_end.notifier.send(replace(chat_end.message, subject=HOSTILE))
    [(path, headers, body)] = chat.posts
    assert path == "/hook/very-secret?key=k1"
    assert headers["Host"] == f"127.0.0.1:{chat.port}"
    assert body["text"].startswith("*Lab &lt;b&gt;x&lt;/b&gt;")
    assert "<https://lab.example.edu/labs/x/|Open GPU Lab>" in body["text"]


@pytest.mark.parametrize(("shape", "where"), [("dingtalk", "text"), ("wecom", "content")])
def test_dingtalk_and_wecom_read_markdown(chat_end: End, chat: Chat, shape: str, where: str):
    chat_end.notifier.send(replace(chat_end.message, shape=shape))
    body = chat.posts[0][2]
    assert body["msgtype"] == "markdown"
    assert "GPU Lab: resnet is ready" in body["markdown"][where]
    assert "(https://lab.example.edu/labs/x/)" in body["markdown"][where]


def test_dingtalk_is_signed_where_its_owner_gave_a_secret(chat: Chat):
    notifier = WebhookNotifier(allows=lambda _: True, clock=lambda: 1700000000.0)
    notifier.send(replace(MESSAGE, to=chat.url, shape="dingtalk", secret="SECabc"))
    assert chat.posts[0][0] == "/hook/very-secret?key=k1&timestamp=1700000000000&sign=jcUpW0QmtKduN03n4JqQ0PBosVjqnM8gU7fIIvsDmCM%3D"


@pytest.mark.parametrize("answer", [b'{"errcode":310000,"errmsg":"keywords not in content"}', b"<html>", b"[]"])
def test_a_chat_that_refuses_with_status_200_has_refused(chat_end: End, chat: Chat, answer: bytes):
    chat.answer = answer
    chat_end.message = replace(chat_end.message, shape="wecom")
    assert not fault_of(chat_end).permanent


@pytest.mark.parametrize(("status", "permanent"), [(302, True), (400, True), (404, True), (410, True), (408, False), (429, False), (500, False), (503, False)])
def test_a_status_says_whether_to_try_again(chat_end: End, chat: Chat, status: int, permanent: bool):
    chat.status, chat.headers = status, {"Location": "http://127.0.0.1:1/"}
    assert fault_of(chat_end).permanent is permanent
    assert len(chat.posts) == 1


def test_a_name_that_points_inside_is_not_called(chat: Chat, monkeypatch: pytest.MonkeyPatch):
    seen: list[list[str]] = []
    notifier = WebhookNotifier(allows=lambda addresses: bool(seen.append(list(addresses))))
    with pytest.raises(NotifierFault, match="private network") as raised:
        notifier.send(replace(MESSAGE, to=f"http://localhost:{chat.port}/x", shape="slack"))
    assert raised.value.permanent
    assert chat.posts == []
    assert "127.0.0.1" in seen[0]


def test_the_address_that_was_judged_is_the_one_that_is_called(chat: Chat, monkeypatch: pytest.MonkeyPatch):
    answers = iter(["127.0.0.1", "10.0.0.1"])  # a name service that changes its mind between two questions
    look_up = webhook_module.socket.getaddrinfo

    def rebound(host: str, port: int, *args: Any, **more: Any) -> Any:
        return look_up(next(answers) if host == "rebind.example.org" else host, port, *args, **more)

    monkeypatch.setattr(webhook_module.socket, "getaddrinfo", rebound)
    judged: list[str] = []
    notifier = WebhookNotifier(allows=lambda addresses: not judged.extend(addresses))
    notifier.send(replace(MESSAGE, to=f"http://rebind.example.org:{chat.port}/x", shape="slack"))
    assert judged == ["127.0.0.1"]
    assert chat.posts[0][1]["Host"] == f"rebind.example.org:{chat.port}"


def test_a_name_that_nobody_knows_is_a_fault_that_may_pass(monkeypatch: pytest.MonkeyPatch):
    def unknown(*_: Any, **__: Any) -> Any:  # as name services say it; a real one may take its time, or know every name
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(webhook_module.socket, "getaddrinfo", unknown)
    with pytest.raises(NotifierFault, match="name service") as raised:
        WebhookNotifier(allows=lambda _: True).send(replace(MESSAGE, to="https://nowhere.invalid/x", shape="slack"))
    assert not raised.value.permanent


@pytest.mark.parametrize(("name", "arrives"), [("chat.example.org", 1), ("other.example.org", 0)])
def test_the_certificate_is_the_one_of_the_host_that_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, arrives: int):
    certificate, key = certificate_write(tmp_path, "chat.example.org")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    look_up = webhook_module.socket.getaddrinfo
    monkeypatch.setattr(webhook_module.socket, "getaddrinfo", lambda host, *a, **k: look_up("127.0.0.1" if host == name else host, *a, **k))
    with chat_server(tls=(certificate, key)) as chat:
        message = replace(MESSAGE, to=f"https://{name}:{chat.port}/x", shape="slack")
        notifier = WebhookNotifier(allows=lambda _: True)
        if arrives:
            notifier.send(message)
        else:
            with pytest.raises(NotifierFault):
                notifier.send(message)
        assert len(chat.posts) == arrives
