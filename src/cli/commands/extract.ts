/**
 * `lqa extract`: turn the difference of two models into an adapter, and report how much of the change it holds.
 *
 * @module
 */

import type { RestTensor } from "../../models/index.ts";
import { type ExtractedFile, type ExtractFileOptions, extractFile } from "../../node/index.ts";
import { type Arguments, numberOption, textOption } from "../command.ts";
import { count, counted, decibels, duration, jsonText, percent, printable, size } from "../format.ts";
import { type Column, type Fact, facts, more, note, table, title } from "../layout.ts";
import type { Terminal } from "../terminal.ts";

/** Maximum number of modules and tensors that the summary names. */
const SHOWN = 3;

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const output = textOption(args, "output") ?? "";
  const result = await extractFile(textOption(args, "base") ?? "", textOption(args, "tuned") ?? "", output, {
    ...chosen(args),
    onProgress: terminal.progress,
  });
  terminal.endProgress();
  // If the file itself goes to stdout, the report must not follow it into the same pipe.
  const print = /^\/dev\/(stdout|fd\/1)$/.test(output) ? terminal.err : terminal.out;
  if (args.values.has("json")) print(jsonText(extractJson(result)));
  else print(`${summary(output, result, args.values.has("modules"), terminal)}\n`);
  return 0;
}

function chosen(args: Arguments): ExtractFileOptions {
  const dtype = textOption(args, "dtype")?.toUpperCase() as ExtractFileOptions["dtype"];
  const asked = {
    profile: textOption(args, "profile"),
    bits: numberOption(args, "bits"),
    maxBytes: numberOption(args, "max-bytes"),
    maxError: numberOption(args, "max-error"),
  };
  const encode = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
  return {
    rank: numberOption(args, "rank"),
    energy: numberOption(args, "energy"),
    include: patterns(args, "include"),
    exclude: patterns(args, "exclude"),
    embeddings: args.values.has("embeddings"),
    keepRest: args.values.has("keep-rest"),
    fanInFanOut: args.values.has("fan-in-fan-out") ? true : undefined,
    prefix: textOption(args, "prefix"),
    baseModel: textOption(args, "base-name"),
    dtype,
    // The command table has checked every word.
    encode: encode as ExtractFileOptions["encode"],
    force: args.values.has("force"),
  };
}

function patterns(args: Arguments, name: string): string[] | undefined {
  return textOption(args, name)
    ?.split(",")
    .map((pattern) => pattern.trim())
    .filter((pattern) => pattern !== "");
}

/** The JSON document of `--json`; its keys are stable. */
function extractJson(result: ExtractedFile): object {
  const { encoded } = result;
  return {
    rank: result.rank,
    energy: result.energy,
    fanInFanOut: result.fanInFanOut,
    share: result.share,
    shareOfAll: result.shareOfAll,
    parameters: result.parameters,
    inputBytes: result.inputBytes,
    files: [...result.written].map(([name, bytes]) => ({ name, bytes })),
    encoding:
      encoded === undefined
        ? null
        : {
            settings: encoded.settings,
            bitsPerParameter: encoded.bitsPerParameter,
            relativeError: encoded.relativeError,
            snrDb: Number.isFinite(encoded.snrDb) ? encoded.snrDb : null,
          },
    seconds: Number(result.seconds.toFixed(3)),
    unchanged: result.unchanged,
    filtered: result.filtered,
    onlyInBase: result.onlyInBase,
    modules: result.modules,
    rest: result.rest,
  };
}

function summary(output: string, result: ExtractedFile, all: boolean, terminal: Terminal): string {
  const { modules, rest, encoded, onlyInBase } = result;
  const bytes = [...result.written.values()].reduce((sum, each) => sum + each, 0);
  const kept = rest.filter((tensor) => tensor.kept).length;
  const lost = rest.filter((tensor) => !tensor.kept);
  const tensors = (number: number): string | undefined =>
    number === 0 ? undefined : counted(number, "tensor");
  const rows: Fact[] = [
    ["change", `${percent(result.share)} of the energy of ΔW in ${counted(modules.length, "module")}`],
    ["rank", `${ranks(result)}, ${count(result.parameters)} parameters`],
    ["size", size(bytes)],
    [
      "encoding",
      encoded &&
        `${encoded.settings.profile}, ${encoded.bitsPerParameter.toFixed(3)} bits per parameter, ${percent(encoded.relativeError)} of that energy lost, SNR ${decibels(encoded.snrDb)}`,
    ],
    ["layout", result.fanInFanOut ? "linear weights stored as (in, out)" : undefined],
    ["kept whole", tensors(kept)],
    ["unchanged", tensors(result.unchanged)],
    ["not chosen", tensors(result.filtered)],
    [
      "only in base",
      onlyInBase.length === 0 ? undefined : `${counted(onlyInBase.length, "tensor")}: ${names(onlyInBase)}`,
    ],
    ["time", duration(result.seconds)],
  ];
  return [
    ...title(printable(output), "extracted", terminal),
    ...facts(rows, terminal),
    ...moduleLines(result, all, terminal),
    ...(lost.length > 0 ? ["", ...lostLines(lost, result, all, terminal)] : []),
  ].join("\n");
}

function ranks({ modules, energy, rank }: ExtractedFile): string {
  const all = modules.map((module) => module.rank).sort((x, y) => x - y);
  const [least, most] = [all[0], all[all.length - 1]];
  const text = least === most ? String(most) : `${least} to ${most}`;
  if (energy === null) return text;
  // The rounding of a share to digits does not count as missing energy.
  const short = modules.filter(({ share }) => share < energy - 1e-6).length;
  const missed = short === 0 ? "" : ` (${counted(short, "module")} would need more than ${rank})`;
  return `${text} for ${percent(energy)} of each${missed}`;
}

const MODULES: readonly Column[] = [
  { title: "module", narrow: "cut" },
  { title: "shape", right: true },
  { title: "rank", right: true },
  { title: "held", right: true },
  { title: "‖ΔW‖", right: true },
  { title: "of ‖W‖", right: true, narrow: "omit" },
  { title: "σ₁", right: true, narrow: "omit" },
];

function moduleLines({ modules }: ExtractedFile, all: boolean, terminal: Terminal): string[] {
  const shown = all ? modules : [...modules].sort((x, y) => x.share - y.share).slice(0, SHOWN);
  const rows = shown.map((module) => [
    printable(module.name),
    module.shape.join("×"),
    String(module.rank),
    percent(module.share),
    module.norm.toPrecision(3),
    module.relativeNorm === null ? "–" : percent(module.relativeNorm),
    module.largest.toPrecision(3),
  ]);
  return ["", ...title(all ? "modules" : "least kept", "", terminal), ...table(MODULES, rows, terminal)];
}

const LOST: readonly Column[] = [
  { title: "tensor", narrow: "cut" },
  { title: "shape", right: true },
  { title: "‖Δ‖", right: true },
  { title: "why", narrow: "wrap" },
];

/** Warns loudly about what the adapter does not have, because a user who loads it would not notice. */
function lostLines(
  lost: readonly RestTensor[],
  result: ExtractedFile,
  all: boolean,
  terminal: Terminal,
): string[] {
  const shown = all ? lost : [...lost].sort((x, y) => (y.norm ?? 0) - (x.norm ?? 0)).slice(0, SHOWN);
  const rows = shown.map((tensor) => [
    printable(tensor.name),
    tensor.shape.join("×"),
    tensor.norm === null ? "–" : tensor.norm.toPrecision(3),
    tensor.reason,
  ]);
  return [
    ...note(
      "warning",
      `${counted(lost.length, "changed tensor")} not in the adapter, which holds ${percent(result.shareOfAll)} of the whole change. --embeddings turns embeddings and output heads into modules; --keep-rest stores the remaining tensors whole.`,
      terminal,
    ),
    ...table(LOST, rows, terminal),
    ...more(lost.length - shown.length, "--modules"),
  ];
}

function names(all: readonly string[]): string {
  const shown = all.slice(0, SHOWN).map(printable).join(", ");
  return all.length > SHOWN ? `${shown}, …` : shown;
}
