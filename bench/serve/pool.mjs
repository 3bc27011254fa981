/**
 * How long a cold adapter takes, and how many rows a second go through one module by the number of adapters that they are
 * spread over.
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeModule } from "../../dist/core/read/decode.js";
import { directoryStore } from "../../dist/node/index.js";
import { AdapterPool, applyPacked, residentModule } from "../../dist/serve/index.js";
import { adapterFile, oneModule, SHAPES } from "./adapters.mjs";
import { makeBaselines } from "./baselines.mjs";
import { cpuNow, median } from "./clock.mjs";

const Q = "model.layers.0.self_attn.q_proj";

/** Loads of each kind that are measured, and those before them, in which the engine compiles what loading runs. */
export const LOADS = 144;
export const WARM_UP = 192;

/** A cold adapter on disk, its file in the system's cache: until its first module is applied, and until all is there. */
export async function measureCold(files = 24) {
  const directory = mkdtempSync(join(tmpdir(), "lqa-bench-"));
  try {
    const shape = SHAPES["all-linear r16"];
    for (let i = 0; i < files; i++) writeFileSync(join(directory, `${i}.lqa`), await adapterFile(shape));
    const x = new Float32Array(4096).fill(0.5);
    const y = new Float32Array(4096);
    const store = directoryStore(directory);
    const options = { budgetBytes: 2 ** 30, store, completeInBackground: false };
    const kinds = {
      "first module applied": [{ ...options, verify: false }, [Q]],
      "all modules": [{ ...options, verify: false }, undefined],
      "all verified": [options, undefined],
    };
    const found = [];
    for (const [what, [how, modules]] of Object.entries(kinds)) {
      const [wall, cpu] = [[], []];
      const pool = new AdapterPool(how);
      for (let i = 0; i < WARM_UP + LOADS; i++) {
        const [start, used] = [performance.now(), cpuNow()];
        const lease = await pool.acquire(String(i % files), { modules });
        lease.apply(Q, x, y);
        wall.push(performance.now() - start);
        cpu.push(cpuNow() - used);
        lease.release();
        pool.remove(lease.name);
      }
      // The median of a stretch, and of several the least: the machine is shared.
      const counted = (values) => {
        const stretches = Array.from({ length: LOADS / files }, (_, i) =>
          median(values.slice(WARM_UP + files * i, WARM_UP + files * (i + 1))),
        );
        return [Math.min(...values.slice(WARM_UP)), Math.min(...stretches)];
      };
      found.push({ what, wall: counted(wall), cpu: counted(cpu), firstCpu: median(cpu.slice(0, files)) });
    }
    return found;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/**
 * Rows a second through one module of 4096 × 4096, rank 16, one row at a time for an adapter drawn from `count`: packed; as
 * binary16 in WebAssembly memory; and from safetensors files, of which only this module is read for each row. The two last
 * are multiplied by the kernel of `baseline.as`.
 */
export async function measureThroughput(most, milliseconds = 1200) {
  const make = await makeBaselines();
  const directory = mkdtempSync(join(tmpdir(), "lqa-bench-"));
  try {
    const { planes, ...shape } = oneModule();
    const packed = residentModule(shape, { bands: shape.bands, planes });
    const { b, a } = decodeModule(
      shape,
      { bands: shape.bands, planes },
      { type: "f16", layout: "component" },
    );
    const bits = (half) => new Uint16Array(half.data.buffer, half.data.byteOffset, half.data.length);
    // All adapters share one file, in the system's cache.
    const path = join(directory, "adapter_model.safetensors");
    writeFileSync(
      path,
      Buffer.concat([bits(b), bits(a)].map((own) => Buffer.from(own.buffer, own.byteOffset, own.byteLength))),
    );
    const file = openSync(path, "r");
    const x = new Float32Array(4096).fill(0.5);
    const y = new Float32Array(4096);
    const rows = [];
    for (const count of [1, 10, 100, 1000, 10000].filter((c) => c <= most)) {
      const row = { adapters: count };
      const run = (name, serve) => {
        let at = 1;
        const draw = () => {
          at = (at * 48271) % 2147483647;
          return at % count;
        };
        for (let i = 0; i < 200; i++) serve(draw());
        // By CPU time, and the best of several stretches: the machine is shared.
        let best = 0;
        for (let stretch = 0; stretch < 6; stretch++) {
          const start = cpuNow();
          let served = 0;
          while (cpuNow() - start < milliseconds / 6) {
            for (let i = 0; i < 20; i++) serve(draw());
            served += 20;
          }
          best = Math.max(best, (1000 * served) / (cpuNow() - start));
        }
        row[name] = best;
      };
      const modules = Array.from({ length: count }, () => ({ ...packed, payload: packed.payload.slice() }));
      run("packed", (i) => applyPacked(modules[i], x, y));
      const baselines = make();
      baselines.prepare(4096, 16, 1, packed.payload.length);
      const held = Array.from({ length: count }, () => baselines.hold(packed, bits(b), bits(a)));
      run("f16 resident", (i) => baselines.multiplyHeld(packed, held[i], x, y, 1));
      const [bRead, aRead] = [new Uint8Array(2 * b.length), new Uint8Array(2 * a.length)];
      run("safetensors each time", () => {
        readSync(file, bRead, 0, bRead.length, 0);
        readSync(file, aRead, 0, aRead.length, bRead.length);
        baselines.replaceHeld(held[0], new Uint16Array(bRead.buffer), new Uint16Array(aRead.buffer));
        baselines.multiplyHeld(packed, held[0], x, y, 1);
      });
      rows.push(row);
    }
    closeSync(file);
    return rows;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
