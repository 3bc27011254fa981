/**
 * The engine of the linear algebra: the kernel, or plain TypeScript if WebAssembly with SIMD is unavailable.
 *
 * @module
 */
import type { DenseEngine } from "./engine.ts";
import { denseKernelEngine } from "./kernels/dense-kernel.ts";
import { densePlainEngine } from "./plain-engine.ts";

let engine: DenseEngine | undefined;

/** The engine, made at the first call. Both kinds give the same bits. */
export function denseEngine(): DenseEngine {
  if (engine === undefined) {
    const plain = densePlainEngine();
    engine = denseKernelEngine(plain) ?? plain;
  }
  return engine;
}
