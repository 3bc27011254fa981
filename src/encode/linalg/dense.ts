/**
 * The engine that linear algebra runs on: the kernel, or plain TypeScript where there is no WebAssembly with SIMD.
 *
 * @module
 */
import type { DenseEngine } from "./engine.ts";
import { kernelEngine } from "./kernels/dense-kernel.ts";
import { plainEngine } from "./plain-engine.ts";

let engine: DenseEngine | undefined;

/** Made at the first call; both engines give the same bits. */
export function denseEngine(): DenseEngine {
  if (engine === undefined) {
    const plain = plainEngine();
    engine = kernelEngine(plain) ?? plain;
  }
  return engine;
}
