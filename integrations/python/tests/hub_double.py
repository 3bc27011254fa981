"""A server that speaks the interface of the Hugging Face hub, for the real huggingface_hub: the repository me/packed has one .lqa file."""
import hashlib
import http.server
import json
import os
import tempfile
import threading

from support import Quiet

TOKEN = "hf_testtoken"
SHA = "5" * 40


class Store(Quiet):
    """The host that the hub sends downloads to."""

    def do_GET(self) -> None:
        self.server.seen.append(dict(self.headers))
        self.answer(200, self.server.data, etag=f'"{self.server.digest}"')


class Hub(Quiet):
    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("authorization")))
        error = {"/me/nowhere": (401, "RepoNotFound", "Repository not found"), "/me/gated": (403, "GatedRepo", "Access is restricted"),
                 "revision/v9": (404, "RevisionNotFound", "Invalid rev id")}
        for part, (status, code, message) in error.items():
            if part in self.path:
                return self.answer(status, json.dumps({"error": message}).encode(), x_error_code=code, x_error_message=message)
        name, size, digest = self.server.name, self.server.size, self.server.store.digest
        if self.path.startswith("/api/models/me/packed/revision/"):
            files = [{"rfilename": "README.md", "size": 2, "blobId": "1" * 40},
                     {"rfilename": name, "size": size, "blobId": "2" * 40, "lfs": {"sha256": digest, "size": size, "pointerSize": 130}}]
            return self.answer(200, json.dumps({"id": "me/packed", "sha": SHA, "siblings": files}).encode(), content_type="application/json")
        if self.path == f"/me/packed/resolve/{SHA}/{name}":
            place = f"http://127.0.0.1:{self.server.store.server_port}/object?signature=secret"
            return self.answer(302, location=place, x_repo_commit=SHA, x_linked_etag=f'"{digest}"', x_linked_size=str(size))
        return self.answer(404, x_error_code="EntryNotFound")


    def do_POST(self) -> None:
        """Takes commits: `server.commits` has the lines of each."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((self.path, self.headers.get("authorization")))
        if "/preupload/" in self.path:
            names = [each["path"] for each in json.loads(body)["files"]]
            reply = {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]}
        elif "/commit/" in self.path:
            self.server.commits.append([json.loads(line) for line in body.splitlines()])
            reply = {"commitUrl": f"http://127.0.0.1/me/packed/commit/{SHA}", "commitOid": SHA, "success": True}
        else:
            reply = {"url": "http://127.0.0.1/me/nowhere", "errors": [], "warnings": []}
        return self.answer(200, json.dumps(reply).encode(), content_type="application/json")


class HubDouble:
    """The hub with one file, and the host that has its bytes.

    Attributes:
        hub, store: the servers, with what they were asked as `seen`; `store.data` is what is downloaded.
    """

    def __init__(self, data: bytes, name: str = "a.lqa") -> None:
        self.hub, self.store = (http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (Hub, Store))
        self.hub.commits = []
        self.hub.seen, self.hub.store, self.hub.name, self.store.seen = [], self.store, name, []
        self.holds(data)
        for server in (self.hub, self.store):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self.home = tempfile.TemporaryDirectory()

    def holds(self, data: bytes) -> None:
        self.hub.size, self.store.data, self.store.digest = len(data), data, hashlib.sha256(data).hexdigest()

    def environment(self) -> dict[str, str]:
        """Of a process of its own: huggingface_hub reads its settings when it is imported."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGINGFACE"))}
        return clean | {"HF_ENDPOINT": f"http://127.0.0.1:{self.hub.server_port}", "HF_HOME": self.home.name, "HF_TOKEN": TOKEN,
                        "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

    def close(self) -> None:
        for server in (self.hub, self.store):
            server.shutdown()
            server.server_close()
        self.home.cleanup()
