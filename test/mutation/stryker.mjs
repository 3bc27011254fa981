// Settings of StrykerJS for one group of mutants; run.mjs runs it.
import { groups } from "./groups.mjs";

const group = process.env.LQA_MUTATION_GROUP;

export default {
  testRunner: "reader",
  plugins: ["./test/mutation/ignore-messages.mjs", "./test/mutation/runner.mjs"],
  buildCommand: "node test/mutation/build.mjs",
  mutate: groups[group].files,
  ignorers: ["messages"],
  coverageAnalysis: "perTest",
  concurrency: Number(process.env.LQA_MUTATION_JOBS ?? 1),
  // Tests take milliseconds; a mutant that is still running then runs forever, also where others need the processors.
  timeoutMS: 40_000,
  timeoutFactor: 0.5,
  dryRunTimeoutMinutes: 60,
  // In a folder that git ignores.
  tempDirName: `coverage/mutation/${group}`,
  ignorePatterns: ["/bench", "/docs", "/examples", "/fuzz", "/dist", "/coverage", "/conformance/readers"],
  reporters: ["json", "progress-append-only"],
  jsonReporter: { fileName: `coverage/mutation/${group}.json` },
  incremental: true,
  incrementalFile: `coverage/mutation/${group}.incremental.json`,
  allowConsoleColors: false,
};
