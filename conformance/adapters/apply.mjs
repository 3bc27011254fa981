// The operation `apply` of PROTOCOL.md, by the function people use: `mergeFile`, from a model on disk to a model on disk.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** @param library the library on Node (node.ts), and `toHex` and `sha256` of its inside */
export const applierOf = ({ library, mergeFile, sha256, toHex }) =>
  async function apply(bytes, { base, budget }) {
    const folder = mkdtempSync(join(tmpdir(), "lqa-apply-"));
    try {
      const tensors = readBase(readFileSync(base));
      mkdirSync(join(folder, "base"));
      writeFileSync(join(folder, "base", "model.safetensors"), safetensors(tensors));
      const { valid, error } = await library.validate(bytes, { budgetBytes: budget });
      if (!valid) throw error;
      const adapter = await (await library.open(bytes, { budgetBytes: budget })).adapter();
      await mergeFile(adapter, join(folder, "base"), join(folder, "merged"));
      const merged = readFileSync(join(folder, "merged", "model.safetensors"));
      const start = 8 + Number(merged.readBigUInt64LE(0));
      const header = JSON.parse(merged.subarray(8, start).toString());
      const results = tensors.map(({ name }) => {
        const [from, to] = header[name].data_offsets;
        return { name, sha256: toHex(sha256(new Uint8Array(merged.subarray(start + from, start + to)))) };
      });
      return { valid: true, results };
    } finally {
      rmSync(folder, { recursive: true });
    }
  };

/** The tensors of a file of base tensors. */
function readBase(file) {
  const tensors = [];
  for (let at = 0; at < file.length; ) {
    const length = file.readUInt16LE(at);
    const name = file.toString("utf8", at + 2, at + 2 + length);
    at += 2 + length;
    const shape = Array.from({ length: file[at] }, (_, i) => file.readUInt32LE(at + 1 + 4 * i));
    at += 1 + 4 * shape.length;
    const end = at + 4 * shape.reduce((n, size) => n * size, 1);
    tensors.push({ name, shape, data: file.subarray(at, end) });
    at = end;
  }
  return tensors;
}

function safetensors(tensors) {
  let end = 0;
  const entries = tensors.map(({ name, shape, data }) => {
    const start = end;
    end += data.length;
    return [name, { dtype: "F32", shape, data_offsets: [start, end] }];
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, ...tensors.map(({ data }) => data)]);
}
