/**
 * `lqa encode`: encode an adapter to an `.lqa` file and report its bits and error.
 *
 * @module
 */

import { basename, dirname, resolve } from "node:path";
import { bandsText } from "../../core/codecs/bands-text.ts";
import type { Outlook } from "../../encode/quantize/answers.ts";
import { resolveOptions } from "../../encode/quantize/profile.ts";
import * as KIND from "../../error-catalogue.ts";
import { LqaError } from "../../errors.ts";
import { type EncodedFile, encodeFile } from "../../node/encode-file.ts";
import { usualWeights, WEIGHTS_ENDING } from "../../node/files/adapter-names.ts";
import { isRemote } from "../../node/remote/location.ts";
import { type Arguments, textOption } from "../command.ts";
import { encodeJson } from "../encode-json.ts";
import { encodeManyCommand } from "../encode-many.ts";
import { encodeSettings } from "../encode-options.ts";
import { count, counted, decibels, duration, jsonText, percent, printable, ratio, size } from "../format.ts";
import { type Column, type Fact, facts, note, type Paper, table, title } from "../layout.ts";
import { nameOf, remoteOptions } from "../open-input.ts";
import { sourceSettings } from "../source-options.ts";
import type { Terminal } from "../terminal.ts";

/** Maximum number of modules that the summary names. */
const WORST = 3;

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const named = textOption(args, "output");
  const folder = textOption(args, "out-dir");
  const asked = {
    ...sourceSettings(args),
    ...encodeSettings(args),
    force: args.values.has("force"),
    remote: remoteOptions(args),
  };
  // Report a wrong combination of options before reading anything.
  resolveOptions(asked);
  if (asked.layout === "peft" && named === undefined)
    throw new LqaError(KIND.USAGE, {
      where: "lqa encode",
      expected: "--output, a directory, with --layout peft",
      actual: folder === undefined ? "no --output" : "--out-dir",
      advice: "See lqa encode --help.",
    });
  if (folder !== undefined && named === undefined)
    return await encodeManyCommand(args, folder, asked, terminal);
  const [input, ...more] = args.positionals;
  for (const option of ["shard", "log", "metrics"])
    if (args.values.has(option))
      throw new LqaError(KIND.USAGE, {
        where: "lqa encode",
        expected: `--${option} with --out-dir`,
        actual: `--${option} for one adapter`,
        advice: "See lqa encode --help.",
      });
  const output = named ?? defaultOutput(input);
  if (folder !== undefined || more.length > 0) {
    throw new LqaError(KIND.USAGE, {
      where: "lqa encode",
      expected: "one adapter, or any number of them and --out-dir",
      actual:
        folder !== undefined
          ? "--output and --out-dir are given together"
          : `${more.length + 1} adapters are given without --out-dir`,
      advice: "See lqa encode --help.",
    });
  }
  const result = await encodeFile(input, output, { ...asked, onProgress: terminal.progress });
  terminal.endProgress();
  // If the file itself goes to stdout, the report must not follow it into the same pipe.
  const print = /^\/dev\/(stdout|fd\/1)$/.test(output) ? terminal.err : terminal.out;
  if (args.values.has("json")) print(jsonText(encodeJson(result)));
  else {
    const wanted = {
      parent: asked.parent !== undefined,
      start: asked.start !== undefined && asked.start !== "none",
    };
    print(`${summary(input, output, result, wanted, terminal)}\n`);
  }
  return 0;
}

/** Default output: the adapter's name with `.lqa`, in the working directory. */
function defaultOutput(input: string): string {
  const name = nameOf(input);
  // `my-adapter/adapter_model.safetensors` is my-adapter.
  const folder =
    isRemote(input) || usualWeights([name]) === undefined ? "" : basename(dirname(resolve(input)));
  return `${(folder || name).replace(WEIGHTS_ENDING, "") || "adapter"}.lqa`;
}

/** The profile and its settings, e.g. `rtn codeBits=2 …`. */
function settingsText({ profile, ...rest }: EncodedFile["settings"]): string {
  return [profile, ...Object.entries(rest).map(([name, value]) => `${name}=${value}`)].join(" ");
}

/** Plain tensors that take most of the file, which the bits of the weights do not explain. */
function largeTensors({ tensors, tensorBytes, outputBytes, narrowed }: EncodedFile): string | undefined {
  if (2 * tensorBytes < outputBytes) return undefined;
  const text = `${counted(tensors, "plain tensor")} ${tensors === 1 ? "takes" : "take"} ${size(tensorBytes)} of the file`;
  return narrowed === undefined ? `${text}; --tensors f16 rounds them to 16 bits` : text;
}

/** Plain tensors: their bytes, and the rounding error. */
function tensorsText({ tensors, tensorBytes, narrowed }: EncodedFile): string {
  const stored = `${count(tensors)}, ${size(tensorBytes)}`;
  if (narrowed === undefined || narrowed.tensors === 0) return stored;
  const { worst } = narrowed;
  const most =
    worst === undefined ? "" : `, ${percent(worst.relativeError)} of that of ${printable(worst.name)}`;
  return `${stored}; ${count(narrowed.tensors)} rounded to F16, ${percent(narrowed.relativeError)} of their energy lost${most}`;
}

/** The error of the change that DoRA modules make to the base model. */
function doraText({ doraError }: EncodedFile): string | undefined {
  if (doraError === undefined) return undefined;
  const { modules, relativeError, worst } = doraError;
  return `${percent(relativeError)} of the energy of the change of the base weights lost, over ${counted(modules, "module")}; most in ${printable(worst.name)}: ${percent(worst.relativeError)}`;
}

/** The parent that decoding this file requires. */
function parentText({ parent, modules }: EncodedFile): string | undefined {
  if (parent === undefined) return undefined;
  return `content id ${parent.contentId}, for ${parent.modules} of ${counted(modules.length, "module")}`;
}

/** Which modules the calibration file covers. */
function calibrationText({ calibration }: EncodedFile): string | undefined {
  if (calibration === undefined) return undefined;
  const { file, matched, missing, unmatched } = calibration;
  const without = missing.length === 0 ? "" : `, ${count(missing.length)} without`;
  const unused = unmatched.length === 0 ? "" : `; ${count(unmatched.length)} of its tensors unused`;
  return `${counted(matched, "module")}${without}, from ${printable(file)}${unused}`;
}

/** What should happen to the answers, in words. */
const OUTLOOKS: Readonly<Record<Outlook, string>> = {
  same: "very likely the same",
  try: "may change a little: try it on your task",
  changes: "expect changes: use a higher --quality or more --bits",
};

function answersText({ outlook, divergenceFrom }: EncodedFile): string | undefined {
  if (outlook === undefined) return undefined;
  const source = divergenceFrom === "calibration" ? "by the calibration" : "a guess from the weights";
  return `${OUTLOOKS[outlook]} (${source})`;
}

function startText({ start, modules }: EncodedFile, asked: boolean): string | undefined {
  if (start === undefined) return asked ? "none found that pays" : undefined;
  const seed = start.seed === undefined ? "states of a generator" : `seed ${start.seed}`;
  const saved =
    "bytes" in start.saved
      ? `${size(start.saved.bytes)} smaller`
      : `${percent(start.saved.error)} less error in the same size`;
  return `${seed}, for ${start.modules} of ${counted(modules.length, "module")}: ${saved}`;
}

/** Names the modules that lost most of their energy. */
function weakLines({ droppedModules, weakModules, modules, settings }: EncodedFile, paper: Paper): string[] {
  if (weakModules === 0) return [];
  const dropped = droppedModules === 0 ? "" : `, and ${count(droppedModules)} of them everything`;
  const advice = settings.profile === "rd" ? "use more --bits or a higher --quality" : "use more bits";
  return note(
    "warning",
    `${count(weakModules)} of ${counted(modules.length, "module")} lost over half of their energy${dropped}; ${advice} to keep more.`,
    paper,
  );
}

/** What the options asked for, as far as the summary says what came of it. */
interface Asked {
  readonly parent: boolean;
  readonly start: boolean;
}

/** A few lines for people, and the rest with `--verbose`. */
function summary(
  input: string,
  output: string,
  result: EncodedFile,
  asked: Asked,
  terminal: Terminal,
): string {
  const { inputBytes, outputBytes, energy } = result;
  const bits = `${result.bitsPerParameter.toFixed(2)} bits per weight`;
  const rows: Fact[] = [
    [
      "size",
      `${size(inputBytes)} → ${size(outputBytes)}, ${ratio(inputBytes, outputBytes)} smaller, ${bits}`,
    ],
    ["tensors", terminal.verbose ? undefined : largeTensors(result)],
    ["answers", energy === 0 ? undefined : answersText(result)],
    ["start", startText(result, asked.start)],
    ["time", duration(result.seconds)],
    [
      "next",
      `lqa inspect ${printable(output)}${terminal.verbose ? "" : ", or lqa encode --verbose for details"}`,
    ],
    ...(terminal.verbose ? details(result) : []),
  ];
  return [
    ...title(printable(output), `written from ${printable(input)}`, terminal),
    ...facts(rows, terminal),
    ...result.notes.flatMap((text) => note("note", printable(text), terminal)),
    ...(energy === 0
      ? note(
          "warning",
          "this adapter does nothing: the product of its factors is zero in every module.",
          terminal,
        )
      : []),
    ...(asked.parent && result.parent === undefined
      ? note("note", "the parent does not help at this goal: the file holds the adapter whole.", terminal)
      : []),
    ...weakLines(result, terminal),
    ...(terminal.verbose ? worstLines(result, terminal) : []),
  ].join("\n");
}

/** Facts for `--verbose`. */
function details(result: EncodedFile): Fact[] {
  const { modules, outputError } = result;
  return [
    ["parameters", `${count(result.parameters)} in ${counted(modules.length, "module")}`],
    [
      "error",
      `${percent(result.relativeError)} of the energy of ΔW lost, ‖ΔW − ΔŴ‖² ${result.errorEnergy.toPrecision(3)}, SNR ${decibels(result.snrDb)}, gain ${result.gain.toFixed(3)}`,
    ],
    ["DoRA", doraText(result)],
    [
      "output error",
      outputError === undefined
        ? undefined
        : `${percent(outputError)} of the energy of the outputs lost, by moments of the inputs`,
    ],
    ["calibration", calibrationText(result)],
    ["tensors", result.tensors === 0 ? undefined : tensorsText(result)],
    ["base digest", result.baseDigest],
    ["parent", parentText(result)],
    ["encoding", settingsText(result.settings)],
  ];
}

/** The modules that lost the largest share of their energy. */
function worstLines({ modules }: EncodedFile, terminal: Terminal): string[] {
  const worst = [...modules].sort((x, y) => y.relativeError - x.relativeError).slice(0, WORST);
  if (modules.length < 2 || worst[0]!.relativeError === 0) return [];
  const rows = worst.map((m) => [
    printable(m.name),
    String(m.rank),
    m.averageBits.toFixed(2),
    percent(m.relativeError),
    bandsText(m.bands),
  ]);
  const columns: Column[] = [
    { title: "module", narrow: "cut" },
    { title: "rank", right: true },
    { title: "bits", right: true },
    { title: "error", right: true },
    { title: "bands", narrow: "wrap" },
  ];
  return ["", ...title("largest error", "", terminal), ...table(columns, rows, terminal)];
}
