/**
 * Finds a module's place in its model from its name: `model.layers.12.self_attn.q_proj` is the projection `self_attn.q_proj`
 * of the layer `model.layers.12`. Use it only for drawings: names guarantee nothing.
 *
 * @module
 */

/** A module's place in a grid of layers and projections. */
export interface LayerPlace {
  /** The name up to its layer number, or empty if it has none. */
  readonly layer: string;
  /** The rest of the name. */
  readonly projection: string;
}

/** A number between separators, followed by more name. */
const NUMBER = /(?:^|[._/])\d+(?=[._/].)/g;

/**
 * The places of modules, in their order. If a name has several numbers, the layer number is the last one that more than one
 * module shares: in `blocks.0.ff.net.2.proj` it is `blocks.0` if `blocks.0.ff.net.2` has only this module.
 */
export function layerPlaces(names: readonly string[]): LayerPlace[] {
  const ends = names.map((name) =>
    Array.from(name.matchAll(NUMBER), (found) => found.index + found[0].length),
  );
  const members = new Map<string, number>();
  names.forEach((name, i) => {
    for (const end of ends[i]!) {
      const block = name.slice(0, end);
      members.set(block, (members.get(block) ?? 0) + 1);
    }
  });
  return names.map((name, i) => {
    const own = ends[i]!;
    const end = own.findLast((at) => members.get(name.slice(0, at))! > 1) ?? own.at(-1);
    if (end === undefined) return { layer: "", projection: name };
    return { layer: name.slice(0, end), projection: name.slice(end + 1) };
  });
}

/** Orders names with their numbers by value: `layers.2` before `layers.10`. For `sort`. */
export function naturalOrder(a: string, b: string): number {
  const [one, other] = [a, b].map((name) => name.split(/(\d+)/)) as [string[], string[]];
  for (let i = 0; i < Math.min(one.length, other.length); i++) {
    const [x, y] = [one[i]!, other[i]!];
    if (x === y) continue;
    // Every second piece is a number, of any length; of equal numbers the text decides.
    const [p, q] = i % 2 === 1 ? [x, y].map((digits) => digits.replace(/^0+(?=.)/, "")) : [x, y];
    if (i % 2 === 1 && p!.length !== q!.length) return p!.length - q!.length;
    if (p !== q) return p! < q! ? -1 : 1;
    return x < y ? -1 : 1;
  }
  return one.length - other.length;
}

/** Labels without the words that all of them begin or end with. A single label stays unchanged. */
export function shortLabels(labels: readonly string[]): string[] {
  if (labels.length < 2) return [...labels];
  // Underscores separate words only if nothing else does: `q_proj` is one word.
  const separator = labels.some((label) => /[./]/.test(label)) ? /(?<=[./])/ : /(?<=_)/;
  const words = labels.map((label) => label.split(separator));
  const least = words.reduce((length, { length: own }) => Math.min(length, own), words[0]!.length);
  const shared = (at: (list: readonly string[]) => string): boolean =>
    words.every((list) => at(list) === at(words[0]!));
  let begin = 0;
  while (begin < least - 1 && shared((list) => list[begin]!)) begin++;
  let end = 0;
  while (end < least - 1 - begin && shared((list) => list.at(-1 - end)!)) end++;
  return words.map((list) =>
    list
      .slice(begin, list.length - end)
      .join("")
      .replace(end > 0 ? /[._/]$/ : /^$/, ""),
  );
}
