"""A language model's HTTP server on loopback: both wire formats, scripted answers, and every fault a real one has.

Tests reach it through litellm's own HTTP path. A script is a list of replies, or a function from the request to one;
when a list is used up, its last reply is repeated.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Says:
    """A complete answer."""

    text: str
    finish: str = "stop"
    input_tokens: int | None = None
    """Reported usage; by default about a token for each four characters."""
    output_tokens: int | None = None
    cached_tokens: int = 0
    refusal: str | None = None


@dataclass(frozen=True)
class Fails:
    """An error of the protocol."""

    status: int
    message: str = "it failed"
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Drops:
    """The connection is reset in the middle, headers sent or not."""

    after_headers: bool = False


@dataclass(frozen=True)
class Hangs:
    """Nothing is answered for so long."""

    seconds: float


@dataclass(frozen=True)
class Garbles:
    """A body that is none of the protocol's."""

    body: bytes = b"<html>a proxy's page</html>"
    status: int = 200


Reply = Says | Fails | Drops | Hangs | Garbles
Script = Sequence[Reply] | Callable[[dict[str, Any]], Reply]


class ModelServer:
    """Serves a script on a free loopback port; `asked` holds every request body, `keys` the keys they came with."""

    def __init__(self, script: Script, key: str | None = None) -> None:
        self.script = script
        self.key = key
        """Where set, requests with another one are refused with 401."""
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.paths: list[str] = []
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def address(self) -> str:
        """Scheme, host and port; the OpenAI protocol's base has `/v1` behind it."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def reply(self, body: dict[str, Any]) -> Reply:
        """The next reply of the script."""
        with self._lock:
            self.asked.append(body)
            number = len(self.asked) - 1
        if callable(self.script):
            return self.script(body)
        return self.script[min(number, len(self.script) - 1)]

    def hold(self, seconds: float) -> None:
        """Wait, but not past the end of the test."""
        self._released.wait(seconds)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
                anthropic = self.path.endswith("/messages")
                key = self.headers.get("x-api-key") or self.headers.get("Authorization", "").removeprefix("Bearer ")
                server.keys.append(key)
                server.paths.append(self.path)
                reply = server.reply(body)
                if server.key is not None and key != server.key:
                    reply = Fails(401, f"Incorrect API key provided: {key}", "invalid_api_key")
                self._send(reply, body, anthropic)

            def _send(self, reply: Reply, body: dict[str, Any], anthropic: bool) -> None:
                match reply:
                    case Says():
                        answer = anthropic_answer(reply, body) if anthropic else openai_answer(reply, body)
                        self._write(200, json.dumps(answer).encode())
                    case Fails():
                        self._write(reply.status, json.dumps(error_body(reply, anthropic)).encode(), reply.headers)
                    case Garbles():
                        self._write(reply.status, reply.body, {"Content-Type": "text/html"})
                    case Hangs():
                        server.hold(reply.seconds)
                        self.close_connection = True
                    case Drops():
                        if reply.after_headers:
                            self.wfile.write(
                                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{"
                            )
                        # Closing with unsent data lingering for no time sends a reset.
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        self.close_connection = True

            def _write(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        return Handler


def openai_answer(reply: Says, body: dict[str, Any]) -> dict[str, Any]:
    """A chat completion."""
    used = _usage(reply, body)
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": reply.text, "refusal": reply.refusal},
                "finish_reason": reply.finish,
            }
        ],
        "usage": {
            "prompt_tokens": used[0],
            "completion_tokens": used[1],
            "total_tokens": sum(used),
            "prompt_tokens_details": {"cached_tokens": reply.cached_tokens},
        },
    }


def anthropic_answer(reply: Says, body: dict[str, Any]) -> dict[str, Any]:
    """A message."""
    used = _usage(reply, body)
    stop = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}[reply.finish]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": reply.text}],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": used[0] - reply.cached_tokens,
            "output_tokens": used[1],
            "cache_read_input_tokens": reply.cached_tokens,
            "cache_creation_input_tokens": 0,
        },
    }


def error_body(reply: Fails, anthropic: bool) -> dict[str, Any]:
    """An error as the protocol spells it."""
    if anthropic:
        kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}
        return {
            "type": "error",
            "error": {"type": reply.code or kinds.get(reply.status, "api_error"), "message": reply.message},
        }
    return {"error": {"message": reply.message, "type": "error", "param": None, "code": reply.code}}


def prompt_text(body: dict[str, Any]) -> str:
    """All that a request says to the model, whichever the protocol."""
    parts = [body.get("system", ""), *(message["content"] for message in body["messages"])]
    return "\n".join(
        part if isinstance(part, str) else "".join(block.get("text", "") for block in part) for part in parts
    )


def _usage(reply: Says, body: dict[str, Any]) -> tuple[int, int]:
    written = len(prompt_text(body)) // 4 + 1
    return (
        written if reply.input_tokens is None else reply.input_tokens,
        len(reply.text) // 4 + 1 if reply.output_tokens is None else reply.output_tokens,
    )
