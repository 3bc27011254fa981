/**
 * The memory of a kernel: how it grows, and views on the whole of it.
 *
 * A view is on the memory as it was when it was made: growing detaches it. So a kernel asks for room first, and uses the views
 * that are here afterwards.
 *
 * @module
 */
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

  /** Makes room for so many bytes. @returns false if the engine has no such memory */
  reserve(bytes: number): boolean {
    if (!growTo(this.memory, bytes)) return false;
    if (this.#bytes.buffer !== this.memory.buffer) this.#view();
    return true;
  }
}
