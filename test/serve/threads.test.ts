/** One pool, applied by several threads: planes are shared, not copied. */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, it } from "vitest";
import type { PlainTensor } from "../../src/core/index.ts";
import { AdapterPool, memoryStore } from "../../src/serve/index.ts";
import { anyAdapter, fileOf, Random } from "./modules.ts";

const LAYERS = ["layers.0.q_proj", "layers.1.q_proj", "layers.2.q_proj"];
const bias: PlainTensor = {
  name: LAYERS[1]!,
  role: "lora-bias",
  element: "F32",
  shape: [96],
  axis: 0,
  data: new Uint8Array(new Random(3).floats(96).buffer),
};
const store = memoryStore(new Map([["a", await fileOf(anyAdapter(20), [bias])]]));
const threads = [0, 1].map(() => new Worker(new URL("./thread.mjs", import.meta.url)));

afterAll(async () => {
  await Promise.all(threads.map((thread) => thread.terminate()));
});

describe("a pool that is shared with threads", () => {
  it.each([true, false])("gives both of them the planes and the bias (verify %s)", async (verify) => {
    const pool = new AdapterPool({ budgetBytes: 2 ** 20, store, verify, shared: true });
    const lease = await pool.acquire("a");
    const x = new Random(4).floats(3 * 96);
    for (const layer of LAYERS) {
      const module = lease.packed(layer)!;
      const expected = new Float32Array(3 * 96);
      lease.apply(layer, x, expected);
      for (const thread of threads) {
        const answer = once(thread, "message");
        thread.postMessage({ module, x });
        expect((await answer)[0]).toEqual({ y: expected, shared: true });
      }
    }
    lease.release();
  });

  it("copies them for a thread otherwise", async () => {
    const lease = await new AdapterPool({ budgetBytes: 2 ** 20, store }).acquire("a");
    const answer = once(threads[0]!, "message");
    threads[0]!.postMessage({ module: lease.packed(LAYERS[0]!), x: new Float32Array(96) });
    expect((await answer)[0].shared).toBe(false);
    lease.release();
  });
});
