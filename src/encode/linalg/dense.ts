/**
 * The engine of the linear algebra: the kernel, or plain TypeScript if WebAssembly with SIMD is unavailable.
 *
 * @module
 */
import type { DenseEngine } from "./engine.ts";
import { kernelEngine } from "./kernels/dense-kernel.ts";
import { plainEngine } from "./plain-engine.ts";

let engine: DenseEngine | undefined;

/** The engine, made at the first call. Both kinds give the same bits. */
export function denseEngine(): DenseEngine {
  if (engine === undefined) {
    const plain = plainEngine();
    engine = kernelEngine(plain) ?? plain;
  }
  return engine;
}
