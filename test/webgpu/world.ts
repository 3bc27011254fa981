/**
 * What the checks on a device need of where they run: Node, or a page.
 *
 * @module
 */

/** Where checks run. */
export interface World {
  /** A new device, with the limits that every device has. Errors that nobody caught are kept in `uncaught`. */
  newDevice(): Promise<GPUDevice>;
  readonly uncaught: string[];
  /** A file below the root of the repository, or one of `adapters`. */
  read(path: string): Promise<Uint8Array>;
  /** Encoded adapters, by path for `read`. */
  readonly adapters: readonly string[];
  /** A check has passed, or failed for a reason. */
  report(name: string, reason?: string): void;
  /** Something measured. */
  note(text: string): void;
}

/** Runs a check and reports it. What it throws is why it failed. */
export async function check(world: World, name: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
    const [uncaught] = world.uncaught.splice(0);
    world.report(name, uncaught === undefined ? undefined : `uncaptured: ${uncaught}`);
  } catch (error) {
    world.report(name, (error as Error).stack ?? String(error));
  }
}

/** Throws unless the bytes are the same; says where they are not, by words. */
export function assertSame(found: Uint8Array, expected: Uint8Array, what: string): void {
  if (found.length !== expected.length)
    throw new Error(`${what}: expected ${expected.length} bytes, found ${found.length}`);
  const at = found.findIndex((byte, i) => byte !== expected[i]);
  if (at < 0) return;
  const hex = (bytes: Uint8Array): string =>
    Array.from(bytes.subarray(at - (at % 4), at - (at % 4) + 4), (byte) =>
      byte.toString(16).padStart(2, "0"),
    ).join(" ");
  throw new Error(`${what}: byte ${at}: expected ${hex(expected)}, found ${hex(found)}`);
}

export const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);

/** Values of GPUBufferUsage, which Node does not have as a global. */
const MAP_READ = 0x1;
const COPY_SRC = 0x4;
const COPY_DST = 0x8;
const STORAGE = 0x80;

/** A storage buffer with these bytes. */
export function bufferOf(
  device: GPUDevice,
  bytes: Uint8Array,
  usage: number = STORAGE | COPY_SRC,
): GPUBuffer {
  const size = Math.max(4, Math.ceil(bytes.length / 4) * 4);
  const buffer = device.createBuffer({ size, usage, mappedAtCreation: true });
  new Uint8Array(buffer.getMappedRange()).set(bytes);
  buffer.unmap();
  return buffer;
}

/** What buffers hold, once everything that was submitted is done. */
export async function contentsOf(device: GPUDevice, buffers: readonly GPUBuffer[]): Promise<Uint8Array[]> {
  const total = buffers.reduce((sum, { size }) => sum + size, 0);
  const staging = device.createBuffer({ size: total, usage: MAP_READ | COPY_DST });
  const encoder = device.createCommandEncoder();
  let at = 0;
  for (const buffer of buffers) {
    encoder.copyBufferToBuffer(buffer, 0, staging, at, buffer.size);
    at += buffer.size;
  }
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(MAP_READ);
  const bytes = new Uint8Array(staging.getMappedRange().slice(0));
  staging.destroy();
  at = 0;
  return buffers.map(({ size }) => bytes.subarray(at, (at += size)));
}
