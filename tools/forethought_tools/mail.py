"""Built in: send an e-mail through the mailbox that a person has configured."""

__all__ = ["Mailbox", "mail_tools"]

import re
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Annotated, Literal, cast

from anyio import to_thread
from pydantic import Field

from forethought_tools.errors import ToolError
from forethought_tools.risk import Risk
from forethought_tools.tool import JSON, Limits, Tool, tool

ADDRESS = re.compile(r"[^\s@,;:<>()\[\]\"\\]+@[^\s@,;:<>()\[\]\"\\]+")
SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where mail goes out, and in whose name."""

    host: str
    port: int
    sender: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    security: Literal["starttls", "tls", "none"] = "starttls"


def mail_tools(mailbox: Mailbox | None) -> list[Tool]:
    async def send_email(
        to: Annotated[list[str], Field(description="Addresses such as ann@example.org", min_length=1, max_length=50)],
        subject: Annotated[str, Field(description="One line", max_length=500)],
        body: Annotated[str, Field(description="Plain text", max_length=500_000)],
    ) -> JSON:
        """Send an e-mail. Cannot be taken back. Returns {sent_to, refused}."""
        own = configured()
        refused = await to_thread.run_sync(deliver, own, compose(own.sender, to, subject, body))
        return {"sent_to": [each for each in to if each not in refused], "refused": refused}

    def configured() -> Mailbox:
        if mailbox is None:
            raise ToolError("No mailbox is configured. Set FORETHOUGHT_SMTP_URL and FORETHOUGHT_SMTP_FROM.")
        return mailbox

    def refuse(arguments: Mapping[str, JSON]) -> None:
        to = cast("list[str]", arguments["to"])
        compose(configured().sender, to, str(arguments["subject"]), str(arguments["body"]))

    return [
        tool(send_email, risk=Risk.HIGH, repeatable=False, limits=Limits(timeout=120, at_once=1), refuse=refuse),
    ]


def compose(sender: str, to: list[str], subject: str, body: str) -> EmailMessage:
    for address in to:
        if not ADDRESS.fullmatch(address):
            raise ToolError(f"{address!r} is not a plain e-mail address such as ann@example.org.")
    if any(ord(character) < 32 or ord(character) == 127 for character in subject):
        raise ToolError("The subject must be one line without control characters.")
    letter = EmailMessage()
    letter["From"] = sender
    letter["To"] = ", ".join(to)
    letter["Subject"] = subject
    letter["Date"] = formatdate(localtime=True)
    # Without a domain the standard library would look up this machine's name and tell it to the world.
    letter["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].strip("<> ") or "localhost")
    letter.set_content(body)
    return letter


def deliver(mailbox: Mailbox, letter: EmailMessage) -> list[str]:
    """Send, and return the addresses that were refused. Errors never quote what was sent."""
    where = f"The mail server {mailbox.host}:{mailbox.port}"
    try:
        with connect(mailbox) as server:
            if mailbox.user is not None:
                server.login(mailbox.user, mailbox.password or "")
            return sorted(server.send_message(letter))
    except smtplib.SMTPAuthenticationError:
        raise ToolError(f"{where} refused the user name or password. Check FORETHOUGHT_SMTP_URL.") from None
    except smtplib.SMTPRecipientsRefused as error:
        raise ToolError(f"{where} refused every address: {', '.join(sorted(error.recipients))}.") from None
    except smtplib.SMTPSenderRefused:
        raise ToolError(f"{where} refused the sender. Check FORETHOUGHT_SMTP_FROM.") from None
    except smtplib.SMTPNotSupportedError as error:
        raise ToolError(f"{where} cannot do what is needed: {error}. Check FORETHOUGHT_SMTP_URL.") from None
    except smtplib.SMTPException as error:
        code = getattr(error, "smtp_code", None)
        raise ToolError(f"{where} failed: {type(error).__name__}{f' {code}' if code else ''}.") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ToolError(f"{where} cannot be reached: {reason}. Check FORETHOUGHT_SMTP_URL.") from None


def connect(mailbox: Mailbox) -> smtplib.SMTP:
    if mailbox.security == "tls":
        return smtplib.SMTP_SSL(mailbox.host, mailbox.port, timeout=SECONDS, context=ssl.create_default_context())
    server = smtplib.SMTP(mailbox.host, mailbox.port, timeout=SECONDS)
    if mailbox.security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server
