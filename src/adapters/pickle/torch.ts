/**
 * Files of `torch.save` (`.bin`, `.pt`): a zip archive since PyTorch 1.6, a sequence of pickles before.
 *
 * Reads only dictionaries of tensors, with the pickle subset of `machine.ts`. Guarantees that every tensor lies
 * inside its storage and every storage inside the file.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { ELEMENT_BYTES, type ElementType } from "../../model/adapter.ts";
import { type Cursor, cursorOf, malformed, readU64, take } from "../cursor.ts";
import { quoteName } from "../json.ts";
import type { SafeTensor } from "../safetensors.ts";
import {
  describePickle,
  PickleCall,
  PickleGlobal,
  PickleReference,
  type PickleValue,
  pickleMeter,
  readPickle,
} from "./machine.ts";
import { readZip } from "./zip.ts";

const STORAGES: ReadonlyMap<string, ElementType> = new Map([
  ["torch DoubleStorage", "F64"],
  ["torch FloatStorage", "F32"],
  ["torch HalfStorage", "F16"],
  ["torch BFloat16Storage", "BF16"],
  ["torch LongStorage", "I64"],
  ["torch IntStorage", "I32"],
  ["torch ShortStorage", "I16"],
  ["torch CharStorage", "I8"],
  ["torch ByteStorage", "U8"],
  ["torch BoolStorage", "BOOL"],
]);
const TENSOR = "torch._utils _rebuild_tensor_v2";
const PARAMETER = "torch._utils _rebuild_parameter";
const GLOBALS: ReadonlySet<string> = new Set([
  ...STORAGES.keys(),
  TENSOR,
  PARAMETER,
  "collections OrderedDict",
]);

/** First value of a file without an archive, as the long integer in its pickle. */
const LEGACY_MAGIC = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/**
 * Largest ratio of the bytes of all tensors to the stored bytes. Tied weights share one storage. Stops a file in which
 * thousands of tensors share one storage, because each becomes its own array.
 */
const MOST_SHARED = 8;

interface Storage {
  readonly element: ElementType;
  /** Number of elements. */
  readonly count: number;
  readonly data: () => Uint8Array;
}

/** True if a file begins like a pickle. A safetensors header of 128 bytes does so too, but has its brace at byte 8. */
export function isTorchFile(magic: Uint8Array): boolean {
  return magic[0] === 0x80 && magic[1]! >= 2 && magic[1]! <= 5 && magic[8] !== 0x7b;
}

/**
 * True if a file begins like a pickle of protocol 0 or 1, which has no protocol number: with a dictionary, a list, or the name
 * of a class. Without this check, such a file would look like a safetensors file with a header of petabytes.
 */
export function isOldPickle(magic: Uint8Array): boolean {
  const text = String.fromCharCode(...magic.subarray(0, 16));
  return magic[8] !== 0x7b && /^(\([dl]p\d|[}\]][q.(]|[(]*c[A-Za-z_][\w.]*(\n|$))/.test(text);
}

/**
 * Reads a dictionary of tensors.
 *
 * @throws LqaError UNSAFE_PICKLE; TRUNCATED_SOURCE; SOURCE_HEADER for everything else that breaks the format, and for a
 * file that holds anything but a dictionary of tensors; BUDGET for pickles that take too much work
 */
export function readTorchFile(bytes: Uint8Array): Map<string, SafeTensor> {
  return bytes[0] === 0x50 ? readArchive(bytes) : readLegacy(bytes);
}

function readArchive(bytes: Uint8Array): Map<string, SafeTensor> {
  const where = "PyTorch file";
  const entries = readZip(bytes, where);
  const program = [...entries.keys()].find((name) => /^([^/]+\/)?data\.pkl$/.test(name));
  if (program === undefined) {
    return fail(KIND.SOURCE_HEADER, { where, expected: "an archive with data.pkl", actual: "none" });
  }
  const stored = [...entries.values()].reduce((sum, { length }) => sum + length, 0);
  const folder = program.slice(0, -"data.pkl".length);
  const order = entries.get(`${folder}byteorder`);
  if (order !== undefined && new TextDecoder("latin1").decode(order.subarray(0, 8)) !== "little") {
    fail(KIND.UNSUPPORTED_DIALECT, { where, expected: "little-endian data", actual: "another byte order" });
  }
  const cursor = cursorOf(entries.get(program)!, `${where}, data.pkl`);
  const value = readPickle(cursor, GLOBALS, pickleMeter(where));
  return tensorsOf(value, cursor, MOST_SHARED * stored, (reference) => {
    const { key, element, count } = parseReference(reference, cursor);
    const data = entries.get(`${folder}data/${key}`);
    if (data === undefined || data.length < count * ELEMENT_BYTES[element]) {
      const expected = `${count} elements of ${element} in storage ${quoteName(key)}`;
      return fail(KIND.TRUNCATED_SOURCE, {
        where,
        expected,
        actual: data === undefined ? "none" : `${data.length} bytes`,
      });
    }
    return { element, count, data: () => data };
  });
}

/** The pickles are: magic number, protocol, machine, object, keys of the storages. The bytes of the storages follow. */
function readLegacy(bytes: Uint8Array): Map<string, SafeTensor> {
  const where = "PyTorch file";
  const cursor = cursorOf(bytes, where);
  const next = (): PickleValue => readPickle(cursor, GLOBALS, meter);
  const meter = pickleMeter(where);
  const magic = [0x80, 0x02, 0x8a, 0x0a, ...LEGACY_MAGIC, 0x2e];
  if (magic.some((byte, i) => bytes[i] !== byte)) {
    // Any other pickle is refused: for its instructions, or because it holds no dictionary of tensors.
    return tensorsOf(next(), cursor, 0, () => malformed(cursor, "a file of torch.save", "another pickle", 0));
  }
  cursor.at = magic.length;
  next();
  next();
  const value = next();
  const keys = next();
  const storages = new Map<string, Uint8Array>();
  const pending = new Map<string, Storage>();
  const tensors = tensorsOf(value, cursor, MOST_SHARED * bytes.length, (reference) => {
    const { key, element, count } = parseReference(reference, cursor);
    const known = pending.get(key);
    if (known !== undefined) return known;
    const storage = { element, count, data: () => storages.get(key)! };
    pending.set(key, storage);
    return storage;
  });
  for (const key of Array.isArray(keys) ? keys : []) {
    const storage = typeof key === "string" ? pending.get(key) : undefined;
    if (typeof key !== "string" || storage === undefined)
      return malformed(cursor, "storages of tensors", describePickle(key));
    const count = readU64(cursor, "the size of a storage");
    if (count !== storage.count) malformed(cursor, `${storage.count} elements`, count, cursor.at - 8);
    const length = count * ELEMENT_BYTES[storage.element];
    const at = take(cursor, length, `storage ${quoteName(key)}`);
    storages.set(key, bytes.subarray(at, at + length));
  }
  for (const key of pending.keys()) {
    if (!storages.has(key)) malformed(cursor, `storage ${quoteName(key)}`, "none");
  }
  return tensors;
}

/** Parses `("storage", FloatStorage, key, device, count)`, which old files extend by a view (refused unless it is None). */
function parseReference(
  { id }: PickleReference,
  cursor: Cursor,
): { key: string; element: ElementType; count: number } {
  const [kind, type, key, , count, view] = Array.isArray(id) ? id : [];
  const element = type instanceof PickleGlobal ? STORAGES.get(type.name) : undefined;
  const sound = kind === "storage" && typeof key === "string" && isCount(count) && (view ?? null) === null;
  if (element !== undefined && sound) return { key: key as string, element, count: count as number };
  return malformed(cursor, "a reference to a storage", "something else");
}

function isCount(value: PickleValue | undefined): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 48;
}

/** @param most largest number of bytes of all tensors together */
function tensorsOf(
  value: PickleValue,
  cursor: Cursor,
  most: number,
  storageOf: (reference: PickleReference) => Storage,
): Map<string, SafeTensor> {
  const inner = value instanceof Map && value.size === 1 ? value.get("state_dict") : undefined;
  const dictionary = inner instanceof Map ? inner : value;
  if (!(dictionary instanceof Map)) return malformed(cursor, "a dictionary of tensors", "something else");
  if (TRAINING.some((key) => dictionary.has(key))) refuseTraining();
  const tensors = new Map<string, SafeTensor>();
  let bytes = 0;
  for (const [key, item] of dictionary) {
    if (typeof key !== "string" || key === "" || key.includes("\0")) {
      return malformed(cursor, "names of tensors", describePickle(key));
    }
    const tensor = tensorOf(key, item, cursor, storageOf);
    bytes += tensor.shape.reduce((product, length) => product * length, ELEMENT_BYTES[tensor.element]);
    if (bytes > most) malformed(cursor, `tensors of at most ${most} bytes in total`, bytes);
    tensors.set(key, tensor);
  }
  return tensors;
}

/** Keys of dictionaries in which programs keep the state to resume training. */
const TRAINING = ["param_groups", "optimizer", "optimizer_state_dict", "optimizer_states", "lr_schedulers"];

function refuseTraining(): never {
  return fail(KIND.UNSUPPORTED_DIALECT, {
    summary: "This is the state of a training run, not an adapter.",
    where: "PyTorch file",
    advice: "Give the weights alone: the adapter's directory, or a file with a dictionary of its tensors.",
  });
}

function tensorOf(
  name: string,
  value: PickleValue,
  cursor: Cursor,
  storageOf: (reference: PickleReference) => Storage,
): SafeTensor {
  const bad = (actual: string): never => malformed(cursor, `a tensor for ${quoteName(name)}`, actual);
  if (!(value instanceof PickleCall)) return bad("another value");
  if (value.name === PARAMETER) {
    const [inner] = value.args;
    // No program writes a parameter of a parameter, and a hostile file could nest them to any depth.
    if (!(inner instanceof PickleCall) || inner.name !== TENSOR) return bad("another value");
    return tensorOf(name, inner, cursor, storageOf);
  }
  const [reference, begin, size, stride] = value.args;
  if (value.name !== TENSOR || !(reference instanceof PickleReference)) return bad("another value");
  const axes =
    Array.isArray(size) && Array.isArray(stride) && size.length === stride.length && size.length <= 8;
  if (!axes || !isCount(begin) || ![...(size as []), ...(stride as [])].every(isCount))
    return bad("no sizes");
  const storage = storageOf(reference);
  const shape = size as number[];
  const steps = stride as number[];
  const count = shape.reduce((product, length) => product * length, 1);
  const last = shape.reduce((sum, length, axis) => sum + (length - 1) * steps[axis]!, begin as number);
  if (count > storage.count || (count > 0 && last >= storage.count)) return bad("one beyond its storage");
  const { element } = storage;
  return {
    element,
    shape,
    get data() {
      return gather(storage.data(), ELEMENT_BYTES[element], begin as number, shape, steps, count);
    },
  };
}

/** The elements of a tensor in C order: a view if they are stored in this order, else (a transposed tensor) a copy. */
function gather(
  data: Uint8Array,
  bytes: number,
  begin: number,
  shape: readonly number[],
  steps: readonly number[],
  count: number,
): Uint8Array {
  let expected = 1;
  let contiguous = true;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && steps[axis] !== expected) contiguous = false;
    expected *= shape[axis]!;
  }
  if (contiguous || count === 0) return data.subarray(begin * bytes, (begin + count) * bytes);
  const result = new Uint8Array(count * bytes);
  const index = shape.map(() => 0);
  for (let at = 0; at < count; at++) {
    const from = index.reduce((sum, i, axis) => sum + i * steps[axis]!, begin) * bytes;
    result.set(data.subarray(from, from + bytes), at * bytes);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (++index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
  return result;
}
