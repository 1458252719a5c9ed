"""Mail goes out through the configured mailbox, with nothing smuggled in and nothing secret told."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from typing import Any

import anyio
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, Session

from forethought_tools import JSON, Question, Registry, ToolError
from forethought_tools.mail import Mailbox, mail_tools

pytestmark = pytest.mark.anyio
PASSWORD = "hush-hush"  # noqa: S105 - of a server that lives for one test


class Inbox:
    """Keeps what arrives; refuses nobody@example.org, and any password but ours."""

    def __init__(self) -> None:
        self.letters: list[Envelope] = []

    async def handle_RCPT(self, *about: Any) -> str:  # noqa: N802 - aiosmtpd's name
        _server, _session, envelope, to, _options = about
        if to == "nobody@example.org":
            return "550 no such mailbox"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, *about: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.letters.append(about[2])
        return "250 OK"


def authenticate(server: Any, session: Session, envelope: Envelope, mechanism: str, login: Any) -> AuthResult:
    return AuthResult(success=login.password == PASSWORD.encode(), handled=False)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def mailbox(inbox: Inbox) -> Iterator[Mailbox]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(inbox, hostname="127.0.0.1", port=port, authenticator=authenticate, auth_require_tls=False)
    server.start()
    try:
        yield Mailbox("127.0.0.1", port, "me@example.org", "me", PASSWORD, "none")
    finally:
        server.stop()


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


async def send(mailbox: Mailbox | None, to: list[str], subject: str = "Hello", body: str = "Text") -> JSON:
    arguments: dict[str, JSON] = {"to": to, "subject": subject, "body": body}
    with anyio.fail_after(60):
        return await Registry(mail_tools(mailbox)).call("send_email", arguments, nobody)


async def refusal(mailbox: Mailbox | None, to: list[str], subject: str = "Hello") -> str:
    with pytest.raises(ToolError) as raised:
        await send(mailbox, to, subject)
    assert PASSWORD not in str(raised.value)
    return str(raised.value)


async def test_a_letter_arrives_as_written(mailbox: Mailbox, inbox: Inbox) -> None:
    sent = await send(mailbox, ["ann@example.org", "bob@example.org"], "Grüße", "Zeile eins\n.\nÄnde\n")
    assert sent == {"sent_to": ["ann@example.org", "bob@example.org"], "refused": []}
    content = inbox.letters[0].content
    assert isinstance(content, bytes)
    letter = message_from_bytes(content, policy=policy.default)
    assert (letter["From"], letter["To"], letter["Subject"]) == (
        "me@example.org",
        "ann@example.org, bob@example.org",
        "Grüße",
    )
    assert letter.get_content().replace("\r\n", "\n") == "Zeile eins\n.\nÄnde\n"
    assert inbox.letters[0].rcpt_tos == ["ann@example.org", "bob@example.org"]


async def test_refused_addresses_are_told(mailbox: Mailbox, inbox: Inbox) -> None:
    sent = await send(mailbox, ["ann@example.org", "nobody@example.org"])
    assert sent == {"sent_to": ["ann@example.org"], "refused": ["nobody@example.org"]}
    assert "nobody@example.org" in await refusal(mailbox, ["nobody@example.org"])


@pytest.mark.parametrize(
    "address",
    [
        "ann@example.org\r\nBcc: eve@example.org",
        "ann@example.org, eve@example.org",
        "ann",
        "",
        "<ann@example.org>",
    ],
)
async def test_an_address_holds_nothing_else(mailbox: Mailbox, inbox: Inbox, address: str) -> None:
    assert "address" in await refusal(mailbox, [address])
    assert not inbox.letters


@pytest.mark.parametrize("subject", ["Hi\r\nBcc: eve@example.org", "Hi\nX: y", "Hi\0"])
async def test_a_subject_is_one_line(mailbox: Mailbox, inbox: Inbox, subject: str) -> None:
    assert "one line" in await refusal(mailbox, ["ann@example.org"], subject)
    assert not inbox.letters


async def test_without_a_mailbox_the_message_says_what_to_set() -> None:
    said = await refusal(None, ["ann@example.org"])
    assert "FORETHOUGHT_SMTP_URL" in said
    assert "FORETHOUGHT_SMTP_FROM" in said


async def test_the_password_is_never_told(mailbox: Mailbox, inbox: Inbox) -> None:
    assert PASSWORD not in repr(mailbox)
    wrong = replace(mailbox, password=PASSWORD[::-1])
    assert "user name or password" in await refusal(wrong, ["ann@example.org"])
    assert not inbox.letters


async def test_a_server_without_encryption_is_not_used_when_encryption_is_asked(mailbox: Mailbox, inbox: Inbox) -> None:
    assert "STARTTLS" in await refusal(replace(mailbox, security="starttls"), ["ann@example.org"])
    assert "mail server" in await refusal(replace(mailbox, security="tls"), ["ann@example.org"])
    assert not inbox.letters


async def test_a_server_that_is_not_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said = await refusal(Mailbox("127.0.0.1", port, "me@example.org"), ["ann@example.org"])
    assert f"127.0.0.1:{port}" in said
    assert "FORETHOUGHT_SMTP_URL" in said
