/**
 * A reader of Python pickles that builds values and runs nothing.
 *
 * A pickle is a program for a stack machine. Its dangerous instructions look up any object of any Python module and call
 * it. This reader knows only the instructions of saved tensors, looks up only listed names, and "calling" one of them only
 * builds a value that this file defines. It refuses everything else before it acts on it. Work and memory are proportional to
 * the length of the program, and bounded: a program can make a million values from as many bytes, and can reuse a remembered
 * value in any number of places.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { type WorkMeter, workMeter } from "../../meter.ts";
import { type Cursor, malformed, readI32, readText, readU32, take } from "../cursor.ts";
import { quoteName } from "../json.ts";

/** A name that the pickle looked up: `module name`. */
export class PickleGlobal {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** The result of calling a name with arguments. */
export class PickleCall {
  readonly name: string;
  readonly args: readonly PickleValue[];
  constructor(name: string, args: readonly PickleValue[]) {
    this.name = name;
    this.args = args;
  }
}

/** A reference to data that the pickle says is stored outside of it. */
export class PickleReference {
  readonly id: PickleValue;
  constructor(id: PickleValue) {
    this.id = id;
  }
}

/** A value. Tuples and lists are arrays; dictionaries, ordered ones included, are maps. */
export type PickleValue =
  | null
  | boolean
  | number
  | string
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | PickleGlobal
  | PickleCall
  | PickleReference;

/** `_metadata` of a state dict and the hooks of a tensor are ordered dictionaries; the reader ignores their contents. */
const ORDERED_DICT = "collections OrderedDict";

/**
 * Work limits for the pickles of one file. Steps are instructions and copied pairs: about 40 for each of a hundred
 * thousand tensors. Objects are dictionaries (an empty one takes 200 bytes): two for each of as many tensors.
 */
const PICKLES = { steps: 2 ** 22, objects: 2 ** 18 };
/** Most values on the stack. Python's pickler writes lists and dictionaries in batches of a thousand. */
const MOST_STACKED = 2 ** 16;
/** Most remembered values: ten for each of a hundred thousand tensors. */
const MOST_REMEMBERED = 2 ** 20;

/** Makes the meter for the pickles of one file. */
export function pickleMeter(where: string): WorkMeter {
  return workMeter(
    where,
    PICKLES,
    "Check where this file comes from, or save the adapter as safetensors, which has no such limit.",
  );
}

const MARK = Symbol("mark");
type Slot = PickleValue | typeof MARK;

interface Machine {
  readonly cursor: Cursor;
  readonly stack: Slot[];
  readonly memo: Map<number, PickleValue>;
  readonly globals: ReadonlySet<string>;
  readonly meter: WorkMeter;
}

/**
 * Reads one pickle, from the cursor to its STOP instruction.
 *
 * @param globals names that the pickle may look up and call, as `module name`
 * @param meter meter of the whole file, see {@link pickleMeter}
 * @throws LqaError UNSAFE_PICKLE for an instruction or a name that is not allowed, with the offset; TRUNCATED_SOURCE;
 * SOURCE_HEADER for a program that is malformed; BUDGET
 */
export function readPickle(cursor: Cursor, globals: ReadonlySet<string>, meter: WorkMeter): PickleValue {
  const machine: Machine = { cursor, stack: [], memo: new Map(), globals, meter };
  for (;;) {
    meter.charge("steps", 1);
    if (machine.stack.length > MOST_STACKED)
      return malformed(cursor, `at most ${MOST_STACKED} values on the stack`, "more");
    const offset = cursor.at;
    const code = cursor.bytes[take(cursor, 1, "an instruction")]!;
    if (code === STOP) return pop(machine);
    const run = OPCODES.get(code);
    if (run === undefined) {
      const shown = `instruction 0x${code.toString(16).padStart(2, "0")}`;
      return refuse(cursor, "instructions that build tensors", shown, offset);
    }
    run(machine);
  }
}

function refuse(cursor: Cursor, expected: string, actual: string, offset: number): never {
  return fail(KIND.UNSAFE_PICKLE, { where: cursor.where, expected, actual, offset });
}

const STOP = 0x2e;

function pop({ cursor, stack }: Machine): PickleValue {
  const value = stack.pop();
  if (value === undefined || value === MARK) return malformed(cursor, "a value on the stack", "none");
  return value;
}

/** Pops everything above the last mark. */
function popMark(machine: Machine): PickleValue[] {
  const at = machine.stack.lastIndexOf(MARK);
  if (at < 0) return malformed(machine.cursor, "a mark on the stack", "none");
  const values = machine.stack.splice(at) as PickleValue[];
  values.shift();
  return values;
}

function top(machine: Machine): PickleValue {
  const value = machine.stack[machine.stack.length - 1];
  if (value === undefined || value === MARK) return malformed(machine.cursor, "a value on the stack", "none");
  return value;
}

function byte({ cursor }: Machine): number {
  return cursor.bytes[take(cursor, 1, "a byte")]!;
}

function remember(machine: Machine, index: number): void {
  const { cursor, memo } = machine;
  if (memo.size === MOST_REMEMBERED)
    malformed(cursor, `at most ${MOST_REMEMBERED} remembered values`, "more");
  memo.set(index, top(machine));
}

function recall(machine: Machine, index: number): void {
  const value = machine.memo.get(index);
  if (value === undefined) malformed(machine.cursor, "a value remembered before", `number ${index}`);
  else machine.stack.push(value);
}

function tuple(count: number): (machine: Machine) => void {
  return (machine) => {
    const values = Array.from({ length: count }, () => pop(machine));
    machine.stack.push(values.reverse());
  };
}

function text(length: (machine: Machine) => number): (machine: Machine) => void {
  return (machine) => {
    machine.stack.push(readText(machine.cursor, length(machine), "a text"));
  };
}

function line(machine: Machine): string {
  const { cursor } = machine;
  const end = cursor.bytes.indexOf(0x0a, cursor.at);
  const length = (end < 0 ? cursor.bytes.length : end) - cursor.at;
  const value = readText(cursor, Math.min(length, 256), "a name");
  if (length > 256) malformed(cursor, "a name of at most 256 bytes", length);
  take(cursor, 1, "a line feed");
  return value;
}

function lookUp(machine: Machine, module: PickleValue, name: PickleValue, offset: number): void {
  const full = typeof module === "string" && typeof name === "string" ? `${module} ${name}` : undefined;
  if (full === undefined || !machine.globals.has(full)) {
    const shown = full === undefined ? describePickle(name) : quoteName(full.replace(" ", "."));
    refuse(machine.cursor, "names that belong to tensors", shown, offset);
  }
  machine.stack.push(new PickleGlobal(full!));
}

function call(machine: Machine): void {
  const args = pop(machine);
  const callee = pop(machine);
  if (!(callee instanceof PickleGlobal) || !Array.isArray(args)) {
    malformed(machine.cursor, "a name and its arguments", "something else");
    return;
  }
  if (callee.name === ORDERED_DICT) machine.stack.push(pairsOf(machine, args));
  else machine.stack.push(new PickleCall(callee.name, args));
}

/** Builds the dictionary of `OrderedDict()` or `OrderedDict([(k, v), …])`. */
function pairsOf(machine: Machine, args: readonly PickleValue[]): Map<PickleValue, PickleValue> {
  const [list] = args;
  const dictionary = newDictionary(machine);
  if (list === undefined) return dictionary;
  if (!Array.isArray(list)) return malformed(machine.cursor, "a list of pairs", "something else");
  // A program could copy one remembered list once for every three bytes.
  machine.meter.charge("steps", list.length);
  for (const pair of list) {
    if (!Array.isArray(pair) || pair.length !== 2)
      return malformed(machine.cursor, "pairs", "something else");
    dictionary.set(pair[0]!, pair[1]!);
  }
  return dictionary;
}

function newDictionary(machine: Machine): Map<PickleValue, PickleValue> {
  machine.meter.charge("objects", 1);
  return new Map();
}

function setItems(machine: Machine, items: readonly PickleValue[]): void {
  const target = top(machine);
  if (!(target instanceof Map) || items.length % 2 !== 0) {
    malformed(machine.cursor, "a dictionary and pairs", "something else");
    return;
  }
  for (let i = 0; i < items.length; i += 2) {
    const key = items[i]!;
    if (target.has(key)) malformed(machine.cursor, "distinct keys", describePickle(key));
    target.set(key, items[i + 1]!);
  }
}

function append(machine: Machine, items: readonly PickleValue[]): void {
  const target = top(machine);
  if (!Array.isArray(target)) malformed(machine.cursor, "a list", "something else");
  else for (const item of items) target.push(item);
}

/** Describes a value for messages. Never its items: they may contain each other, and a few bytes can double them many times. */
export function describePickle(value: PickleValue): string {
  if (typeof value === "string") return quoteName(value);
  if (value instanceof Map) return "a dictionary";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

/** Reads a little-endian two's complement integer of `length` bytes. */
function long(machine: Machine): void {
  const length = byte(machine);
  const at = take(machine.cursor, length, "an integer");
  let value = 0n;
  for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(machine.cursor.bytes[at + i]!);
  machine.stack.push(Number(BigInt.asIntN(8 * length, value)));
}

/** Replaces `obj.__setstate__` or `__dict__.update`: accepts only the state of an ordered dictionary, and drops it. */
function build(machine: Machine): void {
  pop(machine);
  if (!(top(machine) instanceof Map)) {
    refuse(machine.cursor, "state of dictionaries only", "state of another object", machine.cursor.at - 1);
  }
}

const push = (value: () => PickleValue) => (machine: Machine) => {
  machine.stack.push(value());
};
const u32 = ({ cursor }: Machine): number => readU32(cursor, "a length");

const OPCODES: ReadonlyMap<number, (machine: Machine) => void> = new Map<number, (machine: Machine) => void>([
  // Protocol and frame: no effect on the values.
  [0x80, (m) => void take(m.cursor, 1, "a protocol number")],
  [0x95, (m) => void take(m.cursor, 8, "a frame length")],
  // Constants.
  [0x4e, push(() => null)],
  [0x88, push(() => true)],
  [0x89, push(() => false)],
  [0x4a, (m) => void m.stack.push(readI32(m.cursor, "an integer"))],
  [0x4b, (m) => void m.stack.push(byte(m))],
  [0x4d, (m) => void m.stack.push(byte(m) + 256 * byte(m))],
  [0x8a, long],
  [0x47, (m) => void m.stack.push(m.cursor.view.getFloat64(take(m.cursor, 8, "a number"), false))],
  [0x58, text(u32)],
  [0x8c, text(byte)],
  [0x54, text(u32)],
  [0x55, text(byte)],
  // Containers.
  [0x28, (m) => void m.stack.push(MARK)],
  [0x7d, (m) => void m.stack.push(newDictionary(m))],
  [0x5d, push(() => [])],
  [0x29, push(() => [])],
  [0x85, tuple(1)],
  [0x86, tuple(2)],
  [0x87, tuple(3)],
  [0x74, (m) => void m.stack.push(popMark(m))],
  [0x73, (m) => setItems(m, [pop(m), pop(m)].reverse())],
  [0x75, (m) => setItems(m, popMark(m))],
  [0x61, (m) => append(m, [pop(m)])],
  [0x65, (m) => append(m, popMark(m))],
  // Memo: remember and recall values.
  [0x71, (m) => remember(m, byte(m))],
  [0x72, (m) => remember(m, u32(m))],
  [0x94, (m) => remember(m, m.memo.size)],
  [0x68, (m) => recall(m, byte(m))],
  [0x6a, (m) => recall(m, u32(m))],
  // Names, calls, state, references.
  [
    0x63,
    (m) => {
      const offset = m.cursor.at - 1;
      const module = line(m);
      lookUp(m, module, line(m), offset);
    },
  ],
  [
    0x93,
    (m) => {
      const name = pop(m);
      lookUp(m, pop(m), name, m.cursor.at - 1);
    },
  ],
  [0x52, call],
  [0x62, build],
  [0x51, (m) => void m.stack.push(new PickleReference(pop(m)))],
]);
