"""Who may ask `rsi view`, and what it answers: over real HTTP, from a real process."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import Server, viewing

from rsi.testing.altering import load, store

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def shelf(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, one that can go on, a broken one, one that is none of ours, and no run."""
    folder = tmp_path_factory.mktemp("shelf")
    shutil.copytree(pristine, folder / "finished")
    going_on = Path(shutil.copytree(pristine, folder / "going-on"))
    store(going_on, load(going_on)[:-1])
    broken = Path(shutil.copytree(pristine, folder / "broken"))
    lines = (broken / "ledger.jsonl").read_text().splitlines(keepends=True)
    (broken / "ledger.jsonl").write_text("".join([*lines[:20], lines[20].replace('"seq":20', '"seq":21'), *lines[21:]]))
    newer = Path(shutil.copytree(pristine, folder / "newer"))
    events = load(newer)
    events[0]["schema"] = 99
    store(newer, events)
    (folder / "no run").mkdir()
    return folder


@pytest.fixture(scope="module")
def server(shelf: Path) -> Iterator[Server]:
    """Of that folder."""
    with viewing(shelf) as running:
        yield running


def ask(
    server: Server, path: str, method: str = "GET", *, host: str = "", cookie: str | None = None
) -> tuple[int, dict[str, str], str]:
    """One request; with the right cookie and Host unless others are given."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    headers = {"Host": host or f"127.0.0.1:{server.port}"}
    headers["Cookie"] = f"rsi-view-{server.port}={server.token}" if cookie is None else cookie
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, answer.read().decode()
    finally:
        connection.close()


def test_nobody_comes_in_without_the_token(server: Server) -> None:
    for cookie in ("", "other=1", f"rsi-view-{server.port}=", f"rsi-view-{server.port}=wrong", "a=b; ;;\x7f="):
        for path in (
            "/",
            "/runs/finished",
            "/runs/finished/events",
            "/runs/finished/rows",
            "/?token=",
            "/?token=wrong",
        ):
            status, _, text = ask(server, path, cookie=cookie)
            assert status == 403
            assert "rsi view" in text
            assert "finished" not in text


def test_the_token_becomes_a_cookie_and_leaves_the_address(server: Server) -> None:
    for path in (f"/?token={server.token}", f"//attacker.invalid/?token={server.token}"):
        status, headers, _ = ask(server, path, cookie="")
        assert (status, headers["location"]) == (303, "/")
        assert {"httponly", "samesite=strict", "path=/"} <= set(headers["set-cookie"].lower().split("; "))


@pytest.mark.parametrize(
    "host", ["attacker.invalid", "attacker.invalid:{port}", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:{port}"]
)
def test_another_host_is_not_answered(server: Server, host: str) -> None:
    status, _, text = ask(server, "/", host=host.format(port=server.port))
    assert status == 400
    assert "finished" not in text


def test_localhost_is_answered_as_well(server: Server) -> None:
    assert ask(server, "/", host=f"localhost:{server.port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_but_reading_is_possible(server: Server, method: str) -> None:
    status, headers, text = ask(server, "/", method)
    assert (status, headers["allow"], text) == (405, "GET, HEAD", "Nothing can be changed here.\n")


def test_every_answer_keeps_itself_where_it_is(server: Server) -> None:
    for path, cookie in (("/", None), ("/", ""), ("/nothing", None), ("/runs/finished/rows", None)):
        _, headers, _ = ask(server, path, cookie=cookie)
        rules = headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "connect-src 'self'"} <= set(rules)
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


def test_a_head_request_gets_the_headers_alone(server: Server) -> None:
    for path in ("/", "/runs/going-on/events"):
        status, _, text = ask(server, path, "HEAD")
        assert (status, text) == (200, "")


@pytest.mark.parametrize(
    "path",
    ["/runs/..%2F..%2Fetc", "/runs/%2e%2e", "/runs/..", "/runs/%2Fetc%2Fpasswd", "/runs/no%20run", "/runs/finished%00",
     "/runs/finished/experiments/99", "/runs/finished/experiments/-1", "/runs/x/integrity", "/static/../cli.py"],
)  # fmt: skip
def test_only_runs_of_the_listing_can_be_named(server: Server, path: str) -> None:
    status, _, text = ask(server, path)
    assert status == 404
    assert "This cannot be shown" in text


def test_it_listens_on_this_machine_s_loopback_address_alone(server: Server) -> None:
    with socket.socket() as other:
        other.settimeout(5)
        assert other.connect_ex(("127.0.0.2", server.port)) != 0


def test_the_list_shows_every_run_and_what_is_wrong_with_the_broken_ones(server: Server) -> None:
    _, _, page = ask(server, "/")
    for name in ("finished", "going-on", "broken", "newer"):
        assert f'href="/runs/{name}"' in page
    assert page.count('class="chip is-broken"') == 2
    assert "no run" not in page


def test_a_broken_run_is_shown_as_far_as_it_holds(server: Server) -> None:
    status, _, page = ask(server, "/runs/broken")
    assert status == 200
    assert "This record does not hold." in page
    _, _, page = ask(server, "/runs/broken/integrity")
    assert "it does not hold" in page
    status, _, page = ask(server, "/runs/newer")
    assert status in {200, 500}
    assert "newer" in page


def test_rows_are_the_table_as_json(server: Server) -> None:
    _, headers, text = ask(server, "/runs/finished/rows")
    assert headers["content-type"] == "application/json"
    assert [row[:2] for row in json.loads(text)][:2] == [[0, "baseline"], [1, "kept"]]


def test_comparing_wants_two_to_four_runs_that_there_are(server: Server) -> None:
    assert ask(server, "/compare?run=finished")[0] == 404
    assert ask(server, "/compare?run=finished&run=nothing")[0] == 404
    status, _, page = ask(server, "/compare?run=finished&run=going-on")
    assert status == 200
    assert page.count('class="stairs') == 2


def test_a_run_folder_itself_is_a_list_of_one(shelf: Path) -> None:
    with viewing(shelf / "finished") as server:
        assert ask(server, "/")[2].count('href="/runs/') == 1
        assert ask(server, "/runs/finished")[0] == 200


def test_looking_changes_nothing(shelf: Path, server: Server) -> None:
    def contents() -> dict[str, str]:
        found = sorted(path for path in shelf.rglob("*") if path.is_file())
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}

    before = contents()
    for page in ("", "/findings", "/integrity", "/experiments/1", "/rows"):
        assert ask(server, f"/runs/finished{page}")[0] == 200
    assert ask(server, "/findings")[0] == 200
    assert contents() == before


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "cli", "view", *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)


def test_a_port_in_use_is_said_in_a_sentence(server: Server, shelf: Path) -> None:
    done = command(str(shelf), "--port", str(server.port))
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert f"Port {server.port} cannot be had" in done.stderr


def test_a_folder_that_is_not_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    done = command(str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert "is no folder" in done.stderr


def test_a_folder_without_runs_is_served_and_said(tmp_path: Path) -> None:
    with viewing(tmp_path) as server:
        assert "There are no runs here" in ask(server, "/")[2]


def test_ctrl_c_ends_it_though_a_page_is_following_a_run(shelf: Path) -> None:
    with viewing(shelf) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        cookie = {"Cookie": f"rsi-view-{server.port}={server.token}"}
        connection.request("GET", "/runs/going-on/events", headers=cookie)
        following = connection.getresponse()
        assert following.readline() == b"event: news\n"
        assert server.end() == 0
        connection.close()


def test_the_stream_of_a_finished_run_ends_by_itself(server: Server) -> None:
    status, headers, text = ask(server, "/runs/finished/events")
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert text.startswith("event: news\ndata: {")
    assert json.loads(text.split("data: ", 1)[1])["over"] is True
