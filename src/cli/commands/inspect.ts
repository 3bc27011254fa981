/**
 * `lqa inspect`: show what an `.lqa` file holds, as an overview or module by module, or several files, a line for each.
 *
 * @module
 */
import type { ConfigRisk } from "../../adapters/config-risks.ts";
import { bandsText, encodingText } from "../../core/codecs/bands-text.ts";
import { type ModuleStart, stateCount } from "../../core/codecs/start/start.ts";
import type { ModuleRecord } from "../../core/container/types.ts";
import type { VouchedBy } from "../../core/read/lqa-file.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { parameterCount } from "../../model/adapter.ts";
import { type Arguments, textOption } from "../command.ts";
import { sourceRisks } from "../config-risks.ts";
import { count, counted, jsonText, jsonValue, percent, printable, ratio, size } from "../format.ts";
import { inspectMany } from "../inspect-many.ts";
import { bar, type Column, type Fact, facts, note, table, title } from "../layout.ts";
import { type OpenedFile, openArgument, openWhole, remoteOptions } from "../open-input.ts";
import type { Terminal } from "../terminal.ts";

/** Length of the longest bar, in characters. */
const BAR = 24;

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const [path, ...more] = args.positionals;
  const html = textOption(args, "html");
  if (more.length > 0) {
    const alone = ["modules", "html"].find((name) => args.values.has(name));
    if (alone !== undefined)
      fail(KIND.USAGE, {
        where: "lqa inspect",
        expected: `one file with --${alone}`,
        actual: `${args.positionals.length} files are given`,
      });
  }
  if (html === undefined) {
    const report = ["source", "compare", "parent", "force"].find((name) => args.values.has(name));
    if (report !== undefined)
      fail(KIND.USAGE, { where: "lqa inspect", expected: "--html <file>", actual: `--${report} without it` });
  }
  if (more.length > 0) {
    await inspectMany(args.positionals, remoteOptions(args), args.values.has("json"), terminal);
    return 0;
  }
  // Drawing needs a lot of code that a plain inspection does not.
  const bytes =
    html === undefined
      ? undefined
      : await (await import("../write-report.ts")).writeReport(path, html, args, terminal);
  const file = bytes === undefined ? await openArgument(path, remoteOptions(args)) : await openWhole(bytes);
  const modules = args.values.has("modules");
  const risks = await sourceRisks(file.origin, file);
  if (args.values.has("json")) {
    terminal.out(jsonText({ ...inspectJson(file, modules, risks), html: html ?? null }, jsonValue));
    return 0;
  }
  const lines = overview(path, file, terminal);
  for (const { field, risk } of risks) {
    const text = `the configuration has ${JSON.stringify(field)}, which ${risk}`;
    lines.push(...note("warning", printable(text), terminal));
  }
  if (modules) lines.push(...everything(file, terminal));
  if (html !== undefined) lines.push("", `The report is in ${printable(html)}.`);
  terminal.out(`${lines.join("\n")}\n`);
  return 0;
}

/** What is behind an id that was read and not computed from every byte. */
const UNPROVEN: Readonly<Record<VouchedBy, string>> = {
  bytes: "as stored, not verified",
  fileId: "as expected, not verified",
  digest: "the file has the digest that the hub lists",
  server: "as this server says; only a download can be verified",
};

/** An overview: what the file is, and what to do with it. What only experts need comes with `--verbose`. */
function overview(path: string, file: OpenedFile, terminal: Terminal): string[] {
  const { prologue, modules, tensors, ids, origin, meta } = file;
  const unproven = file.verified ? "" : `  (${UNPROVEN[file.vouchedBy]})`;
  const parameters = modules.reduce((sum, module) => sum + parameterCount(module), 0);
  const base = baseModel(file);
  const { relative_error: lost } = meta;
  const made = origin === undefined ? "" : `, made from ${printable(origin.dialect)}`;
  const rows: Fact[] = [
    ["what", `${modules.length === 0 ? "tensors of an adapter" : "a LoRA adapter"}${made}`],
    ["base model", base && printable(base)],
    ["size", `${size(prologue.fileLength)}${sizeText(prologue.fileLength, parameters)}`],
    ["modules", `${count(modules.length)}${describeRanks(file)}`],
    ["weights", parameters === 0 ? undefined : count(parameters)],
    ["tensors", tensors.length === 0 ? undefined : describeTensors(file)],
    ["error", typeof lost === "number" ? `${percent(lost)} of the energy of ΔW lost by encoding` : undefined],
    ["start", startText(file)],
    ["parent", parentText(file)],
    ["file id", `${ids.fileId}${unproven}`],
    ...(terminal.verbose ? details(file) : []),
    ["next", nextText(path, file, terminal.verbose)],
  ];
  return [...title(printable(path), "", terminal), ...facts(rows, terminal)];
}

/** Bits per weight, and how many times smaller the file is than its weights in 16 bits. */
function sizeText(bytes: number, parameters: number): string {
  if (parameters === 0) return "";
  const times = (2 * parameters) / bytes;
  const smaller = times >= 1.05 ? `, ${ratio(2 * parameters, bytes)} smaller than in 16 bits` : "";
  return `, ${((8 * bytes) / parameters).toFixed(2)} bits per weight${smaller}`;
}

function details(file: OpenedFile): Fact[] {
  const { prologue, ids } = file;
  const used = encodingsUsed(file);
  return [
    ["content id", ids.contentId],
    ["encodings", used.length === 0 ? undefined : encodingsText(used)],
    ["format", `LQA ${prologue.major}.${prologue.minor}, ${count(prologue.fileLength)} bytes`],
  ];
}

function nextText(path: string, file: OpenedFile, verbose: boolean): string {
  const place = /^[\w./:@-]+$/.test(path) ? path : "FILE";
  const parent = file.parentId === undefined ? "" : " --parent PARENT";
  return `lqa decode ${place}${parent} -o DIRECTORY${verbose ? "" : ", or --verbose and --modules for details"}`;
}

/** Number of encodings that the overview names. */
const NAMED = 3;

/** The most frequent encodings, with their shares of the components. */
function encodingsText(used: readonly (readonly [string, number])[]): string {
  const all = used.reduce((sum, [, number]) => sum + number, 0);
  const named = used.slice(0, NAMED).map(([name, number]) => `${name} ${percent(number / all)}`);
  return used.length > NAMED
    ? `${named.join("; ")}; ${used.length - NAMED} more with --modules`
    : named.join("; ");
}

/** The details that the overview leaves out: bytes by purpose, all encodings, all modules. */
function everything(file: OpenedFile, terminal: Terminal): string[] {
  const { cyan } = terminal.colors;
  const parts = byteParts(file).filter(([, bytes]) => bytes > 0);
  const most = Math.max(...parts.map(([, bytes]) => bytes));
  const encodings = encodingsUsed(file);
  const partRows = parts.map(([name, bytes]) => [
    name,
    count(bytes),
    percent(bytes / file.prologue.fileLength),
    cyan(bar(bytes / most, BAR)),
  ]);
  const encodingRows = encodings.map(([name, number]) => [
    name,
    count(number),
    cyan(bar(number / encodings[0]![1], BAR)),
  ]);
  return [
    "",
    ...title("bytes", "", terminal),
    ...table([{}, { right: true }, { right: true }, {}], partRows, terminal),
    "",
    ...title("encodings, by components", "", terminal),
    ...table([{ narrow: "cut" }, { right: true }, {}], encodingRows, terminal),
    "",
    ...moduleTable(file, terminal),
  ];
}

/** Encodings and how many components use them, most frequent first. */
function encodingsUsed(file: OpenedFile): [string, number][] {
  const components = new Map<string, number>();
  for (const { bands, experts } of file.modules) {
    for (const band of bands) {
      const [b, a] = [encodingText(band.b), encodingText(band.a)];
      const key = a === b ? a : `B' ${b}, A' ${a}`;
      components.set(key, (components.get(key) ?? 0) + band.components * experts);
    }
  }
  return [...components].sort(([, x], [, y]) => y - x);
}

function describeRanks({ modules }: OpenedFile): string {
  if (modules.length === 0) return "";
  const ranks = modules.map(({ rank }) => rank);
  const [low, high] = [ranks.reduce((x, y) => Math.min(x, y)), ranks.reduce((x, y) => Math.max(x, y))];
  const roles = [...new Set(modules.map(({ role }) => role))].join(", ");
  return `, rank ${low === high ? low : `${low} to ${high}`}, ${roles}`;
}

/** The known origin of the starts of A; undefined if no module has a start. */
function startText({ modules }: OpenedFile): string | undefined {
  const started = modules.filter(({ start }) => start !== undefined);
  if (started.length === 0) return undefined;
  const { seed, states } = startJson(started[0]!.start!);
  const origin = seed === undefined ? counted(states, "generator state") : `seed ${seed}`;
  return `${origin} in ${started.length} of ${counted(modules.length, "module")}`;
}

/** The content id of the parent, and the number of modules that need it; undefined if there is no parent. */
function parentText({ modules, parentId }: OpenedFile): string | undefined {
  if (parentId === undefined) return undefined;
  const children = modules.filter(({ parentModule }) => parentModule !== undefined).length;
  return `${parentId}, for ${children} of ${counted(modules.length, "module")}`;
}

/** The start of a file: its seed, or the number of its states. */
function startJson({ start }: ModuleStart): { generator: string; seed?: number; states: number } {
  const seed = typeof start.state === "number" ? { seed: start.state } : {};
  return { generator: "mt19937", ...seed, states: stateCount(start) };
}

function describeTensors({ tensors }: OpenedFile): string {
  const roles = new Map<string, number>();
  for (const { role } of tensors) roles.set(role, (roles.get(role) ?? 0) + 1);
  return [...roles].map(([role, number]) => `${number} ${role}`).join(", ");
}

function baseModel({ meta }: OpenedFile): string | undefined {
  const base = meta.base_model ?? meta.baseModel ?? meta.base;
  return typeof base === "string" ? base : undefined;
}

const MODULES: readonly Column[] = [
  { title: "module", narrow: "cut" },
  { title: "out×in", right: true },
  { title: "rank", right: true },
  { title: "multiplier", right: true, narrow: "omit" },
  { title: "bytes", right: true },
  { title: "bits", right: true },
  { title: "bands", narrow: "wrap" },
];

function moduleTable({ modules }: OpenedFile, terminal: Terminal): string[] {
  const rows = modules.map((module) => {
    const kernel = module.kernel.length === 0 ? "" : ` k ${module.kernel.join("×")}`;
    const bits = (8 * module.chunk.length) / parameterCount(module);
    return [
      printable(module.name),
      `${module.out}×${module.in}${kernel}`,
      String(module.rank),
      `×${Number(module.multiplier.toPrecision(6))}`,
      count(module.chunk.length),
      bits.toFixed(2),
      bandsText(module.bands),
    ];
  });
  return [...title(counted(modules.length, "module"), "", terminal), ...table(MODULES, rows, terminal)];
}

/** A module with the position of its start, and without the states or the parent's id, which all modules share. */
function moduleJson({ start, parentId: _, ...module }: ModuleRecord): object {
  return start === undefined ? module : { ...module, start: { position: start.position } };
}

/** The JSON document of `--json`. */
function inspectJson(file: OpenedFile, withModules: boolean, configRisks: readonly ConfigRisk[]): object {
  const { prologue, modules, tensors, ids, origin } = file;
  const start = modules.find((module) => module.start !== undefined)?.start;
  return {
    version: `${prologue.major}.${prologue.minor}`,
    fileLength: prologue.fileLength,
    alignment: prologue.alignment,
    fileId: ids.fileId,
    contentId: ids.contentId,
    verified: file.verified,
    vouchedBy: file.vouchedBy,
    parameters: modules.reduce((sum, module) => sum + parameterCount(module), 0),
    parts: Object.fromEntries(byteParts(file)),
    encodings: Object.fromEntries(encodingsUsed(file)),
    moduleCount: modules.length,
    tensorCount: tensors.length,
    sections: file.sections.map(({ type, chunk }) => ({ type, length: chunk.length })),
    meta: file.meta,
    origin: origin ?? null,
    configRisks,
    ...(start && { start: startJson(start) }),
    ...(file.parentId !== undefined && {
      parent: {
        contentId: file.parentId,
        modules: modules.filter(({ parentModule }) => parentModule !== undefined).length,
      },
    }),
    ...(withModules ? { modules: modules.map(moduleJson), tensors } : {}),
  };
}

/**
 * Parts in file order with their bytes. Padding, which is spread over the file, comes last. The bytes add up to the size of
 * the file: every byte belongs to exactly one part (spec clause 4.1).
 */
function byteParts(file: Pick<OpenedFile, "prologue" | "index">): [name: string, bytes: number][] {
  const { prologue, index } = file;
  const { modules, tensors, sections, digests, trailer } = index;
  const sum = (records: readonly { readonly chunk: { readonly length: number } }[]): number =>
    records.reduce((total, { chunk }) => total + chunk.length, 0);
  const parts: [string, number][] = [
    ["prologue", 64],
    ["index", prologue.indexLength],
    ["module chunks", sum(modules)],
    ["tensor chunks", sum(tensors)],
    ["sections", sum(sections)],
    ["digests", digests.length],
    ["trailer", trailer.length],
  ];
  const known = parts.reduce((total, [, bytes]) => total + bytes, 0);
  return [...parts, ["padding", prologue.fileLength - known]];
}
