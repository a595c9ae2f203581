"""Just enough of a W&B server, on this machine, to receive what ``wandb sync`` uploads."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Received:
    """What was uploaded.

    Attributes:
        run: what the run was first called, its group, job type, tags, ....
        streams: the lines of each streamed file, such as ``wandb-history.jsonl``.
        files: the content of every other file by its path; those of artifacts are below ``artifact/``.
    """

    def __init__(self) -> None:
        self.run: dict[str, Any] = {}
        self.streams: dict[str, list[dict[str, Any]]] = {}
        self.files: dict[str, bytes] = {}


def upload(name: str, url: str) -> dict[str, Any]:
    return {"name": name, "storagePath": name, "uploadUrl": f"{url}/{name}", "uploadHeaders": []}


def answer(operation: str, given: dict[str, Any], url: str) -> dict[str, Any]:
    """The data of a GraphQL answer; nothing for what need not be known."""
    run = {"id": "run", "name": given.get("name"), "project": {"name": "fmtt", "entity": {"name": "me"}}}
    manifest = {"id": "manifest", "file": {"id": "file", **upload("manifest.json", url)}}
    asked = given.get("input", {}).get("artifactFiles", [])
    nodes = [{"node": {**upload(f"artifact/{file['name']}", url), "artifact": {"id": "artifact"}}} for file in asked]
    known: dict[str, dict[str, Any]] = {
        "UpsertBucket": {"upsertBucket": {"bucket": run, "inserted": True}},
        "CreateRunFiles": {
            "createRunFiles": {"runID": "run", "files": [upload(f, url) for f in given.get("files", [])]}
        },
        "CreateArtifact": {"createArtifact": {"artifact": {"id": "artifact", "state": "PENDING"}}},
        "CreateArtifactManifest": {"createArtifactManifest": {"artifactManifest": manifest}},
        "CreateArtifactFiles": {"createArtifactFiles": {"files": {"edges": nodes}}},
    }
    return known.get(operation, {})


@contextmanager
def wandb_server() -> Iterator[tuple[str, Received]]:
    """The address of a server that is running, and what it receives."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.content())
            if self.path != "/graphql":
                for name, stream in body.get("files", {}).items():
                    received.streams.setdefault(name, []).extend(json.loads(line) for line in stream["content"])
                return self.reply({})
            given = body.get("variables") or {}
            if body.get("operationName") == "UpsertBucket" and not received.run:
                received.run = given
            return self.reply({"data": answer(body.get("operationName", ""), given, f"http://{self.headers['Host']}")})

        def do_PUT(self) -> None:
            received.files[self.path.lstrip("/")] = self.content()
            self.reply({})

        def content(self) -> bytes:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return gzip.decompress(content) if self.headers.get("Content-Encoding") == "gzip" else content

        def reply(self, value: dict[str, Any]) -> None:
            content = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()
