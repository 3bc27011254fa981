"""Files that our encoder would not write, valid ones: adapters of two small layers whose record of their origin names what it likes."""
import json
import subprocess
from pathlib import Path

from lqa import node

WRITE = """
const [door, target, origin, modules, tensors] = process.argv.slice(1);
const { encodeAdapter } = await import(door);
const { writeFileSync } = await import("node:fs");
const shape = { role: "linear", kernel: [], experts: 1, rank: 2, baseLayout: "out-in", multiplier: 2, alpha: 4, rule: "alpha/r" };
const filled = (length) => Float32Array.from({ length }, (_, i) => (i % 5) - 2);
const made = JSON.parse(modules).map((given) => {
  const m = { ...shape, ...given };
  const inputs = m.kernel.reduce((product, size) => product * size, m.in);
  return { ...m, b: filled(m.experts * m.out * m.rank), a: filled(m.experts * m.rank * inputs) };
});
const plain = JSON.parse(tensors).map((t) => ({ axis: 0, ...t, data: new Uint8Array(t.data) }));
const adapter = { modules: made, tensors: plain, origin: JSON.parse(origin) ?? undefined, meta: {} };
const { bytes } = await encodeAdapter(adapter, { profile: "raw" });
writeFileSync(target, bytes);
"""
LAYERS = ({"name": "first", "out": 4, "in": 4}, {"name": "second", "out": 4, "in": 4})


def write(target: Path, config: dict | None = None, *, modules=LAYERS, tensors=(), origin: dict | None = None) -> Path:
    """Writes a file.

    Args:
        config: fields of the configuration of PEFT that the file says it came with.
        origin: the whole record, instead of one of PEFT with `config`.
    """
    if config is not None:
        usual = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["first", "second"]}
        origin = {"dialect": "peft", "config": json.dumps(usual | config)}
    program, main = node._program()
    door = Path(main).parents[1] / "encode" / "index.js"
    subprocess.run([program, "--input-type=module", "--eval", WRITE, door.as_uri(), str(target), json.dumps(origin), json.dumps(modules),
                    json.dumps(tensors)], check=True)
    return target
