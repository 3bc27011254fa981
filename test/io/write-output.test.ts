/**
 * Writing the files of an adapter module by module: what is in memory, and what stays behind when a module cannot be written.
 */

import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeAdapter } from "../../src/adapters/index.ts";
import { adapterContent } from "../../src/adapters/read-write.ts";
import type { Adapter } from "../../src/core/index.ts";
import { writeTarget } from "../../src/node/convert-file.ts";
import { shape } from "../container/fixtures.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

/** Four modules whose factors are made on demand. `asked` records each access; the last holds `value`. */
function adapterOf(asked: string[], value = 1): Adapter {
  const modules = [0, 1, 2, 3].map((i) => {
    const factor = (which: string): Float32Array => {
      asked.push(`${i}${which}`);
      return new Float32Array(16).fill(i === 3 ? value : i / 8);
    };
    return {
      ...shape(`model.layers.${i}.self_attn.q_proj`, { out: 8, in: 8, rank: 2 }),
      get b() {
        return factor("b");
      },
      get a() {
        return factor("a");
      },
    };
  });
  return { modules, tensors: [], origin: undefined, meta: { architecture: "qwen2" } };
}

const BASE = { architecture: "qwen2", heads: 2, keyHeads: 2 };

describe("the content of an adapter's files", () => {
  it.each(["peft", "loralib", "mlx", "gguf"] as const)("asks for one factor after the other: %s", (to) => {
    const asked: string[] = [];
    const files = adapterContent(adapterOf(asked), { factors: "F32", to, base: BASE });
    expect(asked).toEqual([]);
    for (const { length, pieces } of files.values()) {
      let written = 0;
      for (const piece of pieces()) {
        written += piece.length;
        expect(asked.length).toBeLessThanOrEqual(Math.ceil(written / 64));
      }
      expect(written).toBe(length);
    }
    expect([...asked].sort()).toEqual(["0a", "0b", "1a", "1b", "2a", "2b", "3a", "3b"]);
  });
});

describe("an adapter with a weight that F16 cannot hold", () => {
  const adapter = adapterOf([], 70_000);

  it("leaves nothing behind, and what was there", async () => {
    const folder = temporaryDirectory();
    const options = { dtype: "F16", to: "loralib" } as const;
    const fails = expect.objectContaining({ kind: "SOURCE_RANGE" });
    await expect(writeTarget(adapter, join(folder, "new"), options, [])).rejects.toEqual(fails);
    const file = join(folder, "old.safetensors");
    writeFileSync(file, "old");
    await expect(writeTarget(adapter, file, { ...options, force: true }, [])).rejects.toEqual(fails);
    expect(listing(folder)).toEqual(["old.safetensors"]);
    expect(readFileSync(file, "utf8")).toBe("old");
  });

  it.skipIf(process.platform === "win32")("gives a pipe all bytes or none", async () => {
    const pipe = join(temporaryDirectory(), "pipe.safetensors");
    execFileSync("mkfifo", [pipe]);
    // Nobody reads it yet: to open it would wait.
    await expect(writeTarget(adapter, pipe, { dtype: "F16", to: "loralib" }, [])).rejects.toMatchObject({
      kind: "SOURCE_RANGE",
    });
    const hash = `createHash("sha256").update(readFileSync(${JSON.stringify(pipe)})).digest("hex")`;
    const script = `import { createHash } from "crypto"; import { readFileSync } from "fs"; console.log(${hash})`;
    const reader = spawn(process.execPath, ["--input-type=module", "-e", script]);
    const sum = new Promise<string>((resolve) => reader.stdout.once("data", (text) => resolve(String(text))));
    await writeTarget(adapter, pipe, { dtype: "F32", to: "loralib" }, []);
    const [whole] = writeAdapter(adapter, { factors: "F32", to: "loralib" }).values();
    expect(await sum).toContain(createHash("sha256").update(whole!).digest("hex"));
  });
});
