/**
 * The worker of the page, and of itself (see `pool.ts`): all that is read, checked, decoded and encoded. It opens files on
 * request and answers one call after the other; errors are answered in the form that the page shows.
 *
 * @module
 */
import * as KIND from "../../../../src/error-catalogue.ts";
import { fail, isLqaError } from "../../../../src/errors.ts";
import { naturalOrder } from "../../../../src/report/layers.ts";
import { fieldsIn } from "../bytes/fields.ts";
import type { Region } from "../bytes/regions.ts";
import type { CallName, Calls, Failure, RegionRow, Reply, Request } from "../protocol.ts";
import { clauseMarkup } from "./clauses.ts";
import { encode, write } from "./convert.ts";
import { decodeOne } from "./decode.ts";
import { contextOf, type Document, openDocument, regionsOfDocument } from "./document.ts";
import { answerTask, TASK_WORKER } from "./pool.ts";
import { Meter } from "./sources.ts";
import { describe, type Progress } from "./view.ts";

/** Names of modules that are offered at once. */
const OFFERED = 200;
/** What a browser does not tell a page apart from a server that does not answer. */
const FOREIGN =
  "On another origin the server must also allow this page to read it (Access-Control-Allow-Origin), by https.";
/** Interval of progress messages, in milliseconds. */
const PAUSE = 80;

const scope = globalThis as unknown as {
  readonly name: string;
  postMessage(reply: unknown): void;
  onmessage: ((event: { data: unknown }) => void) | null;
};
let meter = new Meter();
let document: Document | undefined;

type Handlers = {
  readonly [K in CallName]: (told: Calls[K]["told"], progress: Progress) => Promise<Calls[K]["answer"]>;
};

const HANDLERS: Handlers = {
  async open(input, progress) {
    meter = new Meter();
    document = await openDocument(input, meter);
    return describe(document, undefined, progress);
  },
  inspect: async (choice, progress) => describe(await fetched(progress), choice, progress),
  async regions({ query, from, most }) {
    const rows = regionsOfDocument(opened()).map(rowOf);
    const wanted = query.trim().toLowerCase();
    const found =
      wanted === ""
        ? rows
        : rows.filter(({ name, kind }) => `${kind} ${name}`.toLowerCase().includes(wanted));
    return { total: found.length, regions: found.slice(from, from + most) };
  },
  async bytes({ offset, length }) {
    const own = opened();
    const { source, fileLength } = own.lqa!;
    const regions = regionsOfDocument(own);
    if (fileLength === 0) fail(KIND.USAGE, { where: "the file", expected: "at least one byte", actual: 0 });
    const at = Math.max(0, Math.min(offset, fileLength - 1));
    const number = regionAt(regions, at);
    const region = regions[number]!;
    const end = Math.min(at + length, region.offset + region.length);
    const bytes = (await source.read(at, end - at)).slice();
    const fields = fieldsIn(region, { offset: at, bytes }, await contextOf(own, region));
    return { region: rowOf(region, number), offset: at, bytes, fields, fileLength };
  },
  clause: async ({ number }) => clauseMarkup(number),
  async modules({ query }) {
    const wanted = query.trim().toLowerCase();
    const names = (opened().lqa?.file?.modules ?? []).map(({ name }) => name).sort(naturalOrder);
    const found = wanted === "" ? names : names.filter((name) => name.toLowerCase().includes(wanted));
    return { total: found.length, names: found.slice(0, OFFERED) };
  },
  decode: (choice) => decodeOne(opened().lqa!.file!, choice),
  encode: async (choice, progress) => encode((await fetched(progress)).adapter!, choice, progress),
  write: async (choice, progress) => write(await fetched(progress), choice, progress),
};

function opened(): Document {
  if (document === undefined) throw new TypeError("nothing was opened");
  return document;
}

/** The open file. An adapter from a remote address is kept in memory, because its factors are read more than once. */
async function fetched(progress: Progress): Promise<Document> {
  const own = opened();
  if (own.adapter?.fetched === undefined) return own;
  const adapter = await own.adapter.fetched((done, total) => progress(done, total, "Fetching the weights"));
  document = { ...own, adapter };
  return document;
}

function rowOf({ kind, name, offset, length, clause }: Region, number: number): RegionRow {
  return { number, kind, name, offset, length, clause };
}

/** The region that a byte lies in. */
function regionAt(regions: readonly Region[], offset: number): number {
  let [low, high] = [0, regions.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (regions[middle]!.offset <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** An error as it is shown. What is no error of the library is a defect, of it or of this page. */
function failureOf(error: unknown): Failure {
  if (!isLqaError(error))
    return {
      code: "LQA-INTERNAL",
      kind: "INTERNAL",
      summary: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
      ...{ expected: undefined, found: undefined, where: undefined, offset: undefined, clause: undefined },
      advice: "This is a defect of the page, sorry. Please report it, with the file if you can.",
    };
  const text = (value: string | number | undefined): string | undefined =>
    value === undefined ? undefined : String(value);
  return {
    code: error.code,
    kind: error.kind,
    summary: error.summary,
    expected: text(error.expected),
    found: text(error.actual),
    where: error.where,
    offset: error.offset,
    clause: error.clause === "-" ? undefined : error.clause,
    advice: error.kind === "NETWORK" ? `${error.advice} ${FOREIGN}` : error.advice,
  };
}

async function answer<K extends CallName>({ id, call, told }: Request<K>): Promise<Reply> {
  let last = 0;
  const progress: Progress = (done, total, what) => {
    const now = performance.now();
    if (now - last < PAUSE) return;
    last = now;
    scope.postMessage({ id, done, total, what });
  };
  try {
    return { id, answer: await HANDLERS[call](told, progress), reading: meter.reading };
  } catch (error) {
    return { id, failure: failureOf(error), reading: meter.reading };
  }
}

scope.onmessage = ({ data }) => {
  if (scope.name === TASK_WORKER) scope.postMessage(answerTask(data as never));
  else void answer(data as Request).then((reply) => scope.postMessage(reply));
};
