/**
 * All checks on a device, for Node and for a page: bundled by check.mjs.
 *
 * @module
 */
import { checkApply } from "./applying.ts";
import { checkAdapters, checkModules, checkNumbers, checkSuite } from "./decoding.ts";
import { checkExample } from "./example.ts";
import { checkRefusals } from "./refusals.ts";
import type { World } from "./world.ts";

const CHECKS: Readonly<Record<string, (world: World) => Promise<void>>> = {
  modules: checkModules,
  numbers: checkNumbers,
  apply: checkApply,
  refusals: checkRefusals,
  example: checkExample,
  adapters: checkAdapters,
  suite: checkSuite,
};

interface Task {
  readonly adapters: readonly string[];
  readonly only?: readonly string[];
  /** In Node; a page has its own. */
  readonly gpu?: GPU;
  readonly read?: World["read"];
  readonly report?: World["report"];
}

declare global {
  var runChecks: (task: Task) => Promise<string>;
}

/** Runs the checks, and says on what. */
globalThis.runChecks = async ({ adapters, only, gpu = navigator.gpu, ...own }) => {
  const adapter = await gpu.requestAdapter();
  if (adapter === null) throw new Error("no adapter");
  const page = globalThis as unknown as { report: World["report"] };
  const uncaught: string[] = [];
  const notes: string[] = [];
  const world: World = {
    adapters,
    uncaught,
    note: (text) => void notes.push(text),
    report: own.report ?? ((name, reason) => page.report(name, reason)),
    read:
      own.read ??
      (async (path) =>
        new Uint8Array(await (await fetch(`/file/${encodeURIComponent(path)}`)).arrayBuffer())),
    async newDevice() {
      // An adapter gives one device.
      const fresh = await gpu.requestAdapter();
      const device = await fresh!.requestDevice();
      device.addEventListener("uncapturederror", ({ error }) => uncaught.push(error.message));
      return device;
    },
  };
  const times: string[] = [];
  for (const [name, run] of Object.entries(CHECKS)) {
    if (only !== undefined && !only.includes(name)) continue;
    const begin = performance.now();
    await run(world);
    times.push(`${name} ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  }
  const { vendor, architecture, description } = adapter.info;
  return `${[vendor, architecture, description].filter(Boolean).join(", ")}: ${[...times, ...notes].join(", ")}`;
};
