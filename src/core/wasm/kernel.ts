/**
 * An embedded WebAssembly kernel (`kernels/*.wasm.ts`, built by `build.mjs`): how it is loaded, and its memory.
 *
 * A kernel has no imports and nothing but its own memory. It is compiled synchronously, so its callers need not be
 * asynchronous. If an engine refuses that, has no SIMD, or typed arrays are big-endian, the caller computes the same bits in
 * plain TypeScript.
 *
 * A view is on the memory as it was when it was made: growing detaches it. So a kernel reserves room first and takes the
 * views afterwards.
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

const PAGE = 65536;

/** Makes a memory at least so large. @returns false if the engine has no such memory */
export function growTo(memory: WebAssembly.Memory, bytes: number): boolean {
  const missing = bytes - memory.buffer.byteLength;
  try {
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
    return true;
  } catch {
    return false;
  }
}

/** Views on the memory of a kernel. */
export class KernelMemory {
  readonly memory: WebAssembly.Memory;
  #bytes!: Uint8Array;
  #words!: Float32Array;
  #halves!: Uint16Array;

  constructor(memory: WebAssembly.Memory) {
    this.memory = memory;
    this.#view();
  }

  #view(): void {
    const { buffer } = this.memory;
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Float32Array(buffer);
    this.#halves = new Uint16Array(buffer);
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  get words(): Float32Array {
    return this.#words;
  }

  get halves(): Uint16Array {
    return this.#halves;
  }

  /** Bytes that are held. */
  get length(): number {
    return this.#bytes.length;
  }

  /** Makes room for this many bytes. @returns false if the engine has no such memory */
  reserve(bytes: number): boolean {
    if (!growTo(this.memory, bytes)) return false;
    if (this.#bytes.buffer !== this.memory.buffer) this.#view();
    return true;
  }
}
