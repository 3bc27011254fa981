// A look into a file: it never throws for what is in the bytes, says valid where the validator does, counts every byte once, and
// the page that is drawn of it is one page of text without a script.

import { validate } from "../../dist/core/validate/validate.js";
import { drawReport, inspectLqa } from "../../dist/report/index.js";
import { expect, target } from "../contract.mjs";
import { prepared } from "../file.mjs";

/** Multiplications that a module may take: files of some hundred bytes can hold modules that decompose for minutes. */
const WORK = 2 ** 20;

export const fuzz = target(async (input, variant) => {
  const bytes = prepared(input, variant);
  const inspection = await inspectLqa(bytes, { work: WORK });
  const { validation, byteMap, fileLength, modules } = inspection;
  expect(fileLength === bytes.length, "another length than the file has");
  expect(validation.valid === (await validate(bytes)).valid, "valid here and not there, or the reverse");
  if (byteMap !== undefined) {
    const sum = Object.values(byteMap.totals).reduce((total, count) => total + count, 0);
    expect(sum === fileLength, `parts of ${sum} bytes in a file of ${fileLength}`);
  }
  for (const { singularValues, problem } of modules)
    expect((singularValues === undefined) !== (problem === undefined), "a module without values and reason");
  const page = drawReport(inspection, { title: "fuzzed.lqa" });
  expect(page.startsWith("<!doctype html>") && page.trimEnd().endsWith("</html>"), "no whole page");
  expect(!page.includes("<script"), "a script in the page");
});
