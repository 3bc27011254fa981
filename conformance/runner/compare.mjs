// Is this answer the one that the case expects? The rules stand in PROTOCOL.md, "What is compared".

const isObject = (value) => value !== null && typeof value === "object";

/** Where `actual` lacks something of `expected`: a path and both values; undefined if nowhere. */
export function difference(expected, actual, path = "") {
  if (Array.isArray(expected)) {
    if (!Array.isArray(actual)) return { path, expected, actual };
    if (actual.length !== expected.length)
      return { path: `${path}.length`, expected: expected.length, actual: actual.length };
    for (let i = 0; i < expected.length; i++) {
      const found = difference(expected[i], actual[i], `${path}[${i}]`);
      if (found) return found;
    }
    return undefined;
  }
  if (isObject(expected)) {
    if (!isObject(actual) || Array.isArray(actual)) return { path, expected, actual };
    for (const key of Object.keys(expected)) {
      const member = Object.hasOwn(actual, key) ? actual[key] : undefined;
      const found = difference(expected[key], member, `${path}.${key}`);
      if (found) return found;
    }
    return undefined;
  }
  return expected === actual ? undefined : { path, expected, actual };
}

/** A value for a message, cut where it is long. */
export function short(value) {
  try {
    const text =
      (typeof value === "string" ? JSON.stringify(value.slice(0, 200)) : JSON.stringify(value)) ?? "nothing";
    return text.length > 120 ? `${text.slice(0, 120)}…` : text;
  } catch {
    return "something nested too deeply";
  }
}

/** `passed`, `failed`, `crash`, `timeout` or `skipped`, and why. */
export function judge(run, answer) {
  try {
    return verdict(run, answer);
  } catch (error) {
    return failed(`the answer has another form than a document: ${error.message}`);
  }
}

function verdict(run, answer) {
  for (const status of ["crash", "timeout", "skipped"]) {
    if (answer[status] !== undefined) return { status, detail: answer[status] };
  }
  if (run.judge !== undefined) return run.judge(answer);
  const { exit, document } = answer;
  if (!isObject(document)) return failed(`the answer has no document: ${short(document)}`);
  const outcome = document.valid === true ? "valid" : document.error?.name;
  const consistent = document.valid === true ? exit === 0 : exit === run.exits.get(outcome);
  if (!consistent) return failed(`exit ${exit} does not fit ${short(outcome)}`);
  if (run.accept?.includes(outcome)) return { status: "passed" };
  const { exit: _, ...expected } = run.expected;
  const wanted = expected.valid ? "valid" : expected.error.name;
  if (outcome !== wanted) {
    const where = document.error
      ? ` (${[document.error.where, document.error.message].filter(Boolean).join(": ").slice(0, 300)})`
      : "";
    return failed(`expected ${wanted}, found ${outcome}${where}`);
  }
  const found = difference(expected, document) ?? (run.check?.(document) || undefined);
  if (found === undefined) return { status: "passed" };
  return failed(
    typeof found === "string"
      ? found
      : `${found.path.slice(1)}: expected ${short(found.expected)}, found ${short(found.actual)}`,
  );
}

const failed = (detail) => ({ status: "failed", detail });

/** What a reader must answer for an error of this name, or for `valid` or no name. */
export function outcome(name, errors) {
  if (name === undefined || name === "valid") return { valid: true, exit: 0 };
  const { code, exit } = errors.get(name);
  return { valid: false, exit, error: { code, name, class: code[4] } };
}
