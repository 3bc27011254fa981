/**
 * Recognises the shards of an adapter by their file names, such as `adapter_model-00001-of-00002.safetensors`.
 *
 * @module
 */

/** Parses the name of a shard: `adapter_model-00001-of-00002.safetensors`. Undefined for any other name. */
function shardName(
  name: string,
):
  | { readonly stem: string; readonly number: number; readonly count: number; readonly ending: string }
  | undefined {
  const [, stem, number, count, ending] = /^(.+)-(\d{5})-of-(\d{5})(\.[a-z]+)$/.exec(name) ?? [];
  return ending === undefined
    ? undefined
    : { stem: stem!, number: Number(number), count: Number(count), ending };
}

/** The name that the merged file of these shards would have; undefined if they are not all shards of one file. */
export function wholeName(names: readonly string[]): string | undefined {
  const shards = names.map(shardName);
  const [first] = shards;
  const whole =
    first !== undefined &&
    first.count > 1 &&
    new Set(names).size === first.count &&
    shards.every(
      (shard) =>
        shard !== undefined &&
        shard.stem === first.stem &&
        shard.ending === first.ending &&
        shard.count === first.count &&
        shard.number >= 1 &&
        shard.number <= first.count,
    );
  return whole ? first.stem + first.ending : undefined;
}

/**
 * The names of all shards of an adapter, in order.
 *
 * @param name the name of one shard; if it is not a shard's name, or if shards are missing, the result is this name alone
 * @param names the names of all files that exist
 */
export function shardsOf(name: string, names: readonly string[]): string[] {
  const { stem, count = 1, ending } = shardName(name) ?? {};
  const present = new Set(names);
  if (count > present.size) return [name];
  const shards = Array.from(
    { length: count },
    (_, i) => `${stem}-${number(i + 1)}-of-${number(count)}${ending}`,
  );
  return count > 1 && shards.every((shard) => present.has(shard)) ? shards : [name];
}

const number = (value: number): string => String(value).padStart(5, "0");
