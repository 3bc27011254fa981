"""Files on the Hugging Face hub, through `huggingface_hub`: its token, endpoint, cache and offline mode. A file of which parts are wanted
is read by ranges if it is not in the cache."""
from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from .errors import LqaError

PLACE = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@(refs/(?:pr|convert)/[^/]+|[^/]+))?(?:/(.*?))?/?", re.ASCII | re.IGNORECASE)
# The file that is read of a folder, as PEFT reads adapter_model.safetensors there: docs/peft-layout.md.
LAYOUT = "adapter_model.lqa"
OTHER_KINDS = ("datasets", "spaces", "buckets", "kernels")


def is_hub(location: str) -> bool:
    return location.lower().startswith("hf://")


@dataclass(frozen=True)
class OnHub:
    """A file of one commit: its path in the cache of `huggingface_hub`, or else its address, and the token for the address's origin.

    Attributes:
        digest: a SHA-256 of the file, or SHA-1 of a git blob, that the hub's list of files has; empty offline.
    """

    location: str
    path: Path | None
    address: str
    token: str | None = field(repr=False)
    digest: str

    def compare(self, data: Any) -> None:
        """Compares the bytes of the whole file with the digest in the hub's list.

        Raises:
            LqaError: HTTP_RESPONSE.
        """
        blob = hashlib.sha1(b"blob %d\0" % len(data), usedforsecurity=False) if len(self.digest) == 40 else hashlib.sha256()
        blob.update(data)
        if self.digest and blob.hexdigest() != self.digest:
            raise LqaError("HTTP_RESPONSE", where=self.location, expected=f"the digest in the hub's list, {self.digest}", found=blob.hexdigest())


def locate(location: str, max_bytes: int, timeout: float | None = None, *, whole: bool = False) -> OnHub:
    """Where a file is.

    The revision is resolved to a commit once. The size is checked before anything is downloaded.

    Args:
        location: `hf://owner/name[@revision][/path]`; without a path `adapter_model.lqa` or the only .lqa file at the root.
        timeout: seconds that the hub may take to answer a request.
        whole: let `huggingface_hub` download the file if it is not in its cache.

    Raises:
        LqaError: USAGE, NOT_FOUND, ACCESS_DENIED, BUDGET, NETWORK, HTTP_RESPONSE; MISSING_PACKAGE without `huggingface_hub`.
    """
    repo, revision, path = parse(location)
    with asking(location, repo, revision) as hub:
        if hub.constants.HF_HUB_OFFLINE:
            folder = Path(hub.snapshot_download(repo, revision=revision, local_files_only=True))
            names = {str(p.relative_to(folder).as_posix()): p.stat().st_size for p in folder.rglob("*") if p.is_file()}
            name = choose(location, names, path, max_bytes)
            return OnHub(location, folder / name, "", None, "")
        info = hub.HfApi().model_info(repo, revision=revision or "main", files_metadata=True, timeout=timeout)
        name = choose(location, {s.rfilename: s.size for s in info.siblings or ()}, path, max_bytes)
        listed = next(s for s in info.siblings or () if s.rfilename == name)
        digest = (listed.lfs and listed.lfs.sha256) or listed.blob_id or ""
        cached = hub.try_to_load_from_cache(repo, name, revision=info.sha)
        options: dict[str, Any] = {} if timeout is None else {"etag_timeout": timeout}
        path = cached if isinstance(cached, str) else hub.hf_hub_download(repo, name, revision=info.sha, **options) if whole else None
        return OnHub(location, path and Path(path), hub.hf_hub_url(repo, name, revision=info.sha), hub.get_token(), digest)


@contextmanager
def asking(location: str, repo: str, revision: str | None, what: str = "read") -> Iterator[Any]:
    """`huggingface_hub`, whose errors become those of this package.

    Args:
        what: what a token must be allowed to do.

    Raises:
        LqaError: as `locate`; REMOTE_CHANGED.
    """
    try:
        import huggingface_hub as hub
        from huggingface_hub import constants, errors
    except ImportError as error:
        raise LqaError("MISSING_PACKAGE", where=location, summary="The package huggingface_hub is not installed.", advice="pip install huggingface_hub") from error
    try:
        yield hub
    except (LqaError, KeyboardInterrupt):
        raise
    except errors.GatedRepoError as error:
        raise LqaError("ACCESS_DENIED", where=location, summary="The repository is gated.", found=_said(error),
                       advice=f"Accept its conditions at {constants.ENDPOINT}/{repo}. Set HF_TOKEN to a token of that account.") from error
    except errors.RevisionNotFoundError as error:
        raise LqaError("NOT_FOUND", where=location, expected=f'revision "{revision}"') from error
    except errors.RepositoryNotFoundError as error:
        raise LqaError("NOT_FOUND", where=location,
                       advice=f"Check the name. If it is private, set HF_TOKEN to a token that may {what} it.") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        offline = constants.HF_HUB_OFFLINE
        raise LqaError("NOT_FOUND" if offline else "NETWORK", where=location, found=_said(error),
                       advice="Unset HF_HUB_OFFLINE, or download it first: hf download." if offline else None) from error
    except errors.HFValidationError as error:
        raise LqaError("USAGE", found=_said(error)) from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", 0)
        kinds = {401: "ACCESS_DENIED", 403: "ACCESS_DENIED", 404: "NOT_FOUND", 409: "REMOTE_CHANGED", 412: "REMOTE_CHANGED"}
        kind = kinds.get(status, "NETWORK" if status >= 500 else "HTTP_RESPONSE")
        advice = f"Set HF_TOKEN to a token that may {what} {repo}." if kind == "ACCESS_DENIED" else None
        raise LqaError(kind, where=location, found=_said(error), advice=advice) from error
    except Exception as error:  # of the HTTP client or the disk; which classes they are differs between versions
        raise LqaError("NETWORK", where=location, found=f"{type(error).__name__}: {_said(error)}") from error


def parse(location: str) -> tuple[str, str | None, str]:
    match = PLACE.fullmatch(location)
    repo, revision, path = (match[1], match[2], match[3] or "") if match else ("", None, "")
    plain = not path or all(part not in ("", ".", "..") and "\\" not in part for part in path.split("/"))
    if match is None or repo.split("/")[0] in OTHER_KINDS or not plain:
        raise LqaError("USAGE", found=f'"{location[:200]}" is not a location on the hub',
                       advice=f"Did you mean hf://{location}?" if re.fullmatch(r"[\w.-]+/[\w.-]+", location) else "A slash in the name of a branch is written %2F.",
                       expected="hf://owner/name, hf://owner/name@revision or hf://owner/name/path of a model repository")
    return repo, None if revision is None else unquote(revision), path


def choose(location: str, sizes: dict[str, int | None], path: str, max_bytes: int) -> str:
    """The file that is meant: `path` itself or, in that folder, `adapter_model.lqa` or the only .lqa file."""
    folder = f"{path}/" if path else ""
    inside = [name for name in sizes if name.startswith(folder) and "/" not in name[len(folder):]]
    found = [path] if path in sizes else [name for name in inside if name.lower().endswith(".lqa")]
    found = [name for name in found if name == f"{folder}{LAYOUT}"] or found
    if len(found) != 1:
        shown = ", ".join(f'"{name}"' for name in (found or inside or list(sizes))[:4])
        count = f"{len(found)} .lqa files" if found else "no .lqa file, only" if shown else "no files"
        raise LqaError("NOT_FOUND", where=location, expected="one .lqa file", found=f"{count} {shown}".strip(), advice="Give the path of an .lqa file.")
    size = sizes[found[0]]
    if size is not None and size > max_bytes:
        raise LqaError("BUDGET", where=location, expected=f"at most {max_bytes} bytes (max_bytes)", found=f"{size} bytes")
    return found[0]


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
