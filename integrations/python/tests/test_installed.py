"""The loaders of PEFT, transformers and diffusers after `lqa.peft.install()`, in a process of its own: a file, a directory of the layout
(docs/peft-layout.md) and `hf://`, each with the outputs of the decoded directory, bit for bit."""
import json
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from hub_double import HubDouble
from support import REPOSITORY, absent, run

REASON = absent("diffusers", "huggingface_hub", "peft", "torch", "transformers")
PROGRAM = """
import copy, json, sys
from pathlib import Path
import peft, torch, transformers, transformers.integrations.peft

transformers.integrations.peft.MIN_PEFT_VERSION = "0.21.0"  # transformers 5.24 asks for a PEFT that is not released yet
sys.path.insert(0, sys.argv[2])
import diffusion
import lqa

folder = Path(sys.argv[1])
torch.manual_seed(0)
base = transformers.LlamaForCausalLM(transformers.LlamaConfig(
    hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=64)).eval()
tokens = torch.arange(10).reshape(1, 10)


def logits(model):
    with torch.no_grad():
        return model.eval()(tokens).logits.numpy().tobytes()


def make():
    model = peft.get_peft_model(copy.deepcopy(base), peft.LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj"]))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder / "adapter")
    pipe = diffusion.small_pipeline(False)
    diffusion.random_adapter(pipe, dict(r=4, lora_alpha=6, target_modules=["to_q", "to_v"]), None)
    diffusion.save(pipe, folder / "pipe")


def check():
    sources = {"file": str(folder / "x.lqa"), "directory": str(folder / "layout"), "hub": "hf://me/packed"}
    said = {}
    want = logits(peft.PeftModel.from_pretrained(copy.deepcopy(base), str(folder / "decoded")))
    try:
        peft.PeftModel.from_pretrained(copy.deepcopy(base), sources["file"])
        said["before install"] = True
    except Exception:
        pass
    lqa.peft.install()
    for name, source in sources.items():
        model = peft.PeftModel.from_pretrained(copy.deepcopy(base), source)
        said[f"from_pretrained, {name}"] = logits(model) == want
        model.load_adapter(source, "second")
        model.set_adapter("second")
        said[f"load_adapter of PEFT, {name}"] = logits(model) == want
        model = copy.deepcopy(base)
        model.load_adapter(source)
        said[f"load_adapter of transformers, {name}"] = logits(model) == want
    said["a plain directory"] = logits(peft.PeftModel.from_pretrained(copy.deepcopy(base), str(folder / "decoded"))) == want
    plain = diffusion.small_pipeline(False)
    plain.load_lora_weights(str(folder / "pipe-decoded"), weight_name="pytorch_lora_weights.safetensors")
    want = diffusion.output(plain).tobytes()
    (folder / "pipe-layout").mkdir()
    (folder / "pipe-layout" / "adapter_model.lqa").write_bytes((folder / "pipe.lqa").read_bytes())
    for name, source in {"file": folder / "pipe.lqa", "directory": str(folder / "pipe-layout")}.items():
        pipe = diffusion.small_pipeline(False)
        pipe.load_lora_weights(source)
        said[f"load_lora_weights, {name}"] = diffusion.output(pipe).tobytes() == want
    try:
        diffusion.small_pipeline(False).load_lora_weights("hf://me/packed")  # the adapter of another model
        said["load_lora_weights, hub"] = "loaded"
    except lqa.LqaError as error:
        said["load_lora_weights, hub"] = error.kind
    return said


make()
print("made", flush=True)
sys.stdin.readline()
print(json.dumps(check()))
"""


@unittest.skipIf(REASON, REASON)
class Installed(unittest.TestCase):
    def test_loaders(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)

            double = HubDouble(b"", "adapter_model.lqa")
            self.addCleanup(double.close)
            program = subprocess.Popen([sys.executable, "-W", "ignore", "-c", PROGRAM, name, str(REPOSITORY / "test" / "interop" / "programs")],
                                       env=double.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.addCleanup(program.kill)
            self.assertEqual(program.stdout.readline(), "made\n")
            run("encode", folder / "adapter", "-o", folder / "layout", "--layout", "peft")
            shutil.copy(folder / "layout" / "adapter_model.lqa", folder / "x.lqa")
            run("decode", folder / "layout", "-o", folder / "decoded")
            run("encode", folder / "pipe" / "pytorch_lora_weights.safetensors", "-o", folder / "pipe.lqa")
            run("decode", folder / "pipe.lqa", "-o", folder / "pipe-decoded")
            double.holds((folder / "x.lqa").read_bytes())
            out, _ = program.communicate("\n")
            self.assertEqual(program.returncode, 0)
            said = json.loads(out.splitlines()[-1])
            self.assertEqual(said.pop("load_lora_weights, hub"), "BASE_MODULE_MISSING")
            self.assertEqual({what for what, same in said.items() if not same}, set())
            self.assertEqual(len(said), 12)
            self.assertTrue(double.hub.seen)
