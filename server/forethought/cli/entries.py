"""An entry in a file of configuration that belongs to somebody else: whatever stands there already stays as it is, with
its comments and its layout."""

__all__ = ["Form", "with_entry"]

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, cast

from forethought.configured import TOKEN, without_comments
from forethought_tools import JSON, SettingsError

Form: TypeAlias = Literal["json", "toml", "yaml"]

_MEND = ": write {} in the place of null"


def with_entry(text: str, form: Form, key: str, name: str, entry: Mapping[str, JSON]) -> str:
    """The text of the file with this entry under this key. One of the same name keeps what else stands in it, such as
    its environment.

    Raises:
        SettingsError: the file is not what its client reads, or what stands under the key holds no entries.
    """
    end = "\r\n" if "\r\n" in text else "\n"
    try:
        return _WRITERS[form](text.replace("\r\n", "\n"), key, name, entry).replace("\n", end)
    except SettingsError:
        raise
    except Exception as error:  # whatever a parser says of a file that it cannot read
        raise SettingsError(f"it is no {form.upper()} that can be read: {str(error)[:200]}") from None


def _json(text: str, key: str, name: str, entry: Mapping[str, JSON]) -> str:
    """By changing only the place of the entry; then it is looked whether the rest still says what it said."""
    before = _object(json.loads(without_comments(text)) if text.strip() else {}, key)
    servers = _object(before.get(key, {}), key)
    _look_at(servers, key, name)
    whole = _merged(servers.get(name), entry)
    wanted: JSON = {**before, key: {**servers, name: whole}}
    if not text.strip():
        return json.dumps(wanted, indent=2, ensure_ascii=False) + "\n"
    written = text if before == wanted else _inserted(text, key, name, whole)
    if json.loads(without_comments(written)) != wanted:
        raise SettingsError("its layout is one that cannot be changed safely")
    return written


def _object(value: JSON, key: str) -> dict[str, JSON]:
    if not isinstance(value, Mapping):
        raise SettingsError(f"what stands under {key!r} in it holds no servers" + _MEND * (value is None))
    return {**value}


def _look_at(servers: Mapping[str, JSON], key: str, name: str) -> None:
    """Raises SettingsError where something else than an entry has this name."""
    if name in servers and not isinstance(servers[name], Mapping):
        raise SettingsError(f"{name!r} under {key!r} in it is no entry of a server: take it out first")


def _merged(old: object, entry: Mapping[str, JSON]) -> dict[str, JSON]:
    return {**cast("Mapping[str, JSON]", old), **entry} if isinstance(old, Mapping) else dict(entry)


def _inserted(text: str, key: str, name: str, entry: dict[str, JSON]) -> str:
    spans = _spans(text)
    unit = (re.search(r"^([ \t]+)\S", text, re.MULTILINE) or ["", "  "])[1]
    if old := spans.get((key, name)):
        return f"{text[: old[0]]}{_laid_out(entry, unit, 2)}{text[old[1] :]}"
    path, value = ((key,), {name: entry}) if (key,) in spans else ((), {key: {name: entry}})
    ((inside, said),) = value.items()
    at, depth = spans[path][0] + 1, len(path) + 1
    is_empty = not without_comments(text[at : spans[path][1] - 1]).strip()
    line = f"\n{unit * depth}{json.dumps(inside)}: {_laid_out(said, unit, depth)}"
    end = f"\n{unit * (depth - 1)}" if is_empty and "\n" not in text[at : spans[path][1]] else ""
    return f"{text[:at]}{line}{'' if is_empty else ','}{end}{text[at:]}"


def _laid_out(value: JSON, unit: str, depth: int) -> str:
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", f"\n{unit * depth}")


def _spans(text: str) -> Mapping[tuple[str, ...], tuple[int, int]]:
    """Where each object of the text stands, by the keys that lead to it; lists are not gone into."""
    found: dict[tuple[str, ...], tuple[int, int]] = {}
    path: list[str] = []
    opened: list[int] = []
    key = word = ""
    for token in TOKEN.finditer(text):
        sign = token[0]
        if sign.startswith(("//", "/*")):
            continue
        if sign == ":":
            key = json.loads(word)
        elif sign in "{[":
            opened.append(token.start())
            path += [key] if len(opened) > 1 else []
            key = ""
        elif sign in "}]":
            start = opened.pop()
            if sign == "}":
                found[tuple(path)] = (start, token.end())
            path = path[:-1]
        word = sign
    return found


def _toml(text: str, key: str, name: str, entry: Mapping[str, JSON]) -> str:
    import tomlkit.items  # here, because few need it

    document: Any = tomlkit.parse(text)
    servers: Any = document.setdefault(key, tomlkit.table(is_super_table=True))
    if not isinstance(servers, Mapping):
        raise SettingsError(f"what stands under {key!r} in it holds no servers")
    _look_at(cast("Mapping[str, JSON]", servers), key, name)
    is_inline = isinstance(servers, tomlkit.items.InlineTable)
    new: Any = tomlkit.inline_table() if is_inline else tomlkit.table()
    server: Any = cast("Any", servers).setdefault(name, new)
    for field, value in entry.items():
        server[field] = value
    return tomlkit.dumps(document)


def _yaml(text: str, key: str, name: str, entry: Mapping[str, JSON]) -> str:
    from io import StringIO

    from ruamel.yaml import YAML  # here, because few need it

    yaml: Any = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000
    deep, dash = _indents(text)
    yaml.indent(mapping=deep, sequence=dash + 2, offset=dash)
    whole: Any = yaml.load(text)
    document: Any = {} if whole is None else whole
    servers = _filled(document, key) if isinstance(document, Mapping) else None
    if not isinstance(servers, Mapping):
        raise SettingsError(f"what stands under {key!r} in it holds no servers")
    server = _filled(servers, name)
    _look_at(cast("Mapping[str, JSON]", servers), key, name)
    server.update(entry)
    out = StringIO()
    yaml.dump(document, out)
    remarks = [line for line in text.splitlines(keepends=True) if line.lstrip().startswith("#")]
    comments = "".join(remarks) if whole is None else ""  # all there is, and no part of what was read
    return comments + "\n" * (comments[-1:] not in ("", "\n")) + out.getvalue()


def _filled(document: Any, key: str) -> Any:
    """What stands under a key; where nothing does, an object is put there."""
    if document.get(key) is None:
        document[key] = {}
    return document[key]


def _indents(text: str) -> tuple[int, int]:
    """How far a file of YAML indents what belongs to a key, and the dashes of a list."""
    deep = re.search(r"^[^\s#-][^\n]*:[ ]*\n([ ]+)[^\s#-]", text, re.MULTILINE)
    dash = re.search(r"^([ ]*)[^\s#-][^\n]*:[ ]*\n\1([ ]*)- ", text, re.MULTILINE)
    return len(deep[1]) if deep else 2, len(dash[2]) if dash else 0


_WRITERS: Mapping[Form, Callable[[str, str, str, Mapping[str, JSON]], str]] = {
    "json": _json,
    "toml": _toml,
    "yaml": _yaml,
}
