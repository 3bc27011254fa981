/**
 * Loads an embedded WebAssembly kernel (`kernels/*.wasm.ts`, built by `build.mjs`).
 *
 * A kernel has no imports and nothing but its own memory. It is compiled synchronously, so that what calls it need not
 * be asynchronous; where an engine refuses that, has no SIMD, or typed arrays are big-endian, the caller computes the same bits in plain TypeScript.
 *
 * @module
 */
import { bytesOfText } from "./text.ts";

/** Makes instances of one kernel: compiled once, each with a memory of its own. */
export type KernelMaker<Exports> = () => (Exports & { readonly memory: WebAssembly.Memory }) | undefined;

/** Compiles at the first call; `undefined` from then on where WebAssembly with SIMD cannot be had, or arrays are big-endian. */
export function kernelMaker<Exports>(text: string): KernelMaker<Exports> {
  let module: WebAssembly.Module | undefined | null;
  return () => {
    if (module === undefined) {
      try {
        const little = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
        module = little ? new WebAssembly.Module(bytesOfText(text)) : null;
      } catch {
        module = null;
      }
    }
    if (module === null) return undefined;
    try {
      return new WebAssembly.Instance(module).exports as unknown as Exports & {
        readonly memory: WebAssembly.Memory;
      };
    } catch {
      // No memory is left for this one.
      return undefined;
    }
  };
}
