/**
 * What was dropped, chosen or pasted, opened: an `.lqa` file, with or without the adapter it was made from beside it, or
 * an adapter. Nothing is read that is not needed for what is shown.
 *
 * @module
 */
import type { SourceFiles } from "../../../../src/dialects/dialect.ts";
import { fail, isLqaError } from "../../../../src/errors.ts";
import {
  type Adapter,
  type ByteSource,
  openSource,
  type RangedLqa,
  readAdapter,
} from "../../../../src/index.ts";
import { CONFIG_FILE, weightsAmong } from "../../../../src/io/adapter-names.ts";
import type { FieldContext } from "../../../../src/report/bytes/fields.ts";
import { mapIndex } from "../../../../src/report/bytes/index-fields.ts";
import { type Region, regionsOf } from "../../../../src/report/bytes/regions.ts";
import type { Input, InputFile } from "../protocol.ts";
import { addressSource, fileSource, lazyFile, type Meter, meteredSource } from "./sources.ts";

/** An adapter as its files have it; its factors are read when they are asked for. */
export interface OpenAdapter {
  readonly adapter: Adapter;
  readonly title: string;
  readonly bytes: number;
  readonly notes: readonly string[];
}

/** An `.lqa` file. */
export interface OpenLqa {
  readonly source: ByteSource;
  readonly title: string;
  readonly remote: boolean;
  /** Undefined if prologue or index cannot be read. */
  readonly file: RangedLqa | undefined;
  readonly fileLength: number;
}

/** What is looked at. */
export interface Document {
  readonly lqa: OpenLqa | undefined;
  readonly adapter: OpenAdapter | undefined;
  /** Made when bytes are looked at. */
  regions?: readonly Region[];
  context?: FieldContext;
}

/** First bytes of an `.lqa` file. */
const MAGIC = [0x89, 0x4c, 0x51, 0x41];

/** Opens what was given. @throws LqaError of any class */
export async function openDocument(input: Input, meter: Meter): Promise<Document> {
  if (input.url !== undefined) {
    const title = input.url.replace(/[?#].*$/, "");
    return {
      lqa: await openFile(meteredSource(addressSource(input.url), meter), title, true),
      adapter: undefined,
    };
  }
  const files: InputFile[] = [];
  const lqa: InputFile[] = [];
  for (const one of input.files) ((await isLqa(one)) ? lqa : files).push(one);
  if (lqa.length > 1)
    fail("USAGE", {
      where: "what was given",
      expected: "one .lqa file",
      actual: `${lqa.length} of them`,
      advice: "Give one .lqa file, alone or together with the adapter that it was made from.",
    });
  const [only] = lqa;
  if (only === undefined) return { lqa: undefined, adapter: openAdapter(files, meter) };
  const opened = await openFile(meteredSource(fileSource(only.file), meter), only.file.name, false);
  const beside = only === undefined || files.length === 0 ? undefined : openAdapter(files, meter);
  return { lqa: opened, adapter: beside };
}

async function isLqa({ file }: InputFile): Promise<boolean> {
  if (file.name.endsWith(".lqa")) return true;
  const bytes = new Uint8Array(await file.slice(0, MAGIC.length).arrayBuffer());
  return bytes.length === MAGIC.length && MAGIC.every((byte, i) => bytes[i] === byte);
}

async function openFile(source: ByteSource, title: string, remote: boolean): Promise<OpenLqa> {
  let file: RangedLqa | undefined;
  try {
    file = await openSource(source);
  } catch (error) {
    // What is wrong with the file the validator tells; that it cannot be had is another matter.
    if (!isLqaError(error) || error.class === "X") throw error;
  }
  return { source, title, remote, file, fileLength: source.size ?? 0 };
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
  const chosen = [weights, ...(own.has(CONFIG_FILE) ? [CONFIG_FILE] : [])];
  const source: SourceFiles = new Map(chosen.map((name) => [name, lazyFile(own.get(name)!, meter)]));
  const notes: string[] = [];
  const adapter = readAdapter(source, { lazy: true, onNote: (note) => void notes.push(note) });
  return {
    adapter,
    title: folder ?? weights,
    bytes: chosen.reduce((sum, name) => sum + own.get(name)!.size, 0),
    notes: [...new Set(notes)].slice(0, 20),
  };
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
  const index = mapIndex(await source.read(64, file.prologue.indexLength));
  document.context = { opened: file, index };
  return document.context;
}
