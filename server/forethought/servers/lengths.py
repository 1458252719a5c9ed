"""How long one message of a server may be. It is told from the bytes as they come, since whoever has taken a message
apart has spent the time and the memory already, and nothing else is done in this process meanwhile."""

__all__ = ["BYTES", "Events", "Message"]

BYTES = 32_000_000
_VALUES = 50_000  # each that fits nothing costs the SDK about five microseconds and five kilobytes


class Message:
    """What has come of one message."""

    def __init__(self) -> None:
        self._bytes = self._values = 0
        self._begun = b""

    def add(self, piece: bytes) -> str:
        """Why it is too long with this piece; nothing, where it is not."""
        self._bytes += len(piece)
        line, *others = piece.split(b"\n")
        self._count(self._begun + line)
        for other in others:  # no text goes on over the end of a line
            self._count(other)
        if self._bytes > BYTES:
            return f"a message of over {BYTES:,} bytes, which is refused"
        if self._values > _VALUES:
            return f"a message of over {_VALUES:,} values, which is refused: have it say less at once"
        return ""

    def _count(self, line: bytes) -> None:
        """Count what begins or parts values outside of texts. A text that an earlier piece has begun begins again."""
        parts = line.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')
        outside = b"".join(parts[::2])
        self._values += sum(map(outside.count, (b",", b"[", b"{")))
        text = b'"\\' if parts[-1].endswith(b"\\") else b'"'
        self._begun = b"" if len(parts) % 2 else text


class Events:
    """What has come of a stream of events, each of which ends with a blank line and may hold a message."""

    def __init__(self) -> None:
        self._message = Message()
        self._half = self._ended = b""

    def add(self, piece: bytes) -> str:
        """Why an event is too long with this piece; nothing, where none is."""
        text = self._half + piece
        self._half = b"\r" if text.endswith(b"\r") else b""  # of a line's end; the other half may follow
        text = text.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *whole, begun = (self._ended + text).split(b"\n\n")
        if text:
            self._ended = b"\n" if text.endswith(b"\n") else b""
        too_long = ""
        for event in whole:
            too_long = too_long or self._message.add(event)
            self._message = Message()
        return too_long or self._message.add(begun)
