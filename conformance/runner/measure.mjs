// One reader through all cases.
import { judge } from "./compare.mjs";

/** After so many crashes and timeouts a reader is not tried again: a suite must end. */
export const GIVE_UP = 20;

/** Results of a reader: { about, results: [{ id, group, status, detail }], seconds }. */
export async function measure(reader, cases, { giveUp = GIVE_UP, onResult = () => {} } = {}) {
  const begin = performance.now();
  const results = [];
  let about;
  let caps;
  let broken = 0;
  let refusal;
  try {
    caps = await reader.start();
    about = caps.about;
  } catch (error) {
    refusal = { status: "crash", detail: `does not start: ${error.message}` };
    await reader.stop();
  }
  for (const c of cases) {
    const verdict = refusal ?? missing(c, caps) ?? (await runAll(reader, c));
    if (verdict.status === "crash" || verdict.status === "timeout") broken++;
    if (broken >= giveUp)
      refusal ??= { status: "crash", detail: `not run: the reader crashed or hung ${broken} times` };
    const result = { id: c.id, group: c.group, ...verdict };
    if (result.detail !== undefined) result.detail = oneLine(result.detail);
    results.push(result);
    onResult(result);
  }
  await reader.stop();
  return { about, results, seconds: (performance.now() - begin) / 1000 };
}

/** A reader's words may not look like more lines of the report, nor command the terminal. */
const oneLine = (text) =>
  text
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ")
    .trim()
    .slice(0, 600);

/** Why this reader does not run a case, by its own word. */
function missing({ operation, features, runs }, { levels, operations, without }) {
  const skip = (detail) => ({ status: "skipped", detail });
  if (!operations.includes(operation)) return skip(`no operation ${operation}`);
  const feature = features.find((name) => Object.hasOwn(without, name));
  if (feature !== undefined) return skip(without[feature]);
  const level = runs.map((run) => run.level).find((name) => levels !== undefined && !levels.includes(name));
  return level === undefined ? undefined : skip(`no level ${level}`);
}

/** The first run of a case that does not pass speaks for it. */
async function runAll(reader, { runs }) {
  for (const run of runs) {
    const { id, path, hex, level, budget, operation, pieces, modules, base, parents } = run;
    const verdict = judge(
      run,
      await reader.run({ id, operation, path, hex, level, budget, pieces, modules, base, parents }),
    );
    if (verdict.status === "passed") continue;
    const which =
      id === undefined || runs.length === 1 ? "" : ` [${runs.length > 3 ? id : `level ${level}`}]`;
    return {
      status: verdict.status,
      detail: `${verdict.detail}${verdict.status === "skipped" ? "" : which}`,
    };
  }
  return { status: "passed" };
}
