/**
 * What page and worker say to each other. The page shows what the worker made: markup comes from the templates of
 * `report/page/html.ts`, which escape whatever comes from files.
 *
 * @module
 */

import type { ValidationLevel } from "../../../src/core/index.ts";

/** A file that was chosen or dropped. */
export interface InputFile {
  /** Relative to what was chosen: a name alone, or with the folder before it. */
  readonly path: string;
  readonly file: File;
}

/** What is looked at. */
export interface Input {
  readonly files: readonly InputFile[];
  readonly url: string | undefined;
}

/** A section of a view. */
export interface SectionMarkup {
  readonly id: string;
  readonly title: string;
  readonly markup: string;
}

/** A view: what is at its head, and its sections. */
export interface ViewMarkup {
  readonly head: string;
  readonly sections: readonly SectionMarkup[];
}

/** What was opened. */
export interface Opened {
  readonly kind: "lqa" | "adapter";
  readonly title: string;
  /** Bytes of the file, or of all files of an adapter. */
  readonly bytes: number;
  readonly remote: boolean;
  /** For an `.lqa` file: its source adapter is open too. */
  readonly withSource: boolean;
  /** Whether there is something to decode or convert. */
  readonly usable: boolean;
  /** The dialect that an adapter came from, if one is known. */
  readonly dialect: string | undefined;
  readonly parameters: number;
  readonly view: ViewMarkup;
  /** Of a file that was looked into: the report as one page, and lines of Markdown for a model card. */
  readonly report: Download | undefined;
  readonly card: string | undefined;
}

/** Regions of a file that match the query. */
export interface RegionPage {
  /** How many match. */
  readonly total: number;
  readonly regions: readonly RegionRow[];
}

export interface RegionRow {
  /** Among all regions. */
  readonly number: number;
  readonly kind: string;
  readonly name: string;
  readonly offset: number;
  readonly length: number;
  readonly clause: string;
}

/** A field, as the page shows it next to its bytes. */
export interface FieldRow {
  readonly offset: number;
  readonly length: number;
  readonly name: string;
  readonly value: string | undefined;
  readonly clause: string;
}

/** Bytes of one region. */
export interface BytePage {
  readonly region: RegionRow;
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly fields: readonly FieldRow[];
  readonly fileLength: number;
}

/** Modules whose names match. */
export interface ModuleList {
  readonly total: number;
  readonly names: readonly string[];
}

/** A file to be saved. */
export interface Download {
  readonly name: string;
  readonly blob: Blob;
}

/** What a piece of work made. */
export interface Made {
  readonly markup: string;
  readonly downloads: readonly Download[];
}

/** How far something is looked into. */
export interface InspectChoice {
  /** Of the validator. */
  readonly level: ValidationLevel;
  /** Whether other methods are measured on the source. */
  readonly compare: boolean;
}

/** How a module is decoded. */
export interface DecodeChoice {
  readonly module: string;
  readonly type: "f32" | "f16";
}

/** How an adapter is encoded, as a form has it. */
export interface EncodeChoice {
  readonly goal: "quality" | "bits" | "maxError";
  readonly value: string;
  readonly tensors: "zstd" | "keep" | "f16";
}

/** How an adapter is written. */
export interface WriteChoice {
  readonly to: string;
  readonly factors: "source" | "F32" | "F16" | "BF16";
}

/** Everything a worker does, by name: its arguments and its answer. */
export interface Calls {
  readonly open: { readonly told: Input; readonly answer: Opened };
  readonly inspect: { readonly told: InspectChoice; readonly answer: Opened };
  readonly regions: {
    readonly told: { readonly query: string; readonly from: number; readonly most: number };
    readonly answer: RegionPage;
  };
  readonly bytes: {
    readonly told: { readonly offset: number; readonly length: number };
    readonly answer: BytePage;
  };
  readonly clause: { readonly told: { readonly number: string }; readonly answer: string };
  readonly modules: { readonly told: { readonly query: string }; readonly answer: ModuleList };
  readonly decode: { readonly told: DecodeChoice; readonly answer: Made };
  readonly encode: { readonly told: EncodeChoice; readonly answer: Made };
  readonly write: { readonly told: WriteChoice; readonly answer: Made };
}

export type CallName = keyof Calls;

/** What the page sends. */
export interface Request<K extends CallName = CallName> {
  readonly id: number;
  readonly call: K;
  readonly told: Calls[K]["told"];
}

/** An error as it is shown. */
export interface Failure {
  readonly code: string;
  readonly kind: string;
  readonly summary: string;
  readonly expected: string | undefined;
  readonly found: string | undefined;
  readonly where: string | undefined;
  readonly offset: number | undefined;
  readonly clause: string | undefined;
  readonly advice: string;
}

/** What was read so far of the file that is looked at. */
export interface Reading {
  readonly bytes: number;
  readonly largest: number;
  readonly requests: number;
}

/** What a worker sends. */
export type Reply =
  | { readonly id: number; readonly done: number; readonly total: number; readonly what: string }
  | { readonly id: number; readonly answer: Calls[CallName]["answer"]; readonly reading: Reading }
  | { readonly id: number; readonly failure: Failure; readonly reading: Reading };
