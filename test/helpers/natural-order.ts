/**
 * The order of names by its clause in the specification (3.3): runs of digits by value, everything else by byte. Independent of the
 * library's own, which compares without taking names apart.
 *
 * @module
 */

/** Below 0 if the first name comes first. */
export function naturalOrder(first: Uint8Array, second: Uint8Array): number {
  const [x, y] = [textOf(first), textOf(second)];
  const [a, b] = [partsOf(x), partsOf(y)];
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const [one, other] = [a[i]!, b[i]!];
    const numbers = /\d/.test(one) && /\d/.test(other);
    if (numbers && BigInt(one) !== BigInt(other)) return BigInt(one) < BigInt(other) ? -1 : 1;
    if (!numbers && one !== other) return one < other ? -1 : 1;
  }
  if (a.length !== b.length) return a.length - b.length;
  return x < y ? -1 : x > y ? 1 : 0;
}

const textOf = (name: Uint8Array): string => Buffer.from(name).toString("latin1");
const partsOf = (text: string): readonly string[] => text.match(/\d+|\D/g) ?? [];
