/**
 * Recognizes what users pass instead of an adapter: a table of known kinds of files, each with a test, a description and
 * advice.
 *
 * In most cases the file is intact: it was downloaded in the wrong way, or the user meant another file of the directory. So
 * these checks run before any dialect, even if `--from` names one.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { quoteName } from "./json.ts";
import { otherMethod, refuseMethod, refusePeftType } from "./other-methods.ts";
import { CONFIG_FILE, type Source } from "./source.ts";

/** A description of something that is not an adapter, as in "This is …", and advice. */
export interface Identification {
  readonly what: string;
  readonly advice: string;
}

/** What the recognizers see of a file. */
export interface Sight {
  readonly name: string;
  /** The first {@link HEAD_BYTES} bytes. */
  readonly head: Uint8Array;
  /** Names of its tensors; empty if the file cannot be read as tensors. */
  readonly keys: readonly string[];
}

/** A row of the table. It applies if all its conditions hold. */
interface Recognizer extends Identification {
  /** Matches the first bytes as {@link textOf} shows them. `$1` in `what` is its first group. */
  readonly head?: RegExp;
  /** Matches the file's name; its groups continue the numbering of `head`'s. */
  readonly name?: RegExp;
  readonly keys?: (keys: readonly string[]) => boolean;
}

/** Enough bytes for every `head` in the table. */
export const HEAD_BYTES = 1024;

const UNPACK = "Unpack it, and give the directory or the file of weights that was in it.";
const DOWNLOAD =
  "Download the file again by the address of the file itself (on the Hugging Face hub /resolve/ rather than /blob/), signed in if it is private.";
const EXTRACT =
  "If it was fine-tuned from another model, make a LoRA adapter of the difference: mergekit-extract-lora --model <this> --base-model <model> --out-path <adapter>.";
const LAYERS = /\.(weight|bias|kernel|scale)$/;
const ANY_ADAPTER = /lora|adapter|lokr|hada|oft|ia3|vera|prompt|[._](up|down)\b|\.alpha$|\.diff(_b)?$/i;

const unread = (keys: readonly string[]): boolean => keys.length === 0;

const RECOGNIZERS: readonly Recognizer[] = [
  {
    head: /^\x89LQA/,
    what: "an .lqa file: it is encoded already",
    advice: "Look at it with lqa inspect, or turn it back into an adapter with lqa decode.",
  },
  {
    head: /^version https:\/\/git-lfs(?:[^\n]*\n){1,9}?size (\d{1,15})\n/,
    what: "a Git LFS pointer (the real file has $1 bytes)",
    advice: "Fetch the file itself: run git lfs pull in the repository it came from.",
  },
  {
    head: /^version https:\/\/git-lfs/,
    what: "a Git LFS pointer, not the file itself",
    advice: "Fetch the file itself: run git lfs pull in the repository it came from.",
  },
  {
    head: /^(?:\xef\xbb\xbf)?\s{0,99}<(?:!doctype html|!--|html|head|body)/i,
    what: "an HTML page (as a failed download leaves it)",
    advice: DOWNLOAD,
  },
  {
    head: /^(?:\xef\xbb\xbf)?\s{0,99}<\?xml/i,
    what: "an XML document (as a failed download leaves it)",
    advice: DOWNLOAD,
  },
  {
    name: /\.index\.json$/,
    what: "the index of a model or an adapter in several files",
    advice: "Give the directory that holds it and the files it names.",
  },
  {
    head: /^\s{0,99}[{[]\s{0,99}(?:["{\]}][\t\n\r\x20-\x7e]{4}|[\]}]\s{0,99}$)/,
    what: "a JSON document",
    advice:
      "Check the path: this file holds no weights. If it holds an error message, download the file again.",
  },
  { head: /^[\s\S]{257}ustar/, what: "a tar archive", advice: UNPACK },
  { head: /^␟\x8b/, what: "a gzip archive", advice: UNPACK },
  { head: /^\xfd7zXZ␀|^BZh\d|^7z\xbc\xaf|^Rar!/, what: "an archive (xz, bzip2, 7z or rar)", advice: UNPACK },
  { head: /^PK␃␄/, keys: unread, name: /\.zip$/i, what: "a zip archive", advice: UNPACK },
  {
    head: /^PK␃␄[\s\S]{26}(?![^␀]{0,240}(?:data\.pkl|byteorder|\.npy))/,
    keys: unread,
    what: "a zip archive without tensors of PyTorch or NumPy in it",
    advice: UNPACK,
  },
  {
    head: /^\x89HDF\r\n/,
    what: "an HDF5 file, as Keras writes it",
    advice: "Load the adapter with the program that wrote it, and save it with PEFT.",
  },
  {
    name: /(?:^|[^a-z])(optimizer|scheduler|rng_state|random_states|scaler|training_args|trainer_state)[^/]*$/i,
    what: "the state of a training run ($1), not an adapter",
    advice: "Give the directory of the checkpoint, or its adapter_model.safetensors.",
  },
  {
    keys: (keys) =>
      keys.some((key) => /(^|[._])(exp_avg|exp_avg_sq|momentum_buffer|param_groups)\b/.test(key)),
    what: "the state of an optimizer, not an adapter",
    advice: "Give the directory of the checkpoint, or its adapter_model.safetensors.",
  },
  {
    name: /-0*(\d+-of-)0*(?!1\.)(\d+)\.[a-z]+$/,
    what: "one shard ($1$2) of a model or an adapter",
    advice: "Give the directory that holds all shards and their index (….safetensors.index.json).",
  },
  {
    keys: (keys) => keys.some((key) => /^w_[ab]_\d+$/.test(key)),
    what: "a LoRA-ViT file (w_a_000), which says neither which layers it adapts nor which rows of them",
    advice: "Load the adapter with the tool it came from and save it with PEFT.",
  },
  {
    // A head that was saved alone has two tensors, weight and bias.
    keys: (keys) =>
      keys.length > 2 && keys.every((key) => !ANY_ADAPTER.test(key)) && keys.some((key) => LAYERS.test(key)),
    what: "a whole model, not an adapter",
    advice: EXTRACT,
  },
  {
    head: /^(?!\(|c[a-z_]|[}\]][q.(])[\t\n\r\x20-\x7e\x80-\xff]{8}/,
    keys: unread,
    what: "a text",
    advice: "Check the path: this file holds no weights.",
  },
];

/** Bytes as Latin-1, with control characters other than white space as their symbols (␀ … ␟). */
export function textOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) =>
    String.fromCharCode(byte < 32 && !WHITE.includes(byte) ? 0x2400 + byte : byte),
  ).join("");
}

const WHITE = [9, 10, 13];

/** Identifies a file that is not an adapter; undefined if it may be one. */
export function identify(sight: Sight): Identification | undefined {
  const head = textOf(sight.head.subarray(0, HEAD_BYTES));
  for (const row of RECOGNIZERS) {
    const found = [row.head?.exec(head), row.name?.exec(sight.name)].filter((each) => each !== undefined);
    if (found.includes(null) || row.keys?.(sight.keys) === false) continue;
    const groups = found.flatMap((each) => each!.slice(1));
    return { what: row.what.replace(/\$(\d)/g, (_, i) => groups[Number(i) - 1] ?? ""), advice: row.advice };
  }
  return undefined;
}

/** Matches names of factors in any convention. */
const FACTOR = /lora_([ab]|down|up|embedding_[ab]|magnitude|linear_layer)\b|lora\.(down|up)\.|:(up|down)$/i;

/**
 * Refuses files that are not a LoRA adapter, and says what they are.
 *
 * @throws LqaError UNSUPPORTED_DIALECT for other kinds of files; UNSUPPORTED_ADAPTER_FEATURE for adapters of other methods
 */
export function refuseOthers({ files, settings, weights, keys }: Source): void {
  // First: tensors of a method that this version does not know look like those of a whole model.
  const type = settings?.get("peft_type");
  if (typeof type === "string" && type !== "LORA") refusePeftType(type);
  for (const [file, bytes] of files) {
    if (file === CONFIG_FILE || (file.endsWith(".json") && files.size > 1)) continue;
    // A complete set of shards has the name of the whole.
    const name = weights?.name ?? file;
    const found = identify({
      name,
      head: bytes.subarray(0, HEAD_BYTES),
      keys: weights === undefined ? [] : keys,
    });
    if (found === undefined) continue;
    fail(KIND.UNSUPPORTED_DIALECT, {
      summary: `This is ${found.what}.`,
      where: `file ${quoteName(file)}`,
      advice: found.advice,
    });
  }
  const method = keys.some((key) => FACTOR.test(key)) ? undefined : firstMethod(keys);
  if (method !== undefined) refuseMethod(method.name, `tensor ${quoteName(method.key)}`);
}

function firstMethod(keys: readonly string[]): { key: string; name: string } | undefined {
  for (const key of keys) {
    const found = otherMethod(key);
    if (found !== undefined) return { key, name: found.name };
  }
  return undefined;
}
