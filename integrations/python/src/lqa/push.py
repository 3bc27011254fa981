"""Uploads a file and its model card to the Hugging Face hub in one commit, through `huggingface_hub`."""
from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from .card import markdown
from .config import side_file
from .errors import LqaError
from .file import open as open_file
from .hub import LAYOUT, asking, parse
from .report import inspect

CARD, CONFIG = "README.md", "adapter_config.json"


def push(source: str | os.PathLike[str], location: str, *, force: bool = False, private: bool = False, message: str | None = None,
         card: bool = True, replace_card: bool = False, dry_run: bool = False) -> dict[str, Any]:
    """Uploads what the repository does not have yet, on top of the commit that was looked at.

    Args:
        source: an .lqa file, or a directory with `adapter_model.lqa`, whose `adapter_config.json` goes along.
        location: `hf://owner/name[@branch][/path]`. A repository that does not exist is created.
        force: replace a file of that name that has other bytes.
        card: upload a README.md, if there is none or with `replace_card`.

    Returns:
        location, files (names of what was uploaded), commit (None if nothing was), fileId.

    Raises:
        LqaError: what is wrong with the file; USAGE; OUTPUT_EXISTS without `force`; ACCESS_DENIED; REMOTE_CHANGED if someone pushed
            meanwhile; those of `lqa.hub.locate`. Then nothing is uploaded.
    """
    place = Path(source)
    file = place / LAYOUT if place.is_dir() else place
    repo, branch, path = parse(location)
    if re.fullmatch("[0-9a-f]{40}", branch or ""):
        raise LqaError("USAGE", where="location", expected="a branch", found="a commit")
    name = file.name if file.name.lower().endswith(".lqa") else f"{file.name}.lqa"
    path = path if path.lower().endswith(".lqa") else f"{path}/{name}".lstrip("/")
    opened = open_file(file)
    found = inspect(opened)
    files = {path: bytes(opened._core.data)}  # what was checked
    if place.is_dir():
        if opened.parent_id is not None:
            raise LqaError("USAGE", expected="a file without a parent next to a configuration", found=f'the file in "{place}" has a parent')
        if (place / CONFIG).is_file():
            files[f"{path.rpartition('/')[0]}/{CONFIG}".lstrip("/")] = side_file(place / CONFIG)
    target = f"hf://{repo}{f'@{branch}' if branch else ''}/{path}"
    with asking(location, repo, branch, "write to") as hub:
        if hub.get_token() is None:
            raise LqaError("ACCESS_DENIED", where=location, expected="a token", found="none",
                           advice="Set HF_TOKEN to a token that may write to the repository, or log in: hf auth login.")
        api = hub.HfApi()
        try:
            info = api.model_info(repo, revision=branch or "main", files_metadata=True)
        except hub.errors.RevisionNotFoundError:
            raise
        except hub.errors.RepositoryNotFoundError:
            info = None
        listed = {each.rfilename: each for each in info.siblings or ()} if info else {}
        new = {name: data for name, data in files.items() if not _same(listed.get(name), data)}
        if (there := next((name for name in new if name in listed), None)) and not force:
            raise LqaError("OUTPUT_EXISTS", where=f"hf://{repo}/{there}",
                           advice="Give --force to replace it: the history of the repository keeps the old file.")
        if card and (replace_card or CARD not in listed):
            text = markdown(found, None, repo.split("/")[1], target)
            digest = hashlib.sha256(text.encode()).hexdigest()
            new[CARD] = f"{text}\n<!-- Written by lqa push; sha256:{digest} -->\n".encode()
        commit = None
        if new and not dry_run:
            if info is None:
                api.create_repo(repo, private=private)
            adds = [hub.CommitOperationAdd(name, data) for name, data in new.items()]
            commit = api.create_commit(repo, adds, commit_message=message or f"Add {path}", revision=branch or "main",
                                       parent_commit=info.sha if info else None).oid
    return {"location": target, "files": sorted(new), "commit": commit, "fileId": found.file_id}


def _same(listed: Any, data: bytes) -> bool:
    """Whether the hub lists a file with these bytes."""
    if listed is None:
        return False
    if listed.lfs is not None:
        return bool(listed.lfs.sha256 == hashlib.sha256(data).hexdigest())
    return bool(listed.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest())
