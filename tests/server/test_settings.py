"""Settings are read from the environment, and what is secret stays secret."""

import json
import os
import re
from pathlib import Path

import pytest

from forethought.app import open_store, seal_key, tools_for
from forethought.journal.rows import Fact
from forethought.models import Models
from forethought.settings import Settings
from forethought_tools import JSON, Question, Role, SettingsError, ToolError
from forethought_tools.folders import Folders


def _read(tmp_path: Path, **environment: str) -> Settings:
    return Settings.read({"FORETHOUGHT_HOME": str(tmp_path / "home"), **environment})


async def _nobody(question: Question) -> JSON:
    raise AssertionError(question)


def test_folders_are_those_named_with_the_platforms_separator(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    named = os.pathsep.join([str(tmp_path / "one"), str(tmp_path / "two")])
    assert _read(tmp_path, FORETHOUGHT_FOLDERS=named).folders == (tmp_path / "one", tmp_path / "two")


def test_without_names_it_is_the_working_folder_unless_home_or_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _read(tmp_path).folders == (tmp_path,)
    monkeypatch.chdir(Path.home())
    assert _read(tmp_path).folders == ()
    monkeypatch.chdir("/")
    assert _read(tmp_path).folders == ()


@pytest.mark.parametrize("name", ["MAX_REPLANS", "MAX_PARALLEL"])
def test_a_count_is_a_whole_number(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=f"FORETHOUGHT_{name}: '1.5' is no whole number"):
        _read(tmp_path, **{f"FORETHOUGHT_{name}": "1.5"})
    terms = _read(tmp_path, **{f"FORETHOUGHT_{name}": "2.0"}).terms
    assert {"MAX_REPLANS": terms.max_replans, "MAX_PARALLEL": terms.max_parallel}[name] == 2


def test_errors_name_granted_folders_without_where_they_lie(tmp_path: Path) -> None:
    named = [tmp_path / "reports", tmp_path / "notes"]
    for folder in named:
        folder.mkdir()
    for granted in (named[:1], named):
        folders = Folders(granted)
        for path in ("../x", "/etc/x", "not-there.txt", str(tmp_path / "x")):
            with pytest.raises(ToolError, match="'reports'") as refused:
                folders.resolve(path)
            assert str(tmp_path) not in str(refused.value).replace(path, "")


def test_the_model_is_chosen_in_order_and_the_choice_is_explained(tmp_path: Path) -> None:
    chosen = {
        "host": Models(_read(tmp_path, FORETHOUGHT_MODEL="host", FORETHOUGHT_API_KEY="sk-123456")).chosen,
        "endpoint": Models(_read(tmp_path, FORETHOUGHT_BASE_URL="http://127.0.0.1:1/v1")).chosen,
        "key": Models(_read(tmp_path, OPENAI_API_KEY="sk-123456")).chosen,
        "nothing": Models(_read(tmp_path)).chosen,
    }
    assert {name: spec for name, (spec, _) in chosen.items()} == {
        "host": "host",
        "endpoint": "gpt-5.4-mini",
        "key": "gpt-5.4-mini",
        "nothing": "host",
    }
    assert "FORETHOUGHT_BASE_URL is set" in chosen["endpoint"][1]
    assert "forethought model fetch" in chosen["nothing"][1]


def test_roles_can_have_models_of_their_own(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('{"executor": []}', encoding="utf-8")
    models = Models(_read(tmp_path, FORETHOUGHT_MODEL="host", FORETHOUGHT_MODEL_EXECUTOR=f"scripted:{script}"))
    assert models.for_role(Role.PLANNER) is None
    assert models.for_role(Role.EXECUTOR) is not None


def test_a_name_that_is_no_setting_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(SettingsError, match=r"FORETHOUGHT_ASK_FORM.*Did you mean FORETHOUGHT_ASK_FROM"):
        Settings.read({"FORETHOUGHT_ASK_FORM": "low"})
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(FORETHOUGHT_\w+)`", page, re.MULTILINE))
    assert len(told) > 15
    assert Settings.read(dict.fromkeys(told, ""))


def test_secrets_stay_out_of_the_journal_and_of_reprs(tmp_path: Path) -> None:
    settings = _read(
        tmp_path,
        FORETHOUGHT_API_KEY='key-with-"quote"',
        FORETHOUGHT_SMTP_URL="smtp://me:hunter-two-two@mail.example.org",
        FORETHOUGHT_SMTP_FROM="me@example.org",
        FORETHOUGHT_SEARXNG_URL="http://me:pass%2Fword%C3%A4@search.example.org",
    )
    assert "hunter-two-two" not in repr(settings)
    assert "key-with" not in repr(settings)
    store = open_store(settings)
    said = 'login key-with-"quote" and hunter-two-two, pass/wordä, pass%2Fword%C3%A4 '
    said += json.dumps(json.dumps({"key": 'key-with-"quote"', "other": "pass/wordä"}))
    run: dict[str, JSON] = {"plan": "p", "kind": "plan", "options": {"x": said}, "revision": 1, "budget": {}}
    store.commit("r", Fact("run_created", {**run, "owner": "o", "steps": []}))
    store.close()
    written = b"".join(file.read_bytes() for file in settings.home.iterdir())
    assert b"[secret withheld]" in written
    assert b"hunter-two-two" not in written
    assert b"key-with" not in written
    assert b"pass" not in written


@pytest.mark.parametrize("password", ["pa[ss-word-77", "pa%ss-word-77", "pa@ss-word-77", "pa ss-word-77"])
@pytest.mark.parametrize("name", ["STORE", "BASE_URL", "SEARXNG_URL", "MODEL_HUB"])
def test_an_address_that_can_be_misread_is_refused_and_not_repeated(tmp_path: Path, name: str, password: str) -> None:
    with pytest.raises(SettingsError, match=f"FORETHOUGHT_{name}: not an address.*percent-encoded") as refused:
        _read(tmp_path, **{f"FORETHOUGHT_{name}": f"postgresql://me:{password}@h/x"})
    assert "word-77" not in str(refused.value)


def test_addresses_of_a_postgresql_are_taken_as_its_own_tools_take_them(tmp_path: Path) -> None:
    settings = _read(tmp_path, FORETHOUGHT_STORE=" postgres://me@one:1,two:2/x?password=hunter-two-two ")
    assert settings.store == "postgresql://me@one:1,two:2/x?password=hunter-two-two"
    assert settings.secrets == {"hunter-two-two"}
    assert settings.journal == "postgresql://one:1,two:2/x"


@pytest.mark.anyio
async def test_the_password_of_the_database_is_not_told_to_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter-two-two")
    monkeypatch.setenv("HARMLESS", "harmless")

    tool = tools_for(_read(tmp_path, FORETHOUGHT_FOLDERS=str(tmp_path))).known("run_command")
    said = str(await tool.run({"command": "env"}, _nobody))
    assert "harmless" in said
    assert "hunter-two-two" not in said


def test_a_mailbox_needs_a_sender_and_a_known_scheme(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="FORETHOUGHT_SMTP_FROM"):
        _read(tmp_path, FORETHOUGHT_SMTP_URL="smtp://h")
    with pytest.raises(SettingsError, match="FORETHOUGHT_SMTP_URL"):
        _read(tmp_path, FORETHOUGHT_SMTP_URL="http://h", FORETHOUGHT_SMTP_FROM="a@b")
    mailbox = _read(tmp_path, FORETHOUGHT_SMTP_URL="smtps://u%40x:p@h", FORETHOUGHT_SMTP_FROM="a@b").mailbox
    assert mailbox is not None
    assert (mailbox.user, mailbox.port, mailbox.security) == ("u@x", 465, "tls")


@pytest.mark.anyio
async def test_tools_cannot_touch_the_home_though_it_lies_in_a_granted_folder(tmp_path: Path) -> None:
    settings = _read(tmp_path, FORETHOUGHT_FOLDERS=str(tmp_path))
    seal_key(settings.home)
    with pytest.raises(ToolError, match="outside the granted folders"):
        await tools_for(settings).call("write_file", {"path": "home/state.key", "content": "x"}, _nobody)


def test_a_folder_in_the_home_cannot_be_granted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home" / "work").mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"FORETHOUGHT_FOLDERS: .* lies in FORETHOUGHT_HOME"):
        _read(tmp_path, FORETHOUGHT_FOLDERS=str(tmp_path / "home" / "work"))
    monkeypatch.chdir(tmp_path / "home" / "work")
    assert _read(tmp_path).folders == ()


def test_a_damaged_key_is_told_with_what_to_do(tmp_path: Path) -> None:
    seal_key(tmp_path)
    (tmp_path / "state.key").write_bytes(b"")
    with pytest.raises(SettingsError, match=r"state\.key is damaged\. Delete it"):
        seal_key(tmp_path)
