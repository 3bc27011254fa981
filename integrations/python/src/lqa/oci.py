"""Files of artifacts in OCI registries, by the rules of the library in TypeScript (`src/node/remote/oci*.ts`).

A tag is resolved to the digest of its manifest once, and everything is read by digests. A login goes to the registry itself, or to a
server of tokens of the same domain; a download from another host gets neither login nor token.
"""
from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import LqaError
from .hub import choose
from .ranges import RemoteBytes
from .web import Access, Server, open_address

PLACE = re.compile(r"oci://([^/@]+)/([^:@]+)(?::([^/@]+))?(?:@([^/]+))?(?:/(.*?))?/?", re.IGNORECASE | re.DOTALL)
HOST = re.compile(r"(?:[\w.-]{1,253}|\[[0-9a-f:]{2,45}\])(?::\d{1,5})?", re.ASCII | re.IGNORECASE)
PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
LOOPBACK = re.compile(r"localhost|\[::1\]|127(?:\.\d{1,3}){3}")
ARCHIVE = re.compile(r"\+(?:gzip|zstd)$|^application/vnd\.(?:cncf|cnai)\.model\..*\.tar$")
NAMES = ("org.cncf.model.filepath", "org.opencontainers.image.title")
# Also lists of manifests, to say what is wrong with them.
ACCEPT = ", ".join(("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
                    "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"))
MAX_MANIFEST, MAX_TOKEN, MAX_CONFIG, MAX_NAME, MAX_PATH = 4 << 20, 1 << 16, 1 << 20, 255, 1024
HELPER_SECONDS = 15


def is_oci(location: str) -> bool:
    return location.lower().startswith("oci://")


def read(location: str, max_bytes: int, timeout: float | None = None) -> bytes:
    """All bytes of a file, compared with the digest that the manifest has. See `open_artifact`."""
    file = _find(location, max_bytes, timeout)
    server = Server(file.address, timeout, file.access)
    with server.ask() as response:
        data = server.whole(response, max_bytes)
    return file.checked(data)


def open_artifact(location: str, max_bytes: int, timeout: float | None = None) -> bytes | RemoteBytes:
    """A file of an artifact by ranges, or whole if it is small.

    Args:
        location: `oci://host/name[:tag][@sha256:digest][/path]`; without a path the only .lqa file. The path needs a tag or a digest
            before it.
        timeout: seconds that each request may take.

    Raises:
        LqaError: USAGE, NOT_FOUND, ACCESS_DENIED, BUDGET, NETWORK, HTTP_RESPONSE; IO of a credential helper.
    """
    file = _find(location, max_bytes, timeout)
    found = open_address(file.address, max_bytes, timeout, file.access)
    if isinstance(found, bytes):
        return file.checked(found)
    file.check_size(len(found.data))
    return found  # its parts are proven by the digests in the file


@dataclass(frozen=True)
class _Place:
    registry: str
    name: str
    tag: str
    digest: str | None
    path: str

    @property
    def origin(self) -> str:
        """`http` for a registry on this machine, as container tools have it."""
        host = "registry-1.docker.io" if self.registry == "docker.io" else self.registry
        return f"{'http' if LOOPBACK.fullmatch(_without_port(host)) else 'https'}://{host}"


@dataclass(frozen=True)
class _File:
    """A file of one artifact."""

    where: str
    address: str
    access: Access
    size: int
    sha256: str

    def check_size(self, size: int) -> None:
        if size != self.size:
            raise LqaError("HTTP_RESPONSE", where=self.where, expected=f"{self.size} bytes", found=f"{size} bytes")

    def checked(self, data: bytes) -> bytes:
        self.check_size(len(data))
        _same("SHA-256", self.sha256, hashlib.sha256(data).hexdigest(), self.where)
        return data


def _find(location: str, max_bytes: int, timeout: float | None) -> _File:
    place = _parse(location)
    access = _Login(place, timeout)
    server = Server(f"{place.origin}/v2/{place.name}/manifests/{place.digest or place.tag}", timeout, access)
    try:
        with server.ask({"accept": ACCEPT}) as response:
            stated = response.headers.get("docker-content-digest", "")
            manifest = server.whole(response, MAX_MANIFEST)
    except LqaError as error:
        raise _told(error, place) from error
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    named = f"oci://{place.registry}/{place.name}"
    _same("the digest", place.digest or (stated if stated.startswith("sha256:") else digest), digest, named)
    where = f"{named}@{digest}"
    files = _files(manifest, where)
    path = choose(location, {name: size for name, (size, _) in files.items()}, place.path, max_bytes)
    size, sha256 = files[path]
    return _File(f"{where}/{path}", f"{place.origin}/v2/{place.name}/blobs/sha256:{sha256}", access, size, sha256)


def _parse(location: str) -> _Place:
    match = PLACE.fullmatch(location)
    registry, name, tag, digest, path = match.groups() if match else ("", "", None, None, None)
    plain = (match is not None and HOST.fullmatch(registry) is not None and len(name) <= MAX_NAME
             and all(PART.fullmatch(part) for part in name.split("/")) and (tag is None or TAG.fullmatch(tag) is not None)
             and (digest is None or DIGEST.fullmatch(digest) is not None) and (not path or _is_plain(path)))
    if not plain:
        raise LqaError("USAGE", where="location", found=repr(location[:200]),
                       expected="oci://host/name, oci://host/name:tag or oci://host/name@sha256:digest, the name in lower case")
    return _Place(registry.lower(), name, tag or "latest", digest, path or "")


def _is_plain(path: str) -> bool:
    return (len(path) <= MAX_PATH and not re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\\]", path)
            and all(part not in ("", ".", "..") for part in path.split("/")))


def _files(manifest: bytes, where: str) -> dict[str, tuple[int, str]]:
    """Size and digest of each layer that is one file. Addresses in a manifest (`urls`) are not followed."""
    def bad(expected: str, found: str, advice: str | None = None) -> LqaError:
        return LqaError("HTTP_RESPONSE", where=where, expected=expected, found=found, advice=advice)

    try:
        content = json.loads(manifest)
    except (ValueError, RecursionError) as error:
        raise bad("a manifest", "no JSON") from error
    content = content if isinstance(content, dict) else {}
    if isinstance(content.get("manifests"), list):
        raise bad("the manifest of one artifact", "a list of manifests", "Give the digest of one: oci://host/name@sha256:….")
    layers = content.get("layers")
    if content.get("schemaVersion") != 2 or not isinstance(layers, list):
        raise bad("a manifest with layers", "none")
    files: dict[str, tuple[int, str]] = {}
    for layer in (each for each in layers if isinstance(each, dict)):
        notes = layer.get("annotations")
        path = next((notes[name] for name in NAMES if name in notes), None) if isinstance(notes, dict) else None
        # A name that could lead out of a folder is not listed, and so never read.
        if not isinstance(path, str) or not _is_plain(path) or ARCHIVE.search(str(layer.get("mediaType"))):
            continue
        size, digest = layer.get("size"), layer.get("digest")
        if type(size) is not int or size < 0 or not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            raise bad("layers with a size and a SHA-256 digest", json.dumps(path))
        if path in files:
            raise bad("one layer for each path", f"two for {json.dumps(path)}")
        files[path] = (size, digest[len("sha256:"):])
    if not files:
        raise bad(f"layers that are files, with the annotation {NAMES[0]}", "none",
                  "Archives are not opened: pull the artifact with the tool that made it, and give the path of a file.")
    return files


def _same(what: str, expected: str, found: str, where: str) -> None:
    if expected != found:
        raise LqaError("HTTP_RESPONSE", where=where, expected=f"{what} {expected}, as the server lists it", found=found,
                       advice="The download is damaged, or was changed on its way. Try again; do not use it.")


def _told(error: LqaError, place: _Place) -> LqaError:
    """The same error, with advice that fits a registry."""
    if error.kind == "NOT_FOUND":
        version = f"@{place.digest}" if place.digest else f":{place.tag}"
        return LqaError("NOT_FOUND", where=error.where, expected=f"the artifact {place.name}{version} in {place.registry}", found=error.found,
                        advice="Check the name and the tag. Without a tag, lqa looks for the tag latest.")
    if error.kind == "ACCESS_DENIED" and str(error.found).startswith("status"):
        return LqaError("ACCESS_DENIED", where=error.where, found=error.found,
                        advice=f"Check the name. If it is private, log in with an account that has access: docker login {place.registry}.")
    return error


class _Login(Access):
    """Answers a registry that asks for credentials, and keeps them where they belong."""

    def __init__(self, place: _Place, timeout: float | None) -> None:
        super().__init__()
        self._place, self._timeout = place, timeout

    def answer(self, challenge: str) -> bool:
        before, self.header = self.header, self._header(challenge[:4096])
        return self.header is not None and self.header != before

    def _header(self, challenge: str) -> str | None:
        for scheme in ("bearer", "basic"):
            begin = re.search(rf"(?:^|,)\s*{scheme}\s", challenge, re.IGNORECASE)
            if begin is None:
                continue
            if scheme == "basic":
                return _login(self._place.registry)
            values = {name.lower(): value for name, value in re.findall(r'(\w+)\s*=\s*"([^"\\]*)"', challenge[begin.end():])}
            return self._token(values.get("realm", ""), values.get("service"))
        return None

    def _token(self, realm: str, service: str | None) -> str:
        home, url = urllib.parse.urlsplit(self._place.origin), urllib.parse.urlsplit(realm)
        if url.scheme != home.scheme or "@" in url.netloc or not _same_domain(url.hostname, home.hostname):
            raise LqaError("ACCESS_DENIED", where=self._place.registry, found=json.dumps(realm[:100]),
                           expected=f"a server of tokens in the domain of the registry, with {home.scheme}",
                           advice="Credentials are not sent to another domain. Ask who runs the registry.")
        query = urllib.parse.parse_qsl(url.query)
        # What is needed here, and not what the registry proposes.
        query = [(name, value) for name, value in query if name not in ("service", "scope")]
        query += [("service", service)] if service is not None else []
        query.append(("scope", f"repository:{self._place.name}:pull"))
        address = url._replace(query=urllib.parse.urlencode(query), fragment="").geturl()
        server = Server(address, self._timeout, Access(_login(self._place.registry)))
        with server.ask() as response:
            data = server.whole(response, MAX_TOKEN)
        try:
            answer = json.loads(data)
            token = answer.get("token", answer.get("access_token"))
        except (ValueError, AttributeError, RecursionError):
            token = None
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise LqaError("HTTP_RESPONSE", where=server.where, expected="a token as JSON", advice="Check the address.")
        return f"Bearer {token}"


def _same_domain(one: str | None, other: str | None) -> bool:
    """Whether two hosts are one, or the last two parts of their names agree: `registry.gitlab.com` and `gitlab.com`."""
    def domain(host: str | None) -> str | None:
        match = None if host is None or re.fullmatch(r"[\d.]+|.*:.*", host) else re.search(r"[^.]+\.[^.]+$", host)
        return match[0] if match else None

    return one is not None and (one == other or (domain(one) is not None and domain(one) == domain(other)))


def _without_port(host: str) -> str:
    return re.sub(r":\d+$", "", host)


def _login(registry: str) -> str | None:
    """The login of `docker login` and the like for exactly this host, as the header `Authorization`; None if there is none."""
    for where, text in _configurations():
        found = _login_in(where, text, registry)
        if found is not None:
            return f"Basic {base64.b64encode(':'.join(found).encode()).decode()}"
    return None


def _configurations() -> Iterator[tuple[str, str]]:
    """The configurations of container tools: what it is called, and its text."""
    env = os.environ
    if env.get("DOCKER_AUTH_CONFIG"):
        yield "DOCKER_AUTH_CONFIG", env["DOCKER_AUTH_CONFIG"]
    docker = Path(env.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    runtime = env.get("XDG_RUNTIME_DIR")
    for path in (env.get("REGISTRY_AUTH_FILE"), docker, runtime and Path(runtime) / "containers" / "auth.json"):
        if not path or not os.path.isfile(path):
            continue
        try:
            with open(path, encoding="utf-8") as stream:
                text = stream.read(MAX_CONFIG)
        except (OSError, ValueError) as error:
            raise LqaError("IO", where=f'"{path}"', found=str(error)[:200]) from error
        yield f'"{path}"', text


def _login_in(where: str, text: str, registry: str) -> tuple[str, str] | None:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise LqaError("USAGE", where=where, expected="the configuration of a container tool, as JSON",
                       advice="Correct it, or log in again: docker login.")
    auths, helpers = (_object(config.get(name)) for name in ("auths", "credHelpers"))
    for name in ("index.docker.io", registry) if registry == "docker.io" else (registry,):
        entry = _object(next((value for key, value in auths.items() if _host_of(key) == name), None))
        user, password = entry.get("username"), entry.get("password")
        if not (isinstance(user, str) and isinstance(password, str)):
            try:
                user, _, password = base64.b64decode(str(entry.get("auth") or ""), validate=True).decode().partition(":")
            except ValueError:
                user = password = ""
        if user and password:
            return user, password
        if entry.get("identitytoken"):
            raise _no_password(registry)
        helper = next((value for key, value in helpers.items() if _host_of(key) == name), config.get("credsStore"))
        if isinstance(helper, str) and helper:
            # Docker's own registry is known to helpers by its first address.
            found = _helped(helper, f"https://{name}/v1/" if name == "index.docker.io" else name, where)
            if found is not None:
                return found
    return None


def _helped(name: str, registry: str, where: str) -> tuple[str, str] | None:
    """Asks a helper program, which has the login in the keychain of the system."""
    if not re.fullmatch(r"\w[\w.-]{0,63}", name, re.ASCII):
        raise LqaError("USAGE", where=where, expected="the name of a credential helper", found=json.dumps(name[:100]))
    program = f"docker-credential-{name}"
    try:
        ran = subprocess.run([program, "get"], input=registry.encode(), capture_output=True, timeout=HELPER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LqaError("IO", where=program, found=str(error)[:200],
                       advice=f"Install this program, which {where} names, or log in without it: set DOCKER_CONFIG to another folder.") from error
    if ran.returncode != 0 and b"credentials not found" in ran.stdout.lower():
        return None
    try:
        answer = _object(json.loads(ran.stdout))
    except (ValueError, RecursionError):
        answer = {}
    user, password = answer.get("Username"), answer.get("Secret")
    # What it printed may have a password in it.
    if ran.returncode != 0 or not isinstance(user, str) or not isinstance(password, str):
        raise LqaError("IO", where=program, expected="a login as JSON", found=f"exit code {ran.returncode}")
    if user == "<token>":
        raise _no_password(registry)
    return user, password


def _no_password(registry: str) -> LqaError:
    return LqaError("ACCESS_DENIED", where=registry, expected="a user name and a password", found="an identity token",
                    advice=f"Log in with a user name and a password or access token: docker login {registry}.")


def _host_of(key: str) -> str | None:
    """The host that a key is for: `host`, or an old address like `https://host/v1/`. None for a part of a registry."""
    match = re.fullmatch(r"(?:https?://)?([^/]+)(?:/(?:v[12]/?)?)?", key, re.IGNORECASE)
    return match[1].lower() if match else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
