"""The rules that a person is offered at a question, and what they rest on."""

__all__ = ["fixed", "offers"]

import re
import shlex
from collections.abc import Iterator, Mapping

from forethought_tools.matching import Part, as_told, by_name, called_as, first_of, opened, words_of
from forethought_tools.rules import NAMED, Rule, read_rule
from forethought_tools.tool import JSON, Tool

_SHOWN = 300  # characters of a rule that is offered
_PLAIN = re.compile(r"[\w .:@%+/-]+", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9][\w-]*", re.ASCII)
_STARTERS = re.compile(
    r"(?:"
    r"7z|ag|apt|apt-get|ar|ash|at|awk|bash|batch|bunx?|busybox|cc|chgrp|chmod|chown|chroot|clang|command|cp|cpio|"
    r"crontab|csh|curl|dash|dd|deno|dnf|docker|doas|dotnet|ed|emacs|env|eval|ex|exec|expect|fd|fdfind|fdisk|find|fish|"
    r"forethought|gawk|gcc|gdb|helm|hg|install|iptables|java|kill|killall|ksh|kubectl|launchctl|less|ln|ltrace|lua|"
    r"make|man|mawk|mkfs|more|mount|mv|mysql|nano|nawk|nc|nice|node|nohup|npx|nsenter|nvim|openssl|osascript|"
    r"parallel|patch|perl|php|pico|pipx|pkill|podman|powershell|psql|pwsh|python|reboot|redis-cli|rg|rm|rmdir|rsync|"
    r"ruby|scp|screen|script|sed|service|setsid|sftp|sh|shred|shutdown|sort|source|split|sqlite|ssh|strace|su|sudo|svn|"
    r"systemctl|tar|tclsh|tcpdump|tee|terraform|time|timeout|tmux|truncate|ts-node|tsx|umount|unlink|unshare|unzip|"
    r"uvx|vi|vim|watch|wget|xargs|zip|zsh"
    r")[\d.]*",
    re.IGNORECASE,
)
"""Programs that start others when told to, write over what they are told to, or do most harm: they are never offered
with words left open."""
_OWN: Mapping[str, frozenset[str]] = {
    "git": frozenset({"add", "commit", "describe", "ls-files", "rev-parse", "status"}),
}
"""Of programs that do everything: the commands after which no further word starts a program or writes elsewhere."""
_STARTING = frozenset({"dlx", "eval", "exec", "run", "x"})  # commands of programs that start others


# What a person is offered


def fixed(rule: Rule, tool: Tool, arguments: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """The arguments without those words of a command that the rule leaves open: what it covers rests on these."""
    closed = dict(arguments)
    for name, part in by_name(rule.arguments or {}, tool).items():
        words = words_of(str(arguments.get(name))) if name in tool.commands else None
        if words and not part.literal:
            wanted, is_open = opened(part.text)
            closed[name] = shlex.join(words[: len(wanted or ())]) if is_open else arguments[name]
    return closed


def offers(tool: Tool, arguments: Mapping[str, JSON]) -> list[str]:
    """At most three rules that cover this call, from narrow to wide: the very call, and where that can be said, some
    like it. Each names every argument of the call."""
    given = {name: value for name, value in arguments.items() if not (name in tool.harmless or value is None)}
    exact = {name: _exactly(tool, name, value) for name, value in given.items()}
    rules = [exact, *_wider(tool, given, exact)]
    told = [str(Rule(tool.name, _short(tool, each))) for each in rules if each]
    return [text for text in dict.fromkeys(told) if _stands(text, tool, arguments)]


def _exactly(tool: Tool, name: str, value: JSON) -> Part:
    text = min(called_as(str(value), tool) or {""}) if name in tool.paths else as_told(value)
    return Part(text, literal=not _PLAIN.fullmatch(text) or text != text.strip())


def _wider(tool: Tool, given: Mapping[str, JSON], exact: Mapping[str, Part]) -> Iterator[dict[str, Part]]:
    if commands := [name for name in given if name in tool.commands]:
        wide = {name: _open_command(str(given[name])) for name in commands}
        if all(wide.values()):
            yield {**exact, **{name: Part(text) for name, text in wide.items()}}
    elif paths := [name for name in given if name in tool.paths and "*" not in str(given[name])]:
        whatever = {name: part if name in paths else Part("*") for name, part in exact.items()}
        yield whatever
        yield {**whatever, **{name: Part(_folder(str(given[name]), tool)) for name in paths}}


def _open_command(command: str) -> str:
    """The program, with its own command where it has one, and any further words; nothing where that says too little."""
    words = words_of(command) or [""]
    program = words[0].rpartition("/")[2]
    has_own = len(words) > 1 and re.fullmatch(r"[a-z][a-z-]*", words[1])
    if _STARTERS.fullmatch(program) or not _WORD.fullmatch(program):
        return ""
    if has_own and words[1] in _STARTING:
        return ""
    if program in _OWN and not (has_own and words[1] in _OWN[program]):
        return ""
    kept = words[:2] if has_own else words[:1]
    return f"{shlex.join(kept)} *"


def _folder(path: str, tool: Tool) -> str:
    called = min(called_as(path, tool) or {path})
    return f"{called.rpartition('/')[0]}/*" if "/" in called else "*"


def _short(tool: Tool, parts: Mapping[str, Part]) -> Mapping[str, Part]:
    """The same without the name of the only argument, where that is the first one."""
    (name, part), *more = parts.items()
    is_plain = not more and name == first_of(tool) and not NAMED.match(str(part))
    return {"": part} if is_plain else parts


def _stands(text: str, tool: Tool, arguments: Mapping[str, JSON]) -> bool:
    """Whether a rule says the same once it is read again."""
    try:
        rule = read_rule(text)
    except ValueError:
        return False
    return len(text) <= _SHOWN and rule.tool == tool.name and rule.covers(tool, arguments)
