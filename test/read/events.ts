/** Helpers for the tests of streams: what a file says in one piece, and what a decoder says when it is cut. */
import {
  type ErrorName,
  isLqaError,
  LqaDecoder,
  type LqaEvent,
  type LqaFile,
  type ModuleRecord,
  open,
  type PackedFactors,
  type PlainTensor,
  type StreamOptions,
  validate,
} from "../../src/core/index.ts";

/** The facts of an error that do not depend on how the input was cut. */
export interface Finding {
  readonly kind: ErrorName;
  readonly offset: number | undefined;
}

export interface Told {
  readonly events: string[];
  readonly error: Finding | undefined;
}

/** An event as a text that has everything in it; thousands of them are compared. */
export function plain(event: LqaEvent): string {
  if (event.type !== "module") return text(event);
  const { decode, ...rest } = event;
  return text({ ...rest, decoded: decode() });
}

/** A value with everything in it, arrays of numbers as base64. */
export function text(value: unknown): string {
  return JSON.stringify(value, (_, v) =>
    ArrayBuffer.isView(v) ? Buffer.from(v.buffer, v.byteOffset, v.byteLength).toString("base64") : v,
  );
}

export function finding(error: unknown): Finding {
  if (!isLqaError(error)) throw error;
  return { kind: error.kind, offset: error.offset };
}

/** The events of a file that arrives in pieces. */
export async function* streamed(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<LqaEvent, void> {
  const ready: LqaEvent[] = [];
  const decoder = new LqaDecoder((event) => void ready.push(event));
  for await (const piece of pieces) {
    await decoder.push(piece);
    yield* ready.splice(0);
  }
  await decoder.end();
  yield* ready;
}

/** What a decoder says about pieces. */
export async function pushed(pieces: Iterable<Uint8Array>, options?: StreamOptions): Promise<Told> {
  const events: string[] = [];
  const decoder = new LqaDecoder((event) => void events.push(plain(event)), options);
  try {
    for (const piece of pieces) await decoder.push(piece);
    await decoder.end();
  } catch (error) {
    return { events, error: finding(error) };
  }
  return { events, error: undefined };
}

/** What a decoder must say about a good file: everything by way of the reader of whole files. */
export async function expected(bytes: Uint8Array): Promise<string[]> {
  const file = await open(bytes);
  const ids = await file.verify();
  const origin = await file.origin();
  const meta = await file.meta();
  const events: unknown[] = [{ type: "header", prologue: file.prologue, index: file.index }];
  for (const record of file.modules)
    events.push({
      type: "module",
      record,
      payload: bytes.subarray(record.chunk.offset, record.chunk.offset + record.payload),
      factors: await file.packed(record),
      decoded: await file.decode(record),
    });
  for (const record of file.tensors)
    events.push({ type: "tensor", record, tensor: await file.tensor(record) });
  for (const record of file.sections)
    events.push({
      type: "section",
      record,
      map: record.type === "META" ? meta : record.type === "ORIG" ? origin : undefined,
    });
  return [...events, { type: "end", ...ids }].map(text);
}

/** The first error of the validator, which sees the bytes in one piece. */
export async function validated(bytes: Uint8Array): Promise<Finding | undefined> {
  const { error } = await validate(bytes, { level: "integrity" });
  return error && finding(error);
}

/** The first error of opening and verifying. */
export async function opened(bytes: Uint8Array): Promise<Finding | undefined> {
  try {
    await (await open(bytes)).verify();
    return undefined;
  } catch (error) {
    return finding(error);
  }
}

/** What a writer takes: the packed modules and the tensors of a file. */
export async function contentOf(
  file: LqaFile,
): Promise<{ modules: (ModuleRecord & PackedFactors)[]; tensors: PlainTensor[] }> {
  const modules: (ModuleRecord & PackedFactors)[] = [];
  for await (const { record, factors } of file.packedAll()) modules.push({ ...record, ...factors });
  const tensors: PlainTensor[] = [];
  for (const record of file.tensors) tensors.push(await file.tensor(record));
  return { modules, tensors };
}

/** `bytes` cut at these positions. */
export function cut(bytes: Uint8Array, positions: readonly number[]): Uint8Array[] {
  const at = [0, ...[...positions].sort((x, y) => x - y), bytes.length];
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
}

/** `bytes` in pieces of one size. */
export function inPieces(bytes: Uint8Array, size: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  );
}

/** The same without what only a stream has: the raw bytes of a section. */
export function comparable(events: readonly string[]): string[] {
  return events.map((event) => event.replace(/("type":"section".*),"data":"[^"]*"/, "$1"));
}
