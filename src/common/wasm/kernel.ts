/**
 * Loads embedded WebAssembly kernels (`kernels/*.wasm.ts`, built by `build.mjs`), and manages their memory.
 *
 * A kernel has no imports and uses only its own memory. This file compiles it synchronously, so that callers need not be
 * asynchronous. If an engine refuses that, has no SIMD, or typed arrays are big-endian, the caller computes the same bits in
 * plain TypeScript.
 *
 * Growing a memory detaches all views on it. So a caller reserves room first and takes views afterwards.
 *
 * @module
 */

/** Makes instances of one kernel, which is compiled once. Each instance has its own memory. */
export type KernelMaker<Exports> = () => (Exports & { readonly memory: WebAssembly.Memory }) | undefined;

/**
 * The maker of a kernel. It compiles at its first call. It returns undefined if the engine has no WebAssembly with SIMD, if
 * arrays are big-endian, or if there is no memory for an instance.
 *
 * @param text the kernel as `WASM_TEXT` of its file
 */
export function kernelMaker<Exports>(text: string): KernelMaker<Exports> {
  let module: WebAssembly.Module | undefined | null;
  return () => {
    if (module === undefined) {
      try {
        const little = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
        module = little ? new WebAssembly.Module(bytesOfText(text) as Uint8Array<ArrayBuffer>) : null;
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
      // There is no memory for this instance.
      return undefined;
    }
  };
}

const PAGE = 65536;

/** Grows a memory to at least `bytes`. @returns false if the engine has no such memory */
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

  /** Bytes of the memory. */
  get length(): number {
    return this.#bytes.length;
  }

  /** Grows the memory to at least `bytes`, and renews the views. @returns false if the engine has no such memory */
  reserve(bytes: number): boolean {
    if (!growTo(this.memory, bytes)) return false;
    if (this.#bytes.buffer !== this.memory.buffer) this.#view();
    return true;
  }
}

// The text form of embedded kernels: printable ASCII in which nearly every byte is one character, so that gzip finds the
// repetitions of the bytes in it. The decoder's kernel has 25,374 bytes, 5.0 KB gzipped. Its text has 25,834 characters, and
// gzipped 5.0 KB again; hexadecimal takes 5.6 KB (and is longer than the window of gzip) and base64 8.2 KB.
//
// There are 84 characters: from `(` to `~` without `<`, `\` and the backtick, so that no bundler has to escape one. The text
// begins with a table of 64 letters from `@` to `O`; each has a bit for four byte values, which is set if the value is
// frequent. The first 81 characters represent the frequent values in order. The other three, each followed by a second
// character, represent the rare values.

const CHARACTERS = 84;
const TABLE = 64;

/** The bytes of a text that `textOf` of build.mjs wrote. Declared as TypeScript 5.5 knows the type, too. */
export function bytesOfText(text: string): Uint8Array {
  const frequent: number[] = [];
  const rare: number[] = [];
  for (let value = 0; value < 256; value++)
    ((text.charCodeAt(value >> 2) >> (value & 3)) & 1 ? frequent : rare).push(value);
  const bytes = new Uint8Array(text.length);
  let at = TABLE;
  let length = 0;
  const next = (): number => {
    const code = text.charCodeAt(at++);
    return code - (code < 60 ? 40 : code < 92 ? 41 : code < 96 ? 42 : 43);
  };
  while (at < text.length) {
    const first = next();
    bytes[length++] = frequent[first] ?? rare[(first - frequent.length) * CHARACTERS + next()]!;
  }
  return bytes.subarray(0, length);
}
