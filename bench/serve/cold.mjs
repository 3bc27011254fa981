/** How long a cold adapter takes. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { directoryStore } from "../../dist/node/index.js";
import { AdapterPool } from "../../dist/serve/index.js";
import { adapterFile, SHAPES } from "./adapters.mjs";
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
