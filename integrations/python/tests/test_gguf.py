"""GGUF adapters without Node: the tensors that the command writes with Node, in F32; of these F16 and Q8_0 by llama.cpp's own package."""
import json
import tempfile
import unittest
from pathlib import Path

import numpy as np

import lqa
from support import REPOSITORY, absent, run

REASON = absent("gguf")
ADAPTER = REPOSITORY / "examples" / "number-words" / "adapter"
CONFIG = {"model_type": "llama", "num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 576, "intermediate_size": 1536,
          "num_hidden_layers": 30, "vocab_size": 49152}


@unittest.skipIf(REASON, REASON)
class Gguf(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.base, cls.file = cls.folder / "config.json", cls.folder / "x.lqa"
        cls.base.write_text(json.dumps(CONFIG))
        run("encode", ADAPTER, "-o", cls.file, "--profile", "rtn", "--code-bits", "4")

    def read(self, path: object) -> tuple[dict, dict]:
        """Metadata, and type, shape and bytes of the tensors."""
        import gguf

        reader = gguf.GGUFReader(path)
        fields = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
        return fields, {each.name: (each.tensor_type.name, each.shape.tolist(), each.data.tobytes()) for each in reader.tensors}

    def written(self, dtype: str, file: Path | None = None) -> tuple[dict, dict]:
        with lqa.llama_cpp.adapter(file or self.file, self.base, dtype=dtype) as path:
            return self.read(path)

    def test_the_tensors_of_the_command(self) -> None:
        run("decode", self.file, "-o", self.folder / "x.gguf", f"--base={self.base}", "--dtype=f32")
        self.assertEqual(self.written("f32"), self.read(self.folder / "x.gguf"))

    def test_other_multipliers(self) -> None:
        """No alpha gives all of them: they are in B."""
        source = self.folder / "mixed"
        source.mkdir()
        (source / "adapter_model.safetensors").write_bytes((ADAPTER / "adapter_model.safetensors").read_bytes())
        config = json.loads((ADAPTER / "adapter_config.json").read_text()) | {"alpha_pattern": {"v_proj": 20}}
        (source / "adapter_config.json").write_text(json.dumps(config))
        file = self.folder / "mixed.lqa"
        run("encode", source, "-o", file, "--profile", "rtn", "--code-bits", "4")
        run("decode", file, "-o", self.folder / "mixed.gguf", f"--base={self.base}", "--dtype=f32")
        self.assertEqual(self.written("f32", file), self.read(self.folder / "mixed.gguf"))

    def test_narrower_types(self) -> None:
        import gguf

        wide, half, blocks = (self.written(dtype)[1] for dtype in ("f32", "f16", "q8_0"))
        for name, (_, shape, data) in wide.items():
            values = np.frombuffer(data, np.float32).reshape(shape[::-1])
            self.assertEqual(half[name], ("F16", shape, values.astype(np.float16).tobytes()))
            if shape[0] % 32:
                self.assertEqual(blocks[name], half[name])
            else:
                expected = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
                self.assertEqual(blocks[name], ("Q8_0", shape, expected.tobytes()))
        self.assertEqual({kind for kind, _, _ in blocks.values()}, {"Q8_0", "F16"})

    def test_bytes_in_memory(self) -> None:
        """At most 1.1 times the weights in F16."""
        weights = 2 * sum(m.parameters for m in lqa.open(self.file).modules)
        with lqa.llama_cpp.adapter(self.file, self.base) as path:
            self.assertLess(Path(path).stat().st_size, 1.1 * weights)

    def test_a_layer_beyond_all_models(self) -> None:
        """The table of names is as long as the last layer: a name of a few bytes must not choose it."""
        from safetensors.numpy import load_file, save_file

        large = self.folder / "adapter"
        large.mkdir()
        weights = load_file(ADAPTER / "adapter_model.safetensors")
        save_file({key.replace("layers.29.", "layers.99999."): value for key, value in weights.items()}, large / "adapter_model.safetensors")
        (large / "adapter_config.json").write_text((ADAPTER / "adapter_config.json").read_text())
        run("encode", large, "-o", self.folder / "large.lqa", "--profile", "rtn", "--code-bits", "4")
        with self.assertRaises(lqa.LqaError) as caught:
            lqa.llama_cpp.convert(self.folder / "large.lqa", self.base, self.folder / "large.gguf")
        self.assertEqual((caught.exception.kind, caught.exception.found), ("UNSUPPORTED_DIALECT", "layer 99999"))

    def test_files_next_to_the_target(self) -> None:
        other = self.folder / "target.gguf.part"
        other.write_text("mine")
        lqa.llama_cpp.convert(self.file, self.base, self.folder / "target.gguf")
        self.assertEqual(other.read_text(), "mine")
        self.assertEqual(len(list(self.folder.glob("*.part"))), 1)

    def test_refusals(self) -> None:
        def refused(base: dict, dtype: str = "f16") -> str:
            place = self.folder / "other.json"
            place.write_text(json.dumps(base))
            target = self.folder / "refused.gguf"
            with self.assertRaises(lqa.LqaError) as caught:
                lqa.llama_cpp.convert(self.file, place, target, dtype=dtype)
            self.assertEqual(list(self.folder.glob("refused*")), [])
            return caught.exception.kind

        self.assertEqual(refused(CONFIG | {"hidden_size": 960}), "BASE_SHAPE")
        self.assertEqual(refused(CONFIG | {"num_hidden_layers": 29}), "BASE_MODULE_MISSING")
        self.assertEqual(refused(CONFIG | {"model_type": "granite"}), "UNSUPPORTED_DIALECT")
        for field, value in (("num_attention_heads", "many"), ("num_attention_heads", -1), ("num_hidden_layers", 10**12), ("hidden_size", "576"),
                             ("head_dim", 1.5), ("num_key_value_heads", True)):
            self.assertEqual(refused(CONFIG | {field: value}), "SOURCE_CONFIG", field)
        (self.folder / "large").mkdir()
        with (self.folder / "large" / "config.json").open("wb") as stream:
            stream.truncate(1 << 40)
        with self.assertRaises(lqa.LqaError) as caught:
            lqa.llama_cpp.convert(self.file, self.folder / "large", self.folder / "refused.gguf")
        self.assertEqual(caught.exception.kind, "BUDGET")
        self.assertEqual(refused({}), "SOURCE_CONFIG")
        with self.assertRaises(lqa.LqaError) as caught:
            lqa.llama_cpp.convert(self.file, self.base, self.base)
        self.assertEqual(caught.exception.kind, "OUTPUT_EXISTS")
        with self.assertRaises(lqa.LqaError) as caught, lqa.llama_cpp.adapter(self.file, self.folder / "absent.gguf"):
            self.fail("a base model that does not exist")
        self.assertEqual(caught.exception.kind, "NOT_FOUND")


if __name__ == "__main__":
    unittest.main()
