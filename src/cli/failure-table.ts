/**
 * The table of failed jobs that `lqa fleet status` and `lqa fleet report` print: one row for each error code.
 *
 * @module
 */
import { count, printable } from "./format.ts";
import { type Paper, table } from "./layout.ts";

/** Failures with the same code. */
export interface FailureGroup {
  readonly code: string;
  readonly kind: string;
  readonly count: number;
  /** The name of one of the adapters. */
  readonly example: string;
}

export function failureTable(groups: readonly FailureGroup[], paper: Paper): string[] {
  if (groups.length === 0) return [];
  return table(
    [
      { title: "error" },
      { title: "", narrow: "omit" },
      { title: "failed", right: true },
      { title: "for example", narrow: "cut" },
    ],
    groups.map(({ code, kind, count: many, example }) => [code, kind, count(many), printable(example)]),
    paper,
  );
}
