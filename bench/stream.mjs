/**
 * What streaming and threads cost, and what they save, for an adapter shaped like LLaMA-2-7B's (224 modules, rank 16, 40
 * million weights, 3 bits of trellis codes for four directions and signs for the others; 8 MB).
 *
 * 1. Open, verify and decode to f16 in memory, against the same bytes pushed in pieces of 64 KiB, in turn; the sum of
 *    the least times of their steps (a chunk, a module, a piece): on a busy machine others would be the scheduler's.
 * 2. From the first byte to the last decoded module over a loopback of 100 Mbit/s: the `.lqa` stream, module by module,
 *    against the same adapter as f16 safetensors. The server is a thread that writes by the clock.
 * 3. All modules to f16 into shared memory that was used before, over one and two threads that are running already.
 *
 * Build first (`npm run build`), then `node bench/stream.mjs [--json] [--rounds 25]`.
 */
import { createServer } from "node:http";
import { cpus } from "node:os";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { readSafetensors, writeSafetensors } from "../dist/adapters/safetensors.js";
import { decodeStream, LqaDecoder, open } from "../dist/core/index.js";
import { createWorkerPool, decodeWithWorkers } from "../dist/node/index.js";
import { sevenB } from "./seven-b.mjs";

const BITS_PER_SECOND = 100e6;
const PIECE = 65536;

if (!isMainThread) serveSlowly();
else await main();

/** Writes each body at 100 Mbit/s, in steps of 4 ms. */
function serveSlowly() {
  const { files } = workerData;
  const server = createServer((request, response) => {
    const body = new Uint8Array(files[request.url]);
    response.writeHead(200, { "content-length": body.length });
    const begun = performance.now();
    let sent = 0;
    const timer = setInterval(() => {
      const due = Math.min(
        body.length,
        Math.floor(((performance.now() - begun) / 1000) * (BITS_PER_SECOND / 8)),
      );
      // Never more than 64 KiB at once, as a network would not either.
      while (sent < due) {
        const end = Math.min(due, sent + PIECE);
        response.write(body.subarray(sent, end));
        sent = end;
      }
      if (sent < body.length) return;
      clearInterval(timer);
      response.end();
    }, 4);
  });
  server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
}

async function main() {
  const rounds = Number(process.argv[process.argv.indexOf("--rounds") + 1]) || 25;
  const strong = { codec: "trellis", table: 5, group: 0, scale: "bf16", rotation: "hadamard64" };
  const weak = { codec: "sign", group: 128, scale: "f16" };
  const bytes = await sevenB([
    [4, strong, strong],
    [12, weak, weak],
  ]);
  const file = await open(bytes);
  const targets = reusable(file);

  const oneShot = async (lap) => {
    const opened = await open(bytes);
    await opened.verify({ onProgress: lap });
    for (const module of opened.modules) {
      await opened.decode(module, { type: "f16", into: targets(module) });
      lap();
    }
  };
  const pushed = async (lap) => {
    const decoder = new LqaDecoder((event) => {
      if (event.type === "module") event.decode({ type: "f16", into: targets(event.record) });
    });
    for (let at = 0; at < bytes.length; at += PIECE) {
      await decoder.push(bytes.subarray(at, at + PIECE));
      lap();
    }
    await decoder.end();
  };
  const laps = { oneShot: [], pushed: [] };
  for (let i = 0; i < rounds + 2; i++)
    for (const [name, run] of Object.entries({ oneShot, pushed })) {
      let number = 0;
      let begun = performance.now();
      const lap = () => {
        const now = performance.now();
        if (i >= 2)
          laps[name][number] = Math.min(laps[name][number] ?? Number.POSITIVE_INFINITY, now - begun);
        number++;
        begun = performance.now();
      };
      await run(lap);
      lap();
    }
  const sum = (times) => times.reduce((total, time) => total + time, 0);
  const memory = { oneShot: sum(laps.oneShot), pushed: sum(laps.pushed) };

  const workers = {};
  let buffer;
  for (const count of [1, 2]) {
    const pool = createWorkerPool(count);
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < rounds + 2; i++) {
      const begun = performance.now();
      ({ buffer } = await decodeWithWorkers(file, { type: "f16", pool, buffer }));
      if (i >= 2) least = Math.min(least, performance.now() - begun);
    }
    await pool.close();
    workers[count] = least;
  }

  const half = (x) => new Uint8Array(x.buffer, x.byteOffset, x.byteLength).slice();
  const tensors = new Map();
  for (const module of file.modules) {
    const { name, b, a } = await file.decode(module, { type: "f16" });
    const prefix = `base_model.model.${name}.lora_`;
    tensors.set(`${prefix}A.weight`, { element: "F16", shape: a.shape, data: half(a.data) });
    tensors.set(`${prefix}B.weight`, { element: "F16", shape: b.shape, data: half(b.data) });
  }
  const plain = writeSafetensors(tensors);
  const share = (x) => {
    const shared = new SharedArrayBuffer(x.length);
    new Uint8Array(shared).set(x);
    return shared;
  };
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { files: { "/lqa": share(bytes), "/safetensors": share(plain) } },
  });
  const port = await new Promise((resolve) => worker.once("message", resolve));
  const network = {};
  for (const kind of ["lqa", "safetensors"]) {
    const response = await fetch(`http://127.0.0.1:${port}/${kind}`);
    const begun = performance.now();
    let modules = 0;
    let first;
    if (kind === "lqa")
      for await (const _ of decodeStream(response.body, { decode: { type: "f16" } })) {
        first ??= performance.now() - begun;
        modules++;
      }
    else {
      modules = readSafetensors(new Uint8Array(await response.arrayBuffer())).tensors.size / 2;
      first = performance.now() - begun;
    }
    network[kind] = { first, last: performance.now() - begun, modules };
  }
  await worker.terminate();

  const result = {
    node: process.version,
    cpu: cpus()[0].model,
    lqaBytes: bytes.length,
    safetensorsBytes: plain.length,
    weights: file.modules.reduce((sum, m) => sum + m.rank * (m.out + m.in), 0),
    memory: { ...memory, ratio: memory.pushed / memory.oneShot },
    network,
    workers,
  };
  if (process.argv.includes("--json")) return console.log(JSON.stringify(result, null, 2));
  const ms = (x) => `${x.toFixed(0)} ms`;
  console.log(`Node ${result.node}, ${result.cpu}; .lqa ${mb(bytes)}, f16 safetensors ${mb(plain)}`);
  console.log(
    `in memory: open, verify, decode ${ms(memory.oneShot)}; pushed in 64 KiB pieces ${ms(memory.pushed)}: ${result.memory.ratio.toFixed(2)}×`,
  );
  for (const [kind, { first, last, modules }] of Object.entries(network))
    console.log(
      `100 Mbit/s, ${kind}: first of ${modules} modules after ${ms(first)}, last after ${ms(last)}`,
    );
  console.log(
    `threads: ${Object.entries(workers)
      .map(([count, time]) => `${count}: ${ms(time)}`)
      .join(", ")}`,
  );
}

/** One pair of arrays for each shape: fresh pages would cost both ways the same, and more than the decoding. */
function reusable() {
  const pairs = new Map();
  return ({ out, in: input, rank }) => {
    const key = `${out} ${input}`;
    if (!pairs.has(key)) pairs.set(key, { b: new Uint16Array(out * rank), a: new Uint16Array(input * rank) });
    return pairs.get(key);
  };
}

function mb({ length }) {
  return `${(length / 1e6).toFixed(1)} MB`;
}
