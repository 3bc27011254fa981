/**
 * Workers of the built library: the bytes do not depend on how many there are, and errors and aborts come through. The
 * threads need JavaScript, so these tests run on `dist/`, which `npm test` builds first.
 */

import { spawnSync } from "node:child_process";
import { afterAll, describe, expect, it } from "vitest";
import type { LoraModule } from "../../src/core/index.ts";
import { core, encode, node } from "../helpers/built.ts";
import { createModule } from "./modules.ts";

const { isLqaError } = core;
const { encodeAdapter } = encode;
const { createWorkerPool } = node;

const modules = Array.from({ length: 7 }, (_, i) =>
  createModule(`layers.${i}.q`, 96 + 32 * (i % 3), 128, 1 + (i % 4), i + 1),
);
const adapter = (list: LoraModule[]) => ({ modules: list, tensors: [], origin: undefined, meta: {} });
const pools = [1, 2, 8].map((count) => createWorkerPool(count));

afterAll(async () => {
  for (const pool of pools) await pool.close();
});

describe("a pool of workers", () => {
  it.each([
    { bits: 2 },
    { maxError: 0.03 },
    { maxBytes: 4000 },
    { profile: "rtn" as const },
    { profile: "raw" as const, element: "bf16" as const },
  ])("gives the bytes of one thread for %j", async (options) => {
    const alone = await encodeAdapter(adapter(modules), options);
    for (const executor of pools) {
      const { bytes, report } = await encodeAdapter(adapter(modules), { ...options, executor });
      expect(bytes).toEqual(alone.bytes);
      expect(report).toEqual(alone.report);
    }
  });

  it("tells progress in order, once for each piece of work", async () => {
    for (const executor of pools) {
      const names: string[] = [];
      const seen: number[] = [];
      const onProgress = (done: number, _total: number, name: string): void => {
        names.push(name);
        seen.push(done);
      };
      await encodeAdapter(adapter(modules), { profile: "rtn", executor, onProgress });
      expect(names).toEqual(modules.map(({ name }) => `coding ${name}`));
      expect(seen).toEqual(modules.map((_, i) => i + 1));
    }
  });

  it("throws the error of the first bad module, in file order", async () => {
    const broken = modules.map((m, i) =>
      i === 2 || i === 5 ? { ...m, a: m.a.map((x, at) => (at === 10 + i ? Number.NaN : x)) } : m,
    );
    for (const executor of pools)
      for (const options of [{ bits: 2 }, { profile: "rtn" as const }]) {
        const error = await encodeAdapter(adapter(broken), { ...options, executor }).catch((e: unknown) => e);
        expect(isLqaError(error, "SOURCE_NONFINITE")).toBe(true);
        expect(String(error)).toMatch(/module "layers\.2\.q", factor A, index 12\. \(found NaN\)/);
      }
    // Nobody is left confused by it.
    const { report } = await encodeAdapter(adapter(modules), { bits: 2, executor: pools[1]! });
    expect(report.modules).toHaveLength(7);
  });

  it("stops at a module whose factors cannot be read", async () => {
    for (const executor of pools) {
      const asked = new Set<number>();
      const many = Array.from({ length: 60 }, (_, i): LoraModule => {
        const { b, a, ...shape } = createModule(`layers.${String(i).padStart(2, "0")}.q`, 96, 128, 2, i + 1);
        return {
          ...shape,
          b,
          get a() {
            asked.add(i);
            if (i === 3) throw new Error("the source is gone");
            return a;
          },
        };
      });
      const options = { profile: "rtn" as const, executor };
      await expect(encodeAdapter(adapter(many), options)).rejects.toThrow("the source is gone");
      expect(asked.size).toBeLessThan(30);
    }
  });

  it("stops on request", async () => {
    for (const executor of pools) {
      const control = new AbortController();
      const onProgress = (done: number): void => {
        if (done === 3) control.abort();
      };
      const stopped = encodeAdapter(adapter(modules), {
        bits: 2,
        executor,
        onProgress,
        signal: control.signal,
      });
      await expect(stopped).rejects.toThrow(/ABORTED/);
    }
  });

  it("a pool that was closed under the work rejects", async () => {
    const pool = createWorkerPool(2);
    const onProgress = (): void => void pool.close();
    await expect(encodeAdapter(adapter(modules), { bits: 2, executor: pool, onProgress })).rejects.toThrow(
      /worker ended/,
    );
  });

  // As the Python package starts Node.
  it.each([
    ["--input-type=module", "--eval"],
    ["--max-old-space-size=1000", "--input-type=module", "--eval"],
  ])("begins in a process of %s", (...words) => {
    const script = `
      import { createWorkerPool } from ${JSON.stringify(new URL("../../dist/node/index.js", import.meta.url).href)};
      import { encodeAdapter } from ${JSON.stringify(new URL("../../dist/encode/index.js", import.meta.url).href)};
      const module = ${JSON.stringify({ ...modules[0]!, b: [...modules[0]!.b], a: [...modules[0]!.a] })};
      for (const factor of ["b", "a"]) module[factor] = Float32Array.from(module[factor]);
      const executor = createWorkerPool(2);
      const { bytes } = await encodeAdapter({ modules: [module], tensors: [], origin: undefined, meta: {} }, { executor });
      await executor.close();
      console.log(bytes.length > 0);`;
    const { stdout, stderr } = spawnSync(process.execPath, [...words, script], { encoding: "utf8" });
    expect([stdout, stderr]).toEqual(["true\n", ""]);
  });
});
