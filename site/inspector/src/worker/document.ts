/**
 * Opens what was dropped, chosen or pasted: an `.lqa` file, with or without its source adapter, or an adapter. It reads only
 * what is needed for display.
 *
 * @module
 */
import type { SourceBytes, SourceFiles } from "../../../../src/adapters/dialect.ts";
import { readAdapter } from "../../../../src/adapters/index.ts";
import { type Adapter, type ByteSource, type LqaFile, open } from "../../../../src/core/index.ts";
import * as KIND from "../../../../src/error-catalogue.ts";
import { fail, isLqaError } from "../../../../src/errors.ts";
import { shardsOf } from "../../../../src/model/shards.ts";
import { CONFIG_FILE, weightsAmong } from "../../../../src/node/files/adapter-names.ts";
import type { FieldContext } from "../bytes/fields.ts";
import { mapIndex } from "../bytes/index-fields.ts";
import { type Region, regionsOf } from "../bytes/regions.ts";
import type { Input, InputFile } from "../protocol.ts";
import {
  addressSource,
  fileSource,
  lazyAddress,
  lazyFile,
  type Meter,
  meteredSource,
  wholeSource,
} from "./sources.ts";

/** An adapter as its files have it; its factors are read on demand. */
export interface OpenAdapter {
  readonly adapter: Adapter;
  readonly title: string;
  readonly bytes: number;
  readonly notes: readonly string[];
  /** Of an adapter at an address: the same with its files in memory, for what reads them more than once. */
  readonly fetched: ((told: (done: number, total: number) => void) => Promise<OpenAdapter>) | undefined;
}

/** An `.lqa` file. */
export interface OpenLqa {
  readonly source: ByteSource;
  readonly title: string;
  readonly remote: boolean;
  /** Undefined if prologue or index cannot be read. */
  readonly file: LqaFile | undefined;
  readonly fileLength: number;
}

/** What is looked at. */
export interface Document {
  readonly lqa: OpenLqa | undefined;
  readonly adapter: OpenAdapter | undefined;
  /** A second file, which the first is compared with. */
  readonly other?: OpenLqa | undefined;
  /** Made when bytes are looked at. */
  regions?: readonly Region[];
  context?: FieldContext;
}

/** Weights that come with a configuration. */
const CONFIGURED = /^adapter(s|_model)\./;
/** Most bytes of a configuration. */
const CONFIG_BYTES = 2 ** 16;
/** Most bytes of a file at an address that is taken into memory. */
const MOST = 2 ** 30;
/** Notes on an adapter that are shown. */
const NOTES = 20;
/** First bytes of an `.lqa` file. */
const MAGIC = [0x89, 0x4c, 0x51, 0x41];

/** Opens what was given. @throws LqaError of any class */
export async function openDocument(input: Input, meter: Meter): Promise<Document> {
  if (input.url !== undefined) return await openAddress(input.url, meter);
  const files: InputFile[] = [];
  const lqa: InputFile[] = [];
  for (const one of input.files) ((await isLqa(one)) ? lqa : files).push(one);
  if (lqa.length > 2)
    fail(KIND.USAGE, {
      where: "what was given",
      expected: "one .lqa file, or two to compare",
      actual: `${lqa.length} of them`,
      advice: "Give one or two .lqa files, alone or together with the adapter that they were made from.",
    });
  const [first, second] = lqa;
  if (first === undefined) return { lqa: undefined, adapter: openAdapter(files, meter) };
  const opened = ({ file }: InputFile): Promise<OpenLqa> =>
    openFile(meteredSource(fileSource(file), meter), file.name, false);
  return {
    lqa: await opened(first),
    adapter: files.length === 0 ? undefined : openAdapter(files, meter),
    other: second === undefined ? undefined : await opened(second),
  };
}

async function isLqa({ file }: InputFile): Promise<boolean> {
  if (file.name.endsWith(".lqa")) return true;
  return hasMagic(new Uint8Array(await file.slice(0, MAGIC.length).arrayBuffer()));
}

function hasMagic(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, i) => bytes[i] === byte);
}

/** An `.lqa` file, or the weights of an adapter with the configuration that PEFT and MLX keep next to them. */
async function openAddress(url: string, meter: Meter): Promise<Document> {
  const source = meteredSource(addressSource(url), meter);
  const title = url.replace(/[?#].*$/, "");
  const head = await source.read(0, MAGIC.length);
  if (title.endsWith(".lqa") || hasMagic(head))
    return { lqa: await openFile(source, title, true), adapter: undefined };
  const name = title.replace(/^.*\//, "") || "weights";
  const length = source.size ?? 0;
  const config = CONFIGURED.test(name) ? await configBeside(url, meter) : undefined;
  const files = (weights: SourceBytes): SourceFiles =>
    new Map([[name, weights], ...(config === undefined ? [] : [[CONFIG_FILE, config] as const])]);
  const fetched: OpenAdapter["fetched"] = async (told) => {
    if (length > MOST)
      fail(KIND.BUDGET, { where: "this page", expected: `at most ${MOST} bytes`, actual: length });
    return adapterOf(files(await wholeSource(source, length, (done) => told(done, length))), title);
  };
  return {
    lqa: undefined,
    adapter: { ...adapterOf(files(lazyAddress(url, length, meter)), title), fetched },
  };
}

async function configBeside(url: string, meter: Meter): Promise<Uint8Array | undefined> {
  const source = meteredSource(addressSource(new URL(CONFIG_FILE, url).href), meter);
  try {
    return await source.read(0, CONFIG_BYTES);
  } catch (error) {
    if (isLqaError(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}

/** Reads an adapter; its factors are read on demand. */
function adapterOf(files: SourceFiles, title: string): OpenAdapter {
  const notes: string[] = [];
  const adapter = readAdapter(files, { lazy: true, onNote: (note) => void notes.push(note) });
  const bytes = [...files.values()].reduce((sum, { length }) => sum + length, 0);
  return { adapter, title, bytes, notes: [...new Set(notes)].slice(0, NOTES), fetched: undefined };
}

async function openFile(source: ByteSource, title: string, remote: boolean): Promise<OpenLqa> {
  const file =
    (await attempt(source)) ??
    // Digest list or trailer may be what is damaged: prologue and index can be shown all the same.
    (await attempt({ size: source.size, stable: true, read: source.read }));
  return { source, title, remote, file, fileLength: source.size ?? 0 };
}

/** Undefined for a file that is damaged: the validator says how. @throws LqaError of class X if it cannot be read */
async function attempt(source: ByteSource): Promise<LqaFile | undefined> {
  try {
    return await open(source);
  } catch (error) {
    if (!isLqaError(error) || error.class === "X") throw error;
    return undefined;
  }
}

/** The adapter among files of one folder, as the command line would choose it. */
export function openAdapter(files: readonly InputFile[], meter: Meter): OpenAdapter {
  // Of a folder only what lies directly in it counts.
  const depth = files.reduce((least, { path }) => Math.min(least, depthOf(path)), Number.POSITIVE_INFINITY);
  const own = new Map(
    files.filter(({ path }) => depthOf(path) === depth).map(({ file }) => [file.name, file]),
  );
  const folder = files[0]?.path.includes("/") ? files[0].path.replace(/\/.*$/, "") : undefined;
  const names = [...own.keys()];
  const others = names.filter((name) => !name.endsWith(".json"));
  const weights =
    others.length === 1 && files.length <= 2
      ? others[0]!
      : weightsAmong(names, folder === undefined ? "what was given" : JSON.stringify(folder));
  const chosen = [...shardsOf(weights, names), ...(own.has(CONFIG_FILE) ? [CONFIG_FILE] : [])];
  const source: SourceFiles = new Map(chosen.map((name) => [name, lazyFile(own.get(name)!, meter)]));
  return adapterOf(source, folder ?? weights);
}

function depthOf(path: string): number {
  return path.split("/").length;
}

/** The regions of a file; made once. */
export function regionsOfDocument(document: Document): readonly Region[] {
  const lqa = document.lqa!;
  document.regions ??= regionsOf(lqa.file, lqa.fileLength);
  return document.regions;
}

/** What fields need to know; the index is read once, when it is looked at. */
export async function contextOf(document: Document, region: Region): Promise<FieldContext> {
  const { file, source } = document.lqa!;
  if (document.context?.index !== undefined) return document.context;
  if (region.kind !== "index" || file === undefined) return { opened: file, index: undefined };
  const index = mapIndex(await source.read(64, file.prologue.indexLength), file.prologue);
  document.context = { opened: file, index };
  return document.context;
}
