"""OCI registries as a source: a server that speaks their interface, and the registry of the Distribution project if it is there."""
import base64
import hashlib
import http.client
import http.server
import json
import os
import socket
import stat
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

import lqa
from support import EXAMPLE, Quiet

DATA = EXAMPLE.read_bytes()
ID = lqa.open(EXAMPLE).file_id
BASIC = "Basic " + base64.b64encode(b"me:pass:word").decode()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(path: str, data: bytes = DATA, **change: object) -> dict:
    return {"mediaType": "application/vnd.cncf.model.weight.v1.raw", "digest": digest(data), "size": len(data),
            "annotations": {"org.cncf.model.filepath": path}, **change}


def manifest(*layers: object, **change: object) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": layers, **change}).encode()


class Registry(Quiet):
    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("authorization")))
        self.server.respond(self)


def ranged(handler: Registry, data: bytes) -> None:
    first, _, last = handler.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
    begin, end = int(first), min(int(last or len(data)) + 1, len(data))
    handler.answer(206 if "range" in handler.headers else 200, data[begin:end], content_range=f"bytes {begin}-{end - 1}/{len(data)}")


class InARegistry(unittest.TestCase):
    def setUp(self) -> None:
        self.manifest, self.blob, self.realm, self.ask = manifest(layer("a.lqa")), DATA, "", ""
        self.registry, self.store = self.serve(self.respond), self.serve(lambda handler: ranged(handler, self.blob))
        self.host = f"127.0.0.1:{self.registry.server_port}"
        clean = {name: value for name, value in os.environ.items() if "DOCKER" not in name and name not in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR")}
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.config = Path(folder.name)
        change = mock.patch.dict(os.environ, {**clean, "DOCKER_CONFIG": folder.name}, clear=True)
        change.start()
        self.addCleanup(change.stop)

    def serve(self, respond: object) -> http.server.ThreadingHTTPServer:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
        server.seen, server.respond = [], respond
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def respond(self, handler: Registry) -> None:
        if handler.path.startswith("/token"):
            return handler.answer(200, json.dumps({"token": "a-token"}).encode())
        wanted = {"bearer": "Bearer a-token", "basic": BASIC, "": None}[self.ask]
        if handler.headers.get("authorization") != wanted and wanted is not None:
            challenge = f'Bearer realm="{self.realm}",service="here",scope="repository:*:*"' if self.ask == "bearer" else 'Basic realm="here"'
            return handler.answer(401, www_authenticate=challenge)
        if handler.path == "/v2/team/packed/manifests/v1":
            return handler.answer(200, self.manifest, docker_content_digest=digest(self.manifest))
        if handler.path == f"/v2/team/packed/manifests/{digest(self.manifest)}":
            return handler.answer(200, self.manifest)
        if handler.path.startswith("/v2/team/packed/blobs/"):
            return handler.answer(307, location=f"http://127.0.0.1:{self.store.server_port}/object?signature=secret")
        return handler.answer(404)

    def at(self, version: str = ":v1") -> str:
        return f"oci://{self.host}/team/packed{version}"

    def refused(self, kind: str, location: str | None = None, **options: object) -> lqa.LqaError:
        for read in (lqa.open, lqa.inspect):
            with self.assertRaises(lqa.LqaError) as caught:
                read(location or self.at(), **options)
            self.assertEqual(caught.exception.kind, kind, caught.exception)
        return caught.exception

    def test_a_file_is_opened_by_ranges_and_read_whole(self) -> None:
        self.manifest = manifest(layer("README.md", b"# card"), layer("a.lqa"))
        for location in (self.at(), self.at(":v1/a.lqa"), self.at(f":v1@{digest(self.manifest)}"), self.at(f"@{digest(self.manifest)}/a.lqa")):
            self.assertEqual(lqa.open(location).file_id, ID)
            self.assertEqual(lqa.inspect(location).file_id, ID)
        self.assertTrue(all(token is None for _, token in self.registry.seen + self.store.seen))

    def test_a_login_goes_to_the_registry_and_a_token_nowhere_else(self) -> None:
        auth = base64.b64encode(b"me:pass:word").decode()
        os.environ["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {self.host: {"auth": auth}}})
        self.realm = f"http://{self.host}/token"
        for self.ask in ("basic", "bearer"):
            self.assertEqual(lqa.open(self.at()).file_id, ID)
            self.assertEqual(lqa.inspect(self.at()).file_id, ID)
        self.assertTrue(self.store.seen)
        self.assertEqual({token for _, token in self.store.seen}, {None})
        asked = next(path for path, _ in self.registry.seen if path.startswith("/token"))
        self.assertIn("scope=repository%3Ateam%2Fpacked%3Apull", asked)
        self.assertNotIn("*", asked)

    def test_a_login_is_not_sent_to_another_domain(self) -> None:
        os.environ["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {self.host: {"username": "me", "password": "pass:word"}}})
        self.ask = "bearer"
        for self.realm in (f"http://localhost:{self.store.server_port}/token", "https://127.0.0.1/token", "file:///etc/passwd", ""):
            self.refused("ACCESS_DENIED")
        self.assertEqual(self.store.seen, [])

    def test_a_login_of_files_and_helpers(self) -> None:
        self.ask = "basic"
        self.refused("ACCESS_DENIED")
        (self.config / "config.json").write_text(json.dumps({"credsStore": "test"}))
        self.refused("IO")
        helper = self.config / "docker-credential-test"
        helper.write_text('#!/bin/sh\nread host\n[ "$host" = "' + self.host + '" ] && echo \'{"Username":"me","Secret":"pass:word"}\'\n')
        helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
        with mock.patch.dict(os.environ, {"PATH": f"{self.config}{os.pathsep}{os.environ['PATH']}"}):
            self.assertEqual(lqa.open(self.at()).file_id, ID)
        for config, kind in (("no JSON", "USAGE"), ('{"credsStore": "../x"}', "USAGE"), ('{"auths": {"%s": {"identitytoken": "x"}}}' % self.host, "ACCESS_DENIED"),
                             ('{"auths": {"%s/other": {"username": "me", "password": "pass:word"}}}' % self.host, "ACCESS_DENIED")):
            (self.config / "config.json").write_text(config)
            self.refused(kind)

    def test_what_a_manifest_says_is_checked(self) -> None:
        for content, kind in ((b"no JSON", "HTTP_RESPONSE"), (b"[" * 100_000, "HTTP_RESPONSE"), (b"[]", "HTTP_RESPONSE"), (manifest(), "HTTP_RESPONSE"),
                              (manifest(manifests=[]), "HTTP_RESPONSE"), (manifest(None, 1), "HTTP_RESPONSE"),
                              (manifest(layer("../a.lqa")), "HTTP_RESPONSE"), (manifest(layer("a.lqa", size=True)), "HTTP_RESPONSE"),
                              (manifest(layer("a.lqa", digest="sha256:../../x")), "HTTP_RESPONSE"),
                              (manifest(layer("a.lqa"), layer("a.lqa")), "HTTP_RESPONSE"), (manifest(layer("a.lqa"), layer("b.lqa")), "NOT_FOUND"),
                              (manifest(layer("a.lqa", size=len(DATA) + 1)), "HTTP_RESPONSE"),
                              (manifest(layer("a.tar", mediaType="application/vnd.cncf.model.weight.v1.tar+gzip")), "HTTP_RESPONSE"),
                              (b" " * (5 << 20), "BUDGET")):
            with self.subTest(content[:100]):
                self.manifest = content
                self.refused(kind)

    def test_another_blob_is_noticed(self) -> None:
        self.blob = DATA[:-1] + bytes([DATA[-1] ^ 1])
        self.refused("HTTP_RESPONSE")

    def test_another_manifest_than_that_of_the_digest_is_noticed(self) -> None:
        location = self.at(f"@{digest(self.manifest)}")
        first, self.manifest = digest(self.manifest), manifest(layer("b.lqa"))
        self.registry.respond = lambda handler: handler.answer(200, self.manifest) if first in handler.path else self.respond(handler)
        self.refused("HTTP_RESPONSE", location)

    def test_limits_and_names(self) -> None:
        self.refused("BUDGET", max_bytes=len(DATA) - 1)
        for version in (":v2", ":v1/b.lqa", f"@sha256:{'0' * 64}"):
            self.refused("NOT_FOUND", self.at(version))
        for location in ("oci://", "oci://host", "oci://host/Name", "oci://host/name:v1/../x", "oci://u:p@host/name", "oci://ho st/name",
                         "oci://host/name@sha256:1", f"oci://host/{'a' * 256}", "oci://host/name:v1/a\nb"):
            self.refused("USAGE", location)
        self.assertIn("latest", str(self.refused("NOT_FOUND", self.at("")).advice))


REGISTRY = os.environ.get("LQA_REGISTRY")


@unittest.skipIf(not REGISTRY, "set LQA_REGISTRY to the path of a registry")
class InARealRegistry(unittest.TestCase):
    def test_what_was_pushed_is_opened(self) -> None:
        with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{free.getsockname()[1]}"
            free.close()
            config = Path(folder) / "config.yml"
            config.write_text(json.dumps({"version": 0.1, "log": {"level": "error"}, "http": {"addr": host},
                                          "storage": {"filesystem": {"rootdirectory": folder}}}))
            with subprocess.Popen([REGISTRY, "serve", str(config)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
                try:
                    for _ in range(100):
                        try:
                            self.ask(host, "GET", "/v2/")
                            break
                        except OSError:
                            time.sleep(0.1)
                    for data in (DATA, b"{}"):
                        upload = self.ask(host, "POST", "/v2/me/packed/blobs/uploads/")
                        self.ask(host, "PUT", f"{upload}&digest={digest(data)}", data)
                    content = manifest(layer("a.lqa"), config={"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2})
                    self.ask(host, "PUT", "/v2/me/packed/manifests/v1", content)
                    self.assertEqual(lqa.open(f"oci://{host}/me/packed:v1").file_id, ID)
                    self.assertEqual(lqa.inspect(f"oci://{host}/me/packed:v1").file_id, ID)
                    with self.assertRaises(lqa.LqaError) as caught:
                        lqa.open(f"oci://{host}/me/packed")
                    self.assertEqual(caught.exception.kind, "NOT_FOUND")
                finally:
                    process.terminate()

    def ask(self, host: str, method: str, path: str, body: bytes | None = None) -> str:
        """The address that the answer names."""
        connection = http.client.HTTPConnection(host)
        path = path if path.startswith("/") else path.split(host, 1)[1]
        connection.request(method, path, body, {"content-type": "application/vnd.oci.image.manifest.v1+json"} if body else {})
        answer = connection.getresponse()
        answer.read()
        self.assertLess(answer.status, 300)
        return answer.getheader("location", "")


if __name__ == "__main__":
    unittest.main()
