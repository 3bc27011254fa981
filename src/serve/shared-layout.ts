/**
 * Everything that an adapter has in addition to its payloads, in few objects. Names and shapes of modules are kept once for all
 * adapters of one model, and plans of bands are packed. Otherwise the garbage collector would visit the objects
 * of a thousand adapters.
 *
 * @module
 */
import type { Band, Encoding } from "../core/index.ts";

import type { ModuleShape } from "../model/adapter.ts";

/** The modules of an adapter, without their contents. */
export interface SharedLayout {
  /** Number of each module by its name, in file order. */
  readonly numbers: ReadonlyMap<string, number>;
  readonly shapes: readonly ModuleShape[];
}

/** Objects by a key for their contents, held weakly. */
export class Shared<T extends object> {
  readonly #known = new Map<string, WeakRef<T>>();
  readonly #collected = new FinalizationRegistry<string>((key) => {
    if (this.#known.get(key)?.deref() === undefined) this.#known.delete(key);
  });

  of(key: string, make: () => T): T {
    const known = this.#known.get(key)?.deref();
    if (known !== undefined) return known;
    const made = make();
    this.#known.set(key, new WeakRef(made));
    this.#collected.register(made, key);
    return made;
  }
}

const layouts = new Shared<SharedLayout>();

/** The layout of an adapter with these modules. */
export function sharedLayout(modules: readonly ModuleShape[]): SharedLayout {
  return layouts.of(modules.map(keyOf).join("\n"), () => ({
    numbers: new Map(modules.map(({ name }, i) => [name, i])),
    shapes: modules.map(
      ({ name, role, out, in: input, kernel, experts, rank, baseLayout, multiplier, alpha, rule }) => ({
        ...{ name, role, out, in: input, kernel, experts, rank, baseLayout, multiplier, alpha, rule },
      }),
    ),
  }));
}

/** A key for a shape. A name may contain spaces, so it comes last. */
function keyOf(shape: ModuleShape): string {
  const { name, role, out, in: input, kernel, experts, rank, baseLayout, multiplier, alpha, rule } = shape;
  return `${role} ${out} ${input} ${kernel.join("x")} ${experts} ${rank} ${baseLayout} ${multiplier} ${alpha} ${rule} ${name.length} ${name}`;
}

/** Encodings by number. There are at most a few thousand different ones (spec clause 8). */
const encodings: Encoding[] = [];
const numbers = new Map<string, number>();
const known = new WeakMap<Encoding, number>();

function numberOf(encoding: Encoding): number {
  const own = known.get(encoding);
  if (own !== undefined) return own;
  const text = JSON.stringify(encoding);
  let number = numbers.get(text);
  if (number === undefined) {
    number = encodings.push(encoding) - 1;
    numbers.set(text, number);
  }
  known.set(encoding, number);
  return number;
}

/** Numbers of a packed band: components, encoding of B', encoding of A'. Each is below 2^16 (spec clause 14). */
const BAND = 3;

/** Packed plans of bands. Modules of one adapter have different plans, and objects would take most of an adapter's memory. */
export class PackedPlans {
  readonly #numbers: Uint16Array;
  /** Beginning of each module's plan, and the end of the last one. */
  readonly #starts: Uint32Array;

  constructor(plans: readonly (readonly Band[])[]) {
    this.#starts = new Uint32Array(plans.length + 1);
    plans.forEach(({ length }, i) => {
      this.#starts[i + 1] = this.#starts[i]! + BAND * length;
    });
    this.#numbers = new Uint16Array(this.#starts.at(-1)!);
    let at = 0;
    for (const plan of plans)
      for (const { components, b, a } of plan) {
        this.#numbers[at++] = components;
        this.#numbers[at++] = numberOf(b);
        this.#numbers[at++] = numberOf(a);
      }
  }

  /** The bands of a module. Equal plans that were used recently are the same object. */
  bands(module: number): readonly Band[] {
    const packed = this.#numbers.subarray(this.#starts[module], this.#starts[module + 1]);
    const key = String.fromCharCode.apply(null, packed as unknown as number[]);
    let bands = unpacked.get(key);
    if (bands === undefined) {
      bands = Array.from({ length: packed.length / BAND }, (_, i) => ({
        components: packed[BAND * i]!,
        b: encodings[packed[BAND * i + 1]!]!,
        a: encodings[packed[BAND * i + 2]!]!,
      }));
      // The first key of a Map is the oldest.
      if (unpacked.size >= KEPT) for (const first of unpacked.keys()) if (unpacked.delete(first)) break;
      unpacked.set(key, bands);
    }
    return bands;
  }
}

/** Number of plans that are kept unpacked: some 4 MiB. */
const KEPT = 8192;
const unpacked = new Map<string, readonly Band[]>();
