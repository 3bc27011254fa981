/**
 * `lqa encode`: an adapter becomes an `.lqa` file, and its price in bits and error is told.
 *
 * @module
 */
import { fail } from "../../errors.ts";
import type { EncodeOptions } from "../../index.ts";
import { type EncodedFile, encodeFile } from "../../node.ts";
import { bandsText } from "../bands.ts";
import { type Arguments, integerOption, textOption } from "../command.ts";
import { count, counted, decibels, duration, percent, printable, ratio, size } from "../format.ts";
import { columns, type Terminal } from "../terminal.ts";

/** How many modules the summary names. */
const WORST = 3;

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const [input] = args.positionals;
  const output = textOption(args, "output") ?? "";
  const settings = chosen(args);
  const alignment = integerOption(args, "align");
  const force = args.values.has("force");
  const onProgress = terminal.progress;
  const result = await encodeFile(input, output, {
    ...libraryOptions(settings),
    ...(alignment === undefined ? {} : { alignment }),
    force,
    onProgress,
  });
  terminal.endProgress();
  // With the file itself on stdout, the report must not follow it into the same pipe.
  const print = /^\/dev\/(stdout|fd\/1)$/.test(output) ? terminal.err : terminal.out;
  if (args.values.has("json")) print(`${JSON.stringify(encodeJson(result, settings), null, 2)}\n`);
  else print(`${summary(input, output, result, settings, terminal)}\n`);
  return 0;
}

/** Options that mean something to one profile only. */
const PROFILE_OPTIONS: Readonly<Record<string, readonly string[]>> = {
  loraquant: ["variant", "h-rule", "refine", "group"],
  raw: ["element"],
};

/** @throws LqaError USAGE for an option that the chosen profile does not have: it would be ignored silently. */
function assertProfileOptions(args: Arguments): void {
  const profile = textOption(args, "profile") ?? "loraquant";
  for (const [owner, names] of Object.entries(PROFILE_OPTIONS)) {
    const name = owner === profile ? undefined : names.find((candidate) => args.values.has(candidate));
    if (name === undefined) continue;
    fail("USAGE", {
      where: "lqa encode",
      actual: `--${name} with --profile ${profile}`,
      expected: `--${name} only with --profile ${owner}`,
    });
  }
}

/** What was chosen or defaulted; null where the profile has no such choice. */
interface Settings {
  readonly profile: string;
  readonly variant: string | null;
  readonly hRule: string | null;
  readonly refine: string | null;
  readonly group: number | null;
  readonly element: string | null;
}

function chosen(args: Arguments): Settings {
  assertProfileOptions(args);
  const profile = textOption(args, "profile") ?? "loraquant";
  const quantized = profile === "loraquant";
  return {
    profile,
    variant: quantized ? (textOption(args, "variant") ?? "2@0.8") : null,
    hRule: quantized ? (textOption(args, "h-rule") ?? "code") : null,
    refine: quantized ? (textOption(args, "refine") ?? "search") : null,
    group: quantized ? (integerOption(args, "group") ?? 128) : null,
    element: quantized ? null : (textOption(args, "element") ?? "f32"),
  };
}

function libraryOptions(settings: Settings): EncodeOptions {
  // The command table has checked every word.
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null)) as EncodeOptions;
}

/** The JSON document of `--json`; its keys are stable. */
function encodeJson(result: EncodedFile, settings: Settings): object {
  const { parameters, inputBytes, outputBytes, averageBits, bitsPerParameter, relativeError, snrDb } = result;
  return {
    ...settings,
    parameters,
    inputBytes,
    outputBytes,
    averageBits,
    bitsPerParameter,
    relativeError,
    snrDb: finite(snrDb),
    seconds: Number(result.seconds.toFixed(3)),
    fileId: result.fileId,
    contentId: result.contentId,
    modules: result.modules.map((module) => ({
      ...module,
      snrDb: finite(module.snrDb),
    })),
  };
}

/** Infinite (no noise at all) and undefined ratios have no number in JSON. */
function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function summary(
  input: string,
  output: string,
  result: EncodedFile,
  settings: Settings,
  { colors }: Terminal,
): string {
  const { inputBytes, outputBytes, modules } = result;
  const words = [settings.profile, settings.variant, settings.element].filter((word) => word !== null);
  const rows = [
    ["size", `${size(inputBytes)} → ${size(outputBytes)}, ${ratio(inputBytes, outputBytes)} smaller`],
    ["parameters", `${count(result.parameters)} in ${counted(modules.length, "module")}`],
    [
      "bits",
      `${result.averageBits.toFixed(3)} per parameter counted as the paper does, ${result.bitsPerParameter.toFixed(3)} on disk`,
    ],
    ["error", `${percent(result.relativeError)} of the energy of ΔW lost, SNR ${decibels(result.snrDb)}`],
    ["encoding", words.join(" ")],
    ["time", duration(result.seconds)],
  ];
  const lines = [
    `${colors.bold(printable(output))} written from ${printable(input)}`,
    ...columns(rows).map((line) => `  ${line}`),
  ];
  const worst = [...modules].sort((x, y) => y.relativeError - x.relativeError).slice(0, WORST);
  if (modules.length > 1 && worst[0].relativeError > 0) {
    lines.push("", colors.bold("largest error"));
    const table = worst.map((m) => [
      printable(m.name),
      `r ${m.rank}`,
      `${m.averageBits.toFixed(2)} bits`,
      percent(m.relativeError),
      bandsText(m.bands),
    ]);
    lines.push(...columns(table, [1, 2, 3]).map((line) => `  ${line}`));
  }
  return lines.join("\n");
}
