"""The formats of others, against the libraries that write them."""

import hashlib
import json
import sys
import tempfile
import unittest
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
REASON = "" if all(find_spec(name) for name in ("gguf", "safetensors", "torch")) else "torch, safetensors or gguf is not installed"
if REASON:
    print(f"skipped: tests of the formats of others: {REASON}")
else:
    import gguf
    import peers
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

WRITTEN = ["35538e8c0b3ead72", "741b6358657fd970"]


@unittest.skipIf(REASON, REASON)
class Peers(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        torch.manual_seed(3)
        self.a, self.b = torch.randn(16, 96) * torch.logspace(-4, 0, 96), torch.randn(160, 16) * torch.logspace(-3, 1, 160)[:, None]
        self.b[7] = 0
        adapter = self.folder / "adapter"
        adapter.mkdir()
        save_file({"x.lora_A.weight": self.a, "x.lora_B.weight": self.b}, adapter / peers.WEIGHTS)
        (adapter / peers.CONFIG).write_text(json.dumps({"r": 16, "lora_alpha": 32, "peft_type": "LORA"}))

    def encode(self, name: str) -> tuple[int, "torch.Tensor", "torch.Tensor"]:
        size = peers.encode(name, self.folder / "adapter", self.folder / name)
        found = load_file(self.folder / name / "restored" / peers.WEIGHTS)
        return size, found["x.lora_A.weight"], found["x.lora_B.weight"]

    def test_sizes_of_files(self) -> None:
        weights, rows, blocks = 16 * (96 + 160), 16 + 160, (16 * 96 + 16 * 160) // 64
        for name, expected in {"f16": 2 * weights, "bf16": 2 * weights, "fp8": weights + 2 * rows, "int8": weights + 2 * rows,
                               "nf4": weights // 2 + 4 * blocks, "q8_0": 16 * 3 * 34 + 2 * 160 * 16, "q4_0": 16 * 3 * 18 + 2 * 160 * 16,
                               "q4_0 of B'": 16 * (3 + 5) * 18}.items():
            size, _, _ = self.encode(name)
            self.assertGreater(size, expected)
            self.assertLess(size, expected + 600, name)  # names and shapes
        self.assertEqual(peers.names(), ["f16", "bf16", "fp8", "int8", "nf4", "q8_0", "q4_0", "q4_0 of B'"])

    def test_eight_bits(self) -> None:
        for name, step in (("int8", 1 / 127 / 2), ("fp8", 2**-4)):
            _, a, b = self.encode(name)
            for was, now in ((self.a, a), (self.b, b)):
                # bfloat16 scales are 2⁻⁹ off at most.
                error = (now - was).abs() / was.abs().amax(1, keepdim=True).clamp_min(1e-30)
                self.assertLess(float(error.max()), step * 1.02)
            self.assertTrue((b[7] == 0).all())
        with safe_open(self.folder / "fp8" / "adapter.safetensors", "pt") as file:
            self.assertEqual(file.get_tensor("x.lora_A.weight").dtype, torch.float8_e4m3fn)

    def test_a_file_means_what_was_scored(self) -> None:
        for name in ("fp8", "int8"):
            _, a, _ = self.encode(name)
            stored = load_file(self.folder / name / "adapter.safetensors")
            again = stored["x.lora_A.weight"].float() * stored["x.lora_A.weight_scale"].float()
            self.assertTrue(torch.equal(a, again))
        self.encode("nf4")
        stored = load_file(self.folder / "nf4" / "adapter.safetensors")
        codes = stored["x.lora_A.weight"]
        values = peers.NF4[torch.stack([codes >> 4, codes & 15], 1).flatten().long()].view(-1, 64) * stored["x.lora_A.weight_absmax"][:, None]
        self.assertTrue(torch.equal(self.encode("nf4")[1].flatten(), values.flatten()))

    def test_nf4_is_what_bitsandbytes_wrote(self) -> None:
        """Codes and magnitudes of bitsandbytes 0.50.2 for weights that every machine computes alike."""
        weight = ((torch.arange(48 * 64) * 7919 % 2003 - 1001) / 1024).view(48, 64) * 2.0 ** (torch.arange(48) % 7)[:, None]
        stored, meant = peers.nf4(weight)
        found = [hashlib.sha256(one.numpy().tobytes()).hexdigest()[:16] for one in (stored[""], stored["_absmax"])]
        self.assertEqual(found, WRITTEN)
        self.assertLess(float((meant - weight).norm() / weight.norm()), 0.12)

    @unittest.skipUnless(find_spec("bitsandbytes"), "bitsandbytes is not installed")
    def test_nf4_is_that_of_bitsandbytes(self) -> None:
        from bitsandbytes import functional

        # As rows of one block: on some processors bitsandbytes 0.50.2 decodes blocks that cross rows with the wrong magnitudes.
        for weight in (self.a.view(-1, 64), self.b.view(-1, 64), torch.randn(48, 64)):
            packed, state = functional.quantize_4bit(weight, blocksize=64, quant_type="nf4")
            stored, meant = peers.nf4(weight)
            self.assertTrue(torch.equal(stored["_absmax"], state.absmax))
            self.assertEqual((stored[""] != packed.flatten()).float().mean().item(), 0)
            self.assertTrue(torch.equal(meant, functional.dequantize_4bit(packed, state)))

    def test_gguf_is_what_its_library_reads(self) -> None:
        for name in peers.GGUF:
            _, a, b = self.encode(name)
            read = {one.name: one for one in gguf.GGUFReader(self.folder / name / "adapter.gguf").tensors}
            kind = name.split()[0].upper()
            self.assertEqual(read["x.lora_A.weight"].tensor_type.name, kind)
            # Rank 16 has no whole block of 32.
            self.assertEqual(read["x.lora_B.weight"].tensor_type.name, kind if name.endswith("B'") else "F16")
            values = [torch.from_numpy(gguf.dequantize(read[f"x.lora_{f}.weight"].data, read[f"x.lora_{f}.weight"].tensor_type)) for f in "AB"]
            self.assertTrue(torch.equal(values[0], a))
            self.assertTrue(torch.equal(values[1].T if name.endswith("B'") else values[1], b))
            self.assertLess(float((a - self.a).norm() / self.a.norm()), 0.01 if kind == "Q8_0" else 0.12)


if __name__ == "__main__":
    unittest.main()
