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

// Kernels as they are embedded in sources: as a text of printable ASCII in which nearly every byte is one character, so that
// gzip finds in it what repeats in the bytes. The decoder's kernel has 25,494 bytes, 5.1 KB gzipped. As text it has 25,991
// characters, and gzipped 5.1 KB again, where hexadecimal takes 5.7 KB (and is longer than the window of gzip) and base64 8.3
// KB.
//
// There are 84 characters: from `(` to `~` without `<`, `\` and the backtick, so that no bundler has to escape one. The text
// begins with a table: 64 letters from `@` to `O`, four byte values each, that say which values are frequent. The characters
// represent these in order; the remaining three, each followed by a second character, represent the rare values.

const CHARACTERS = 84;
const TABLE = 64;

/** The bytes of a text that `textOf` of build.mjs wrote. */
export function bytesOfText(text: string): Uint8Array<ArrayBuffer> {
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
