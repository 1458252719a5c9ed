"""Which calls a rule covers: those of the shape that it shows, and no others."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forethought_tools import JSON, Registry, Risk
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders
from forethought_tools.matching import Part
from forethought_tools.rules import read_rule

TOOLS = builtin(Folders([]))
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
SIMPLE = st.text(st.characters(codec="ascii", categories=["Lu", "Ll", "Nd"], include_characters="-_./:@+,"), min_size=1)
OPERATORS = ";&|<>`$()\\{}[]*?!#~^\n\r\0"


def _covers(rule: str, tool: str, arguments: Mapping[str, JSON], tools: Registry = TOOLS) -> bool:
    return read_rule(rule).covers(tools.known(tool), arguments)


def _command(rule: str, command: str, **more: JSON) -> bool:
    return _covers(rule, "run_command", {"command": command, **more})


@pytest.mark.parametrize(
    ("rule", "covered", "not_covered"),
    [
        ("git status*", ["git status", "git status -s", "git  'status' x"], ["git statusx", "git", "git push"]),
        ("git status *", ["git status", "git status -s"], ["git statusx", "git -c a status"]),
        ("pytest tests/*.py", ["pytest tests/a.py"], ["pytest tests/b/a.py", "pytest tests/a.py -p evil", "pytest"]),
        ("cat docs/*", ["cat docs/a"], ["cat docs/", "cat docs/a /etc/passwd", "cat docs/../x", "cat docs/.."]),
        ("cat docs/**", ["cat docs/a", "cat docs/b/c"], ["cat docs/b/../../x", "cat docs"]),
        ("touch *.txt", ["touch a.txt"], ["touch -x.txt", "touch --reference=/etc/a.txt", "touch a.txtx"]),
        ("git status", ["git status", 'git "status"'], ["git status -s", "GIT status", "Git status", "git STATUS"]),
        ("*", ["make", "ls -l a"], ["make; ls", "A=1 make"]),
        ('"git status"', ["git status"], ["git status *", "git status x"]),
    ],
)
def test_a_command_is_matched_by_words(rule: str, covered: list[str], not_covered: list[str]) -> None:
    assert [each for each in covered if not _command(f"run_command({rule})", each)] == []
    assert [each for each in not_covered if _command(f"run_command({rule})", each)] == []


@given(st.lists(WORDS, min_size=1, max_size=5), st.lists(SIMPLE, max_size=4))
def test_further_words_are_covered_and_other_beginnings_never(words: list[str], more: list[str]) -> None:
    told = " ".join(map(shlex.quote, words))
    begins_alike = words[:2] == ["git", "status"]
    assert not _command("run_command(git status *)", told) or begins_alike
    assert _command("run_command(git status *)", " ".join(["git", "status", *map(shlex.quote, more)]))


@given(st.text(max_size=20), st.sampled_from(OPERATORS), st.text(max_size=20))
def test_a_command_with_anything_that_a_shell_acts_on_is_never_covered(before: str, sign: str, after: str) -> None:
    command = f"git status {before}{sign}{after}"
    assert not any(_command(f"run_command({rule})", command) for rule in ("git status *", "git status*", "*"))


@given(st.text(max_size=60))
def test_any_text_is_a_rule_or_a_fault_and_means_the_same_once_it_is_written(text: str) -> None:
    try:
        rule = read_rule(text)
    except ValueError:
        return
    assert read_rule(str(rule)) == rule
    rule.covers(TOOLS.known("run_command"), {"command": "git status"})


@pytest.mark.parametrize("text", ["a(", "a()", "(x)", "a(b", "a(x, y)", 'a("x)', "a(b))", "a(b)c", "x" * 3000])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_rule(text)


def test_a_path_is_matched_by_where_it_leads(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first / "docs", first / "other", second / "docs"):
        folder.mkdir(parents=True)
    (first / "docs/out").symlink_to(first / "other")
    (first / "in").symlink_to(first / "docs")
    tools = builtin(Folders([first, second]))

    def covers(rule: str, path: str) -> bool:
        return _covers(f"write_file({rule})", "write_file", {"path": path, "content": "x"}, tools)

    for path in ("docs/a", "./docs/a", str(first / "docs/a"), "in/a"):
        assert covers("path=docs/*", path), path
    for path in (
        "docs/b/a",
        "docs",
        "docs/../x",
        "in/../docs/a",
        "docs/out/a",
        "other/a",
        "DOCS/a",
        "docs/a\0",
        "/etc/a",
    ):
        assert not covers("path=docs/*", path), path
    assert not covers("path=docs/*", str(second / "docs/a")), "a name is seen from the first folder"
    for path in ("docs/a", "./docs/a", "in/a"):
        assert covers('path="docs/a"', path), "in quotes it is this file, however it is called"
        assert covers('path="./docs/a"', path)
    for path in ("docs/b", "docs", "other/a", "docs/a "):
        assert not covers('path="docs/a"', path), path
    assert covers('path="docs/*"', "docs/*")
    assert not covers('path="docs/*"', "docs/a"), "in quotes a star is a star"
    assert covers("path=docs/**", "docs/b/c/a")
    assert not covers("path=docs/**", "docs/out/a")
    for between in ("", "a/", "a/b/", "a/b/c/", "z/a/"):
        assert covers("path=docs/**/z/*.md", f"docs/{between}z/x.md"), between
    assert not covers("path=docs/**/z/*.md", "docs/a/z/b/x.md")
    assert not covers("path=*", "docs/a")
    assert covers(f"path={second}/docs/*", str(second / "docs/a"))


def test_every_argument_is_shown_or_required_or_at_its_default() -> None:
    tools = builtin(Folders([Path.cwd()]))
    assert _covers("run_command(ls)", "run_command", {"command": "ls", "folder": ".", "timeout": 5}, tools)
    assert not _covers("run_command(ls)", "run_command", {"command": "ls", "folder": "docs"}, tools)
    assert _covers("run_command(ls, folder=**)", "run_command", {"command": "ls", "folder": "docs"}, tools)
    assert not _covers("write_file(path=a, content=x)", "write_file", {"path": "a", "content": "y"}, tools)
    rows = 'write_table(path=a.csv, rows="[{\\"x\\": 1, \\"y\\": 2}]")'
    assert _covers(rows, "write_table", {"path": "a.csv", "rows": [{"y": 2, "x": 1}]}, tools)
    assert not _covers(rows, "write_table", {"path": "a.csv", "rows": [{"y": 1, "x": 2}]}, tools)
    edit = {"path": "a", "old": "b", "new": "c"}
    assert _covers("edit_file(a)", "edit_file", edit, tools)
    assert not _covers("edit_file(a)", "edit_file", {**edit, "all": True}, tools)
    assert _covers("edit_file(path=a, all=true)", "edit_file", {**edit, "all": True}, tools)


@pytest.mark.parametrize(
    ("pattern", "fine", "wrong"),
    [
        ("*@example.com", ["ann@example.com"], ["x@evil.org, a@example.com", "a@example.com.org", "a/b@example.com"]),
        ("https://example.com/*", ["https://example.com/a"], ["https://example.com/a/b", "https://example.com/a?b"]),
        ("ab*ba", ["abba", "abxba"], ["aba", "ab"]),
        ("a*b*b", ["abb", "axbxb"], ["ab"]),
        ("*a*", ["ab", "a", "ba"], ["b"]),
        ("x*ab*bc*y", ["xabbcy", "xabxbcy"], ["xabcy"]),
        ("a*", ["a" * 2000], ["a" * 2001]),
        ("https://*.com/*", ["https://a.com/b"], ["https://evil.org?x=.com/a", "https://a.com/b?c"]),
        ("https://example.com/**", ["https://example.com/a/b?c"], ["https://example.com.org/a", "https://example.com/"]),
        ("https://*.example.com/**", ["https://a.example.com/b"], ["https://a@evil.org#.example.com/b"]),
        ("docs/*", ["docs/a", "docs/a..b"], ["docs/..", "docs/.", "docs\\..\\a", "docs/a\\b"]),
        ("docs/**", ["docs/a/b", "docs/..a"], ["docs/../a", "docs/a/../../b", "docs/a\\..\\..\\b"]),
        ("docs/**", ["docs/a%20b"], ["docs/%2e%2E/a", "docs/a%2f..%2fb", "docs/..;/a", "docs/..?a"]),
        ("../docs/*", ["../docs/a"], ["../docs/..", "../../docs/a"]),
    ],
)  # fmt: skip # one case a line
def test_a_star_in_a_text_stands_for_nothing_that_separates(pattern: str, fine: list[str], wrong: list[str]) -> None:
    def covers(to: str) -> bool:
        return _covers(f"send_email(to={pattern})", "send_email", {"to": to, "subject": "", "body": ""})

    assert [each for each in fine if not covers(each)] == []
    assert [each for each in wrong if covers(each)] == []


def test_what_is_not_given_is_covered_by_a_star_only() -> None:
    assert _command("run_command(ls, folder=*)", "ls")
    assert not _command("run_command(ls, folder=docs)", "ls")
    assert not _command("run_command(ls, timeout=5)", "ls")
    high = {"run_command": Risk.LOW, "run_command(ls, folder=docs)": Risk.HIGH}
    assert builtin(Folders([]), risks=high).risk("run_command", {"command": "ls"}) is Risk.LOW
    high = {"run_command": Risk.LOW, "run_command(ls, folder=*)": Risk.HIGH}
    assert builtin(Folders([]), risks=high).risk("run_command", {"command": "ls"}) is Risk.HIGH


def test_a_pattern_without_a_name_is_that_of_the_first_text() -> None:
    schema: dict[str, JSON] = {"type": "object", "properties": {"n": {"type": "integer"}, "q": {"type": "string"}}}
    tools = Registry([replace(TOOLS.known("tell"), name="look", parameters=schema)])
    assert _covers("look(x, n=*)", "look", {"q": "x", "n": 1}, tools)
    assert not _covers("look(x, n=*)", "look", {"q": "y", "n": 1}, tools)


def test_a_pattern_that_no_simple_command_has_raises_all_and_lowers_none() -> None:
    tools = builtin(Folders([]), risks={"run_command": Risk.LOW, "run_command(a;b)": Risk.HIGH})
    assert tools.risk("run_command", {"command": "make"}) is Risk.HIGH
    assert not _command("run_command(a;b)", "a")


def test_a_pattern_is_matched_in_linear_time() -> None:
    pattern, text = "*a" * 900 + "b", "a" * 2000
    for _ in range(20):  # one that goes back would not end
        assert not _covers(f"send_email(to={pattern})", "send_email", {"to": text, "subject": "", "body": ""})
        assert not _command(f"run_command(x {pattern})", f"x {text}")


def test_what_cannot_be_told_counts_for_a_rule_that_raises_and_not_for_one_that_lowers(tmp_path: Path) -> None:
    folders = Folders([tmp_path])

    def risk(risks: Mapping[str, Risk], tool: str, **arguments: JSON) -> Risk:
        return builtin(folders, risks=risks).risk(tool, arguments)

    lowered = {"run_command": Risk.MEDIUM, "run_command(git push*)": Risk.HIGH}
    for command in (
        "git push",
        "GIT push -f",
        "cd x && git push",
        "{{1}}",
        "/usr/bin/git push",
        "git -C . push",
        "timeout 5 git push",
        "sh -c 'git push'",
        "A=1 git push",
        "env git push -f",
        "sudo -u me git push",
        "nice /bin/git push x",
    ):
        assert risk(lowered, "run_command", command=command) is Risk.HIGH, command
    secret = {"run_command": Risk.MEDIUM, "run_command(cat secret/*)": Risk.HIGH}
    for command in ("cat secret/a", "cat -n ./secret/a", "cat docs/../secret/a", "cat secret//a"):
        assert risk(secret, "run_command", command=command) is Risk.HIGH, command
    for command in ("git status", "push git", "legit push"):
        assert risk(lowered, "run_command", command=command) is Risk.MEDIUM, command
    exact = {"run_command": Risk.MEDIUM, 'run_command("rm -r x")': Risk.HIGH, "run_command(./go *)": Risk.HIGH}
    for command, is_high in (("rm -r x", True), ("/bin/rm -r x", True), ("rm -r y", False), ("./go on", True)):
        assert (risk(exact, "run_command", command=command) is Risk.HIGH) == is_high, command
    for path, is_high in (
        ("secret/a", True),
        ("SECRET/a", True),
        ("docs/a", False),
        ("{{1}}", True),
    ):
        found = risk({"write_file(path=secret/*)": Risk.HIGH}, "write_file", path=path, content="x")
        assert (found is Risk.HIGH) == is_high, path


def test_a_rule_that_raises_finds_what_a_path_leads_to_and_what_a_text_may_mean(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/link").symlink_to(tmp_path / "secret")
    folders = Folders([tmp_path])

    def is_high(rule: str, tool: str, **arguments: JSON) -> bool:
        risks = {tool: Risk.LOW, rule: Risk.HIGH}
        return builtin(folders, risks=risks).risk(tool, arguments) is Risk.HIGH

    for path, high in (("docs/link/a", True), ("secret/a", True), ("docs/a", False), ("a\u200b", True)):
        assert is_high("write_file(path=secret/*)", "write_file", path=path, content="x") == high, path
    for url, high in (("https://EVIL.example/x?y=1", True), ("https://good.example/", False)):
        assert is_high("fetch_url(url=*evil*)", "fetch_url", url=url) == high, url
    assert is_high("fetch_url(url=*evil*)", "fetch_url", url="https://good.example/" + "x" * 2000), "nobody looks"
    assert is_high("fetch_url(url=*)", "fetch_url", url="https://good.example/")


def test_the_last_rule_that_fits_counts_and_what_is_always_asked_about_stays_so(tmp_path: Path) -> None:
    risks = {"run_command(git *)": Risk.LOW, "run_command(git push*)": Risk.HIGH, "write_file(path=**)": Risk.LOW}
    tools = builtin(Folders([tmp_path]), risks=risks)
    assert tools.risk("run_command", {"command": "git status"}) is Risk.LOW
    assert tools.risk("run_command", {"command": "git push"}) is Risk.HIGH
    assert tools.risk("run_command", {"command": "ls"}) is Risk.HIGH
    assert tools.risk("write_file", {"path": "a", "content": "x"}) is Risk.LOW
    assert tools.risk("write_file", {"path": ".mcp.json", "content": "x"}) is Risk.HIGH
    assert tools.offers("write_file", {"path": ".mcp.json", "content": "x"}) == []
    assert not tools.covered("write_file(path=**)", "write_file", {"path": ".git/hooks/x", "content": "x"})


@pytest.mark.parametrize(
    ("command", "offered"),
    [
        ("pytest tests/a.py -q", ["run_command(pytest tests/a.py -q)", "run_command(pytest *)"]),
        ("git status -s", ["run_command(git status -s)", "run_command(git status *)"]),
        ("git push", ["run_command(git push)"]),
        ("git diff", ["run_command(git diff)"]),  # it has an option --output
        ("git grep x", ["run_command(git grep x)"]),  # and this one opens what it finds in a program
        ("git -c core.pager=x status", ['run_command("git -c core.pager=x status")']),
        ("tar xf a", ["run_command(tar xf a)"]),
        ("cp a b", ["run_command(cp a b)"]),
        ("RM x", ["run_command(RM x)"]),
        ("vim a", ["run_command(vim a)"]),
        ("forethought rules", ["run_command(forethought rules)"]),
        ("sh build.sh", ["run_command(sh build.sh)"]),
        ("python3.12 x.py", ["run_command(python3.12 x.py)"]),
        ("npm run build", ["run_command(npm run build)"]),
        ('echo "a, b"', ['run_command("echo \\"a, b\\"")', "run_command(echo *)"]),
        ("ls && rm x", []),
    ],
)
def test_few_rules_are_offered_from_narrow_to_wide(command: str, offered: list[str]) -> None:
    assert TOOLS.offers("run_command", {"command": command, "timeout": 30}) == offered


@given(st.dictionaries(st.sampled_from(["command", "folder", "timeout"]), st.text(max_size=30), min_size=1))
def test_what_is_offered_covers_the_call_and_names_each_of_its_arguments(arguments: dict[str, str]) -> None:
    for text in TOOLS.offers("run_command", arguments):
        assert _covers(text, "run_command", arguments)
        assert text.isprintable()


def test_files_are_offered_with_their_folder(tmp_path: Path) -> None:
    tools = builtin(Folders([tmp_path]))
    assert tools.offers("delete_file", {"path": "docs/a.md"}) == ["delete_file(docs/a.md)", "delete_file(docs/*)"]
    assert tools.offers("write_file", {"path": str(tmp_path / "a"), "content": "x*"}) == [
        'write_file(path=a, content="x*")',
        "write_file(path=a, content=*)",
        "write_file(path=*, content=*)",
    ]


def test_nothing_is_offered_for_a_call_that_says_nothing() -> None:
    assert TOOLS.offers("run_command", {}) == TOOLS.offers("run_command", {"timeout": 30}) == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("rule", "files"),
    [
        ("run_command(sh *)", []),
        ("run_command(sh build.sh *)", ["build.sh"]),
        ("run_command(sh build.sh other.sh)", ["build.sh", "other.sh"]),
        ('run_command("sh build.sh other.sh")', ["build.sh", "other.sh"]),
        ('run_command(command=sh *, folder="{folder}")', []),
    ],
)
async def test_a_rule_rests_on_the_files_that_it_names_and_on_none_that_it_leaves_open(
    tmp_path: Path, rule: str, files: list[str]
) -> None:
    for name in ("build.sh", "other.sh"):
        (tmp_path / name).write_text("echo done", encoding="utf-8")
    tools = builtin(Folders([tmp_path]))
    command: dict[str, JSON] = {"command": "sh build.sh other.sh", "folder": str(tmp_path)}
    bound = await tools.bound_to(rule.replace("{folder}", str(tmp_path)), "run_command", command)
    assert sorted(Path(name).name for name in bound) == files, bound


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("t(a=f(x, y), b=z)", {"a": Part("f(x, y)"), "b": Part("z")}),
        ('t(a="", b=z)', {"a": Part("", literal=True), "b": Part("z")}),
        ('t(a="x" or "y")', {"a": Part('"x" or "y"')}),
        ("t(a=null)", {"a": Part("null")}),
    ],
)
def test_a_pattern_may_hold_brackets_or_quotes_or_nothing(text: str, parts: dict[str, Part]) -> None:
    assert read_rule(text).arguments == parts


def test_a_rule_raises_calls_of_its_own_tool_and_of_no_other(tmp_path: Path) -> None:
    risks = {"write_file": Risk.HIGH, "fetch_url(url=*evil*)": Risk.HIGH}
    tools = builtin(Folders([tmp_path]), risks=risks)
    assert tools.risk("write_file", {"path": "a", "content": "x"}) is Risk.HIGH
    assert tools.risk("fetch_url") is Risk.HIGH, "nobody can tell yet what it is given"
    assert tools.risk("read_file", {"path": "a"}) is Risk.LOW
