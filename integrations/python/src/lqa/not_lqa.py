"""Names what people give in place of an .lqa file. `src/node/not-lqa.ts` says the same."""
from __future__ import annotations

import re

FETCH, ENCODE = "Fetch the file itself: run git lfs pull.", "If it is an adapter, encode it first: lqa encode."
# What people give in place of an .lqa file, by its first bytes.
OTHERS = [(rb"\Z", "an empty file", "Fetch the file again."),
          (rb"version https://git-lfs(?:[^\n]*\n){1,9}?size (\d{1,15})\n", "a Git LFS pointer (the real file has {} bytes)", FETCH),
          (rb"version https://git-lfs", "a Git LFS pointer", FETCH), (rb"(?s).{6}\0\0\{", "a safetensors file", ENCODE),
          (rb"GGUF", "a GGUF file", ENCODE), (rb"PK\x03\x04", "a zip archive, perhaps of PyTorch or NumPy", ENCODE),
          (rb"(?i)\s*<(!doctype|html)", "an HTML page (as a failed download leaves it)", "Download the file again by the address of the file itself."),
          (rb"[\t\r\n -~]+\Z", "a text", "Check the path.")]


def identified(head: bytes) -> dict[str, str]:
    """What an error says of a file that begins so; nothing if it is none of these."""
    for pattern, what, advice in OTHERS:
        if match := re.match(pattern, head):
            return {"summary": f"This is {what.format(*(each.decode() for each in match.groups()))}, not an .lqa file.", "advice": advice}
    return {}
