/** A thread of threads.test.ts: applies the modules that it is sent to rows that it is sent. */
import { parentPort } from "node:worker_threads";
import { applyPacked } from "../../dist/serve/index.js";

parentPort.on("message", ({ module, x }) => {
  const y = new Float32Array((x.length / module.shape.in) * module.shape.out);
  applyPacked(module, x, y);
  parentPort.postMessage({ y, shared: module.payload.buffer instanceof SharedArrayBuffer });
});
