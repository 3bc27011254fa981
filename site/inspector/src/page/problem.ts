/**
 * Errors as they are shown: what is wrong, what was expected and found, where, what to do.
 *
 * @module
 */
import { count } from "../../../../src/report/format.ts";
import type { Failure } from "../protocol.ts";
import { CallFailure } from "./client.ts";
import { byId, create } from "./dom.ts";

const place = byId("problem");

/** Shows an error; what is no failure of a call is a defect of the page. */
export function showProblem(error: unknown): void {
  place.replaceChildren(error instanceof CallFailure ? failureElement(error.failure) : defectElement(error));
  place.scrollIntoView({ block: "nearest" });
}

export function clearProblem(): void {
  place.replaceChildren();
}

function failureElement(failure: Failure): HTMLElement {
  const facts: (readonly [string, string | undefined])[] = [
    ["expected", failure.expected],
    ["found", failure.found],
    ["where", failure.where],
    ["at byte", failure.offset === undefined ? undefined : count(failure.offset)],
    ["rule", failure.clause && `specification, clause ${failure.clause}`],
    ["what to do", failure.advice],
  ];
  return create(
    "div",
    { className: "finding" },
    create(
      "h2",
      {},
      create("span", { className: "bad", textContent: "Error" }),
      ` ${failure.code} ${failure.kind}`,
    ),
    create("p", { textContent: failure.summary }),
    create(
      "dl",
      { className: "facts" },
      ...facts.flatMap(([name, value]) =>
        value === undefined
          ? []
          : [create("div", {}, create("dt", { textContent: name }), create("dd", { textContent: value }))],
      ),
    ),
  );
}

function defectElement(error: unknown): HTMLElement {
  return failureElement({
    ...{ code: "LQA-INTERNAL", kind: "INTERNAL" },
    summary: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
    ...{ expected: undefined, found: undefined, where: undefined, offset: undefined, clause: undefined },
    advice: "This is a defect of the page, sorry. Please report it.",
  });
}
