// A test runner for StrykerJS: every case of the conformance suite is a test, and so is every test of the reader, run in this
// process against the instrumented library (build.mjs compiles it). A killed mutant costs some milliseconds that way; a set
// of test files restarted for each of some thousand mutants would take most of a day.
//
// They run in an order that finds a kill early: what killed the mutants before, then cases that expect an error which the
// mutated lines name, then the tests, then other cases. A kill counts only if what failed passes again once the mutant is
// switched off, or if this process is fresh: what a mutant left behind (a table of a kernel, say) must not kill the next one.
import { readdirSync, readFileSync } from "node:fs";
import { register } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { commonTokens, declareFactoryPlugin, PluginKind, tokens } from "@stryker-mutator/api/plugin";
import fc from "fast-check";
import { groups } from "./groups.mjs";

const RECENT = 24;
/** Of the cases that only happen to reach a mutant, so many are run, spread over the suite. */
const CASES = 150;
const PREPARATION = "preparation";
/** Tests that take a second or more: every survivor would pay for them. */
const SLOW = [/long vectors, many components/, /cuts long vectors into blocks/];
const { tests: TESTS } = groups[process.env.LQA_MUTATION_GROUP];
const load = (path) => import(pathToFileURL(resolve(path)).href);

class Runner {
  #namespace;
  #tests;
  #fresh = true;
  #poisoned = false;
  #recent = [];

  constructor() {
    this.#namespace = globalThis.__stryker__ ??= {};
  }

  capabilities() {
    return { reloadEnvironment: false };
  }

  /** Loads the library and the tests: under a static mutant, that is with the mutant. */
  async #start() {
    if (this.#tests !== undefined) return;
    fc.configureGlobal({ seed: 1 });
    register(pathToFileURL(resolve("test/mutation/resolve.mjs")).href);
    for (const folder of ["src/common", "src/core/container", "src/core/codecs"])
      for (const name of readdirSync(folder)) if (name.endsWith(".js")) await load(`${folder}/${name}`);
    // Only what runs while the library is loaded needs a process of its own; what runs while tests are prepared does not.
    this.#namespace.currentTestId = PREPARATION;
    const tests = [...(await suiteTests()), ...(await unitTests())];
    this.#namespace.currentTestId = undefined;
    this.#tests = new Map(tests.map((test) => [test.id, test]));
  }

  async dryRun() {
    await this.#start();
    const tests = [];
    for (const { id, run } of this.#tests.values()) {
      this.#namespace.currentTestId = id;
      const begin = performance.now();
      const failureMessage = await failureOf(run);
      const about = { id, name: id, timeSpentMs: performance.now() - begin };
      tests.push(
        failureMessage === undefined ? { ...about, status: 0 } : { ...about, status: 1, failureMessage },
      );
    }
    this.#namespace.currentTestId = undefined;
    const { mutantCoverage } = this.#namespace;
    if (mutantCoverage !== undefined) delete mutantCoverage.perTest[PREPARATION];
    return { status: "complete", tests, mutantCoverage };
  }

  async mutantRun({ activeMutant, testFilter, hitLimit, mutantActivation, sandboxFileName }) {
    if (this.#poisoned) process.exit(1); // StrykerJS starts another process and asks again.
    const limit = hitLimit === undefined ? undefined : Math.max(1000, hitLimit / 25);
    const activate = (id) => {
      this.#namespace.activeMutant = id;
      this.#namespace.hitCount = hitLimit === undefined ? undefined : 0;
      // StrykerJS means all tests together; here the count restarts with each.
      this.#namespace.hitLimit = limit;
    };
    const isStatic = mutantActivation === "static";
    if (isStatic) {
      activate(activeMutant.id);
      this.#poisoned = true;
    }
    try {
      await this.#start();
    } catch (error) {
      return { status: "killed", killedBy: [], failureMessage: String(error), nrOfTests: 0 };
    }
    const wanted = this.#order(testFilter, activeMutant, sandboxFileName);
    for (const [count, { id, run }] of wanted.entries()) {
      activate(activeMutant.id);
      const failureMessage = await failureOf(run);
      const endless = this.#namespace.hitCount > limit;
      if (failureMessage === undefined && !endless) continue;
      activate(undefined);
      if (!isStatic && (await failureOf(run)) !== undefined) {
        if (!this.#fresh) process.exit(1);
        this.#poisoned = true;
      }
      this.#fresh = false;
      if (endless) return { status: "timeout", reason: `hit limit ${limit}` };
      this.#recent = [id, ...this.#recent.filter((other) => other !== id)].slice(0, RECENT);
      return { status: "killed", killedBy: [id], failureMessage, nrOfTests: count + 1 };
    }
    activate(undefined);
    this.#fresh = false;
    return { status: "survived", nrOfTests: wanted.length };
  }

  #order(testFilter, { location }, file) {
    const wanted = testFilter?.map((id) => this.#tests.get(id)) ?? [...this.#tests.values()];
    const lines = sourceOf(file)
      .slice(location.start.line - 2, location.end.line + 10)
      .join("\n");
    const named = new Set(lines.match(/\b[A-Z]+(_[A-Z]+)+\b/g));
    const rank = ({ id, errors }) => {
      const recent = this.#recent.indexOf(id);
      if (recent >= 0) return recent;
      if (errors === undefined) return RECENT + 1;
      return errors.some((error) => named.has(error)) ? RECENT : RECENT + 2;
    };
    const ranked = wanted.map((test) => [rank(test), test]).sort(([x], [y]) => x - y);
    const first = ranked.filter(([x]) => x < RECENT + 2);
    const rest = ranked.slice(first.length);
    const apart = Math.max(1, rest.length / CASES);
    return [...first, ...rest.filter((_, i) => i % apart < 1)].map(([, test]) => test);
  }
}

/** Cases of the suite: [{ id, errors, run }], where `errors` are the names of those it expects. */
async function suiteTests() {
  const { loadCases } = await load("conformance/runner/cases.mjs");
  const { judge } = await load("conformance/runner/compare.mjs");
  const { readerOf } = await load("conformance/adapters/lqa-document.mjs");
  const { readIndex } = await load("src/core/container/index-read.js");
  const { toHex } = await load("src/common/bytes.js");
  const { sha256 } = await load("src/common/sha256.js");
  const read = (path) => new Uint8Array(readFileSync(path));
  const answer = readerOf(await load("src/core/index.js"), { readIndex, sha256, toHex });
  const places = JSON.parse(readFileSync("test/conformance/places.json", "utf8"));
  // Files pushed in pieces and changes of single bytes take half of the time and find nothing that the others do not; the
  // library does not apply files.
  const cases = loadCases(resolve("conformance/suite"), { mutations: "none" });
  return cases
    .filter(({ operation }) => operation === "read" || operation === "range")
    .map(({ id, runs }) => ({
      id,
      errors: runs.flatMap(({ expected }) => expected.error?.name ?? []),
      async run() {
        const bytes = read(runs[0].path);
        const parents = runs[0].parents?.map(read);
        const answers = [];
        for (const run of runs) {
          answers.push(await answer(bytes, run, parents));
          const { status, detail } = judge(run, answers.at(-1));
          if (status !== "passed") throw new Error(detail);
        }
        // What test/conformance/suite.test.ts compares.
        if (places[id] === undefined) return;
        const { offset, where = "" } = answers[0].document.error;
        if (offset !== places[id][0] || where !== places[id][1]) throw new Error(`at ${offset}, ${where}`);
      },
    }));
}

async function unitTests() {
  const { collect } = await load("test/mutation/vitest.mjs");
  const tests = [];
  for (const name of TESTS) tests.push(...(await collect(name, () => load(`test/${name}.test.js`))));
  return tests.filter(({ id }) => !SLOW.some((slow) => slow.test(id)));
}

/** Why a test fails; undefined if it passes. */
async function failureOf(run) {
  try {
    await run();
    return undefined;
  } catch (error) {
    return String(error?.stack ?? error);
  }
}

const sources = new Map();

/** Lines of the source as it was before it was instrumented. */
function sourceOf(sandboxFile) {
  const path = resolve(
    process.env.LQA_MUTATION_ROOT,
    sandboxFile.slice(sandboxFile.lastIndexOf("/src/") + 1),
  );
  if (!sources.has(path)) sources.set(path, readFileSync(path, "utf8").split("\n"));
  return sources.get(path);
}

export const strykerPlugins = [
  declareFactoryPlugin(
    PluginKind.TestRunner,
    "reader",
    Object.assign(() => new Runner(), { inject: tokens(commonTokens.options) }),
  ),
];
