// What `conformance/run --decoder` asks of a decoder (specification, 2.4; PROTOCOL.md, "Decoders"): every valid file decodes to the same
// weights, what a decoder must check is refused, and whatever else is broken ends in a refusal or in weights, not in a crash.
import { difference } from "./compare.mjs";

/** Errors that a decoder must find wherever they are. */
const ALWAYS = new Set(
  "BAD_MAGIC MAGIC_TEXT_DAMAGE TRUNCATED_PROLOGUE PROLOGUE_CRC UNSUPPORTED_VERSION UNSUPPORTED_FEATURE TRUNCATED_FILE TRAILING_BYTES INDEX_CRC".split(
    " ",
  ),
);
/** Errors that it must find in what it reads: modules, and the records that modules use. */
const OF_MODULES = new Set("INDEX_VECTOR CHUNK_CRC CHUNK_LENGTH_MISMATCH UNSUPPORTED_CODEC".split(" "));
/** Cases whose error is in a tensor, a section, a parent, or in two places. */
const ELSEWHERE =
  /mutations|tensor|section|dimensions|raw-payload|of-no-bytes|damaged-parent|draft|invalid\/order/;
/** Limits are for readers: a decoder works as long as its caller lets it. */
const LIMITS = new Set(["CORE_LIMIT", "HARD_LIMIT"]);
/** Here files lie about their content id, which a decoder trusts. */
const TRUSTED = "valid/parent/files-that-are-not-valid";
/** What is compared of a module. */
const MEMBERS = ["name", "out", "inp", "multiplier", "experts", "rank"];

/** The cases of `loadCases` for decoders: each file once, without levels. */
export function decoderCases(cases) {
  return cases
    .filter(
      ({ id, operation, runs }) =>
        operation === "read" && id !== TRUSTED && !LIMITS.has(runs[0].expected.error?.name),
    )
    .map((c) => ({
      ...c,
      operation: "decode",
      runs: (c.group === "mutations" ? c.runs : c.runs.slice(0, 1)).map((run) => ({
        ...run,
        level: undefined,
        operation: "decode",
        judge: (answer) => judge(run, c.id, answer),
      })),
    }));
}

function judge({ expected, accept, budget }, id, { exit, document }) {
  const failed = (detail) => ({ status: "failed", detail });
  const passed = { status: "passed" };
  if (document === null || typeof document !== "object") return failed("the answer has no document");
  if (Object.hasOwn(document, "valid"))
    return failed("a decoder claims no validity, but the document has `valid`");
  if (document.decoded === true ? exit !== 0 : !(document.decoded === false && [1, 3, 4].includes(exit)))
    return failed(`exit ${exit} does not fit \`decoded\` ${document.decoded}`);
  const { error } = expected;
  if (error !== undefined) {
    const must =
      accept === undefined && (ALWAYS.has(error.name) || (OF_MODULES.has(error.name) && !ELSEWHERE.test(id)));
    if (!must) return passed;
    if (document.decoded) return failed(`${error.name} was not noticed`);
    return error.class === "U" && exit !== 3 ? failed(`${error.name} has exit code 3, not ${exit}`) : passed;
  }
  if (!document.decoded) return failed(`a valid file was refused: ${document.error?.name}`);
  const wanted = (expected.modules ?? []).map((m) => ({
    ...Object.fromEntries(MEMBERS.map((member) => [member, m[member]])),
    ...(m.sha256 == null ? {} : { sha256: m.sha256 }),
  }));
  const found = expected.modules === undefined ? undefined : difference(wanted, document.modules);
  if (found !== undefined)
    return failed(
      `modules${found.path}: expected ${JSON.stringify(found.expected)}, found ${JSON.stringify(found.actual)}`,
    );
  for (const [i, { out, inp, kernel0, kernel1, kernel2, rank, experts }] of (
    expected.modules ?? []
  ).entries()) {
    const kernel = [kernel0, kernel1, kernel2].reduce((product, k) => product * (k || 1), 1);
    if (4 * (out + inp * kernel) * rank * experts > budget && document.modules[i].sha256 != null)
      return failed(`module ${i} was decoded above the budget`);
  }
  return passed;
}
