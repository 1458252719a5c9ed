"""`forethought doctor` asks the model for real, and ends with 1 where it would not answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.endpoints.fake import Body, Endpoint, Reply, refused, said

COMMAND = str(Path(sys.executable).parent / "forethought")


def _doctor(tmp_path: Path, work: Path, **settings: str) -> tuple[int, str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "FORETHOUGHT_HOME": str(tmp_path / "home")}
    environment |= {"FORETHOUGHT_FOLDERS": str(work), "FORETHOUGHT_MODEL": "m", "COLUMNS": "200", **settings}
    done = subprocess.run(
        [COMMAND, "doctor"], env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


def _fine(body: Body) -> Reply:
    return said('{"even": true}') if "even" in str(body["messages"]) else said("ready")


def test_a_model_that_answers_is_told_with_what_it_cannot_do(tmp_path: Path, work: Path, endpoint: Endpoint) -> None:
    endpoint.reply = lambda body: refused("no json_schema") if "json_schema" in str(body) else _fine(body)
    status, told = _doctor(tmp_path, work, FORETHOUGHT_BASE_URL=endpoint.base_url)
    assert status == 0, told
    assert f"m at {endpoint.base_url}, in words and as JSON" in told
    assert "by JSON mode: the endpoint takes no strict JSON schema" in told


@pytest.mark.parametrize(
    ("reply", "mend"),
    [
        (refused("wrong key sk-secret-0123456789", 401), "FORETHOUGHT_API_KEY"),
        (refused("model 'm' not found", 404), "FORETHOUGHT_MODEL"),
        (refused("You exceeded your quota", 429, code="insufficient_quota"), "Add credit"),
        ((200, "<html><title>Router</title></html>"), "FORETHOUGHT_BASE_URL"),
        (said("ready"), "no answer that fits the schema"),
    ],
)
def test_a_model_that_does_not_answer_is_a_fault_with_its_mend(
    tmp_path: Path, work: Path, endpoint: Endpoint, reply: Reply, mend: str
) -> None:
    endpoint.reply = lambda _: reply
    key = "sk-secret-0123456789"
    status, told = _doctor(tmp_path, work, FORETHOUGHT_BASE_URL=endpoint.base_url, FORETHOUGHT_API_KEY=key)
    assert status == 1, told
    assert mend in told
    assert key not in told


@pytest.mark.parametrize(
    ("address", "mend"),
    [
        ("127.0.0.1:1", "cannot be reached"),
        ("http://no-such-host.invalid/v1", "Correct the host"),
    ],
)
def test_an_endpoint_that_is_not_there_is_a_fault(tmp_path: Path, work: Path, address: str, mend: str) -> None:
    status, told = _doctor(tmp_path, work, FORETHOUGHT_BASE_URL=address)
    assert status == 1
    assert mend in told


@pytest.mark.parametrize(
    ("content", "mend"),
    [(None, "cannot be read (No such file"), (b"PK\x03\x04", "is not a GGUF file"), (b"", "is not a GGUF file")],
)
def test_a_model_file_that_cannot_be_run_is_a_fault(
    tmp_path: Path, work: Path, content: bytes | None, mend: str
) -> None:
    pytest.importorskip("xllamacpp")
    file = tmp_path / "my.gguf"
    if content is not None:
        file.write_bytes(content)
    status, told = _doctor(tmp_path, work, FORETHOUGHT_MODEL=f"local:{file}")
    assert status == 1
    assert mend in told
    assert "FORETHOUGHT_MODEL" in told


def test_a_model_file_that_is_larger_than_the_memory_is_a_fault(tmp_path: Path, work: Path) -> None:
    pytest.importorskip("xllamacpp")
    with (tmp_path / "huge.gguf").open("wb") as file:
        file.write(b"GGUF")
        file.truncate(4 << 40)  # a hole, which takes no room
    status, told = _doctor(tmp_path, work, FORETHOUGHT_MODEL="local:~/huge.gguf")
    assert status == 1
    assert "GB of memory" in told


@pytest.mark.parametrize(
    ("wanted", "told_of_it"),
    [
        ("", "m: FORETHOUGHT_MODEL or --model names it"),
        ("model", "m: FORETHOUGHT_MODEL or --model names it"),
        ("caller", "the calling agent: FORETHOUGHT_AGENT=caller says so"),
    ],
)
def test_who_is_the_agent_of_a_step_is_told_with_why(
    tmp_path: Path, work: Path, endpoint: Endpoint, wanted: str, told_of_it: str
) -> None:
    endpoint.reply = _fine
    more = {"FORETHOUGHT_AGENT": wanted} if wanted else {}
    status, told = _doctor(tmp_path, work, FORETHOUGHT_BASE_URL=endpoint.base_url, **more)
    assert status == 0, told
    assert told_of_it in " ".join(told.split())
