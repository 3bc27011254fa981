/**
 * What an adapter has in addition to its payloads, in few objects: names and shapes of its modules, which adapters of one
 * model have in common, are kept once, and plans of bands are packed. Otherwise the garbage collector walks through the objects
 * of a thousand adapters.
 *
 * @module
 */
import type { Encoding } from "../core/codecs/encoding.ts";
import type { Band } from "../core/codecs/packed.ts";
import type { ModuleShape } from "../model/adapter.ts";

/** The modules of an adapter, without what is in them. */
export interface SharedLayout {
  /** Number of each module by its name, in file order. */
  readonly numbers: ReadonlyMap<string, number>;
  readonly shapes: readonly ModuleShape[];
}

/** Objects by what they say, held weakly. */
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

/** A name may have spaces: it comes last. */
function keyOf(shape: ModuleShape): string {
  const { name, role, out, in: input, kernel, experts, rank, baseLayout, multiplier, alpha, rule } = shape;
  return `${role} ${out} ${input} ${kernel.join("x")} ${experts} ${rank} ${baseLayout} ${multiplier} ${alpha} ${rule} ${name.length} ${name}`;
}

/** Encodings by number. There are a few thousand different ones at most (spec clause 8). */
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

/** Plans of bands, packed: plans of modules of one adapter differ, and objects for each would be most of what it has. */
export class PackedPlans {
  readonly #numbers: Uint16Array;
  /** Where the plan of each module begins, and the end. */
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

  /** The bands of a module. Equal plans that were used lately are the same object. */
  bands(module: number): readonly Band[] {
    const packed = this.#numbers.subarray(this.#starts[module], this.#starts[module + 1]);
    const key = String.fromCharCode(...packed);
    let bands = unpacked.get(key);
    if (bands === undefined) {
      bands = Array.from({ length: packed.length / BAND }, (_, i) => ({
        components: packed[BAND * i]!,
        b: encodings[packed[BAND * i + 1]!]!,
        a: encodings[packed[BAND * i + 2]!]!,
      }));
      // The first key is the one that was set first.
      if (unpacked.size >= KEPT) for (const first of unpacked.keys()) if (unpacked.delete(first)) break;
      unpacked.set(key, bands);
    }
    return bands;
  }
}

/** Plans that are kept unpacked: some 4 MiB. */
const KEPT = 8192;
const unpacked = new Map<string, readonly Band[]>();
