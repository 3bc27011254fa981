// Collects the cases of the suite: files by path, and one entry of manifest.json each (conformance/suite/manifest.schema.json).
import { readFileSync } from "node:fs";
import { hex, seedOf, sha256 } from "./bytes.mjs";
import { compose, twinOf } from "./compose.mjs";
import { writeFile } from "./file.mjs";

const catalogue = JSON.parse(readFileSync(new URL("../../spec/errors.json", import.meta.url), "utf8"));
const ERRORS = new Map(catalogue.errors.map((error) => [error.name, error]));
export const LEVELS = ["structure", "integrity", "values", "canonical"];

/** What a reader must answer for this error: { valid: false, exit, error }. */
export function refusal(name) {
  const error = ERRORS.get(name);
  if (error === undefined) throw new Error(`no error ${name} in spec/errors.json`);
  const letter = error.code[0];
  return {
    valid: false,
    exit: catalogue.classes[letter].exit,
    error: { code: `LQA-${error.code}`, name, class: letter },
  };
}

/** Names, codes and exit codes of all errors that a file can have, alone or with a base model. */
export const outcomes = () =>
  [...ERRORS.values()]
    .filter(({ code, clause }) => clause !== "-" && !"XS".includes(code[0]))
    .map(({ name }) => {
      const { exit, error } = refusal(name);
      return { name, code: error.code, exit };
    });

export class Suite {
  cases = [];
  files = new Map();
  /** Models of valid files by id, for families that damage them. */
  built = new Map();
  mutations = [];

  /**
   * A valid file. `level` is how deep it is checked (a file that is valid but not canonical: values); `documents` are META
   * and ORIG as JSON; `hashes` false leaves out the weights (they are too many), `omit` other
   * members, `twin` false everything but that it is valid; `alone` says that its parents are not given.
   */
  valid(id, adapter, about = {}) {
    const {
      lies = {},
      documents = {},
      hashes = true,
      omit = [],
      twin = true,
      level = "canonical",
      alone = false,
      ...more
    } = about;
    const model = compose(adapter, seedOf(id));
    const written = writeFile(model, lies);
    this.built.set(id, { model, written });
    const expected = { valid: true, exit: 0, ...(twin && twinOf(model, written, documents, hashes, alone)) };
    for (const member of omit) delete expected[member];
    this.add(id, written.bytes, { level, expected, ...more });
  }

  /**
   * A file with one fault, made by lying about a valid one; `error` is the name in spec/errors.json. `level` is the least at
   * which it is found; one level before, the file is valid, or has the error `shallower`.
   */
  invalid(id, error, adapter, about = {}) {
    const { lies = {}, level = "structure", clauses = [ERRORS.get(error).clause], ...more } = about;
    const model = compose(adapter, seedOf(id));
    const written = writeFile(model, lies);
    this.built.set(id, { model, written });
    this.add(id, written.bytes, { level, clauses, expected: refusal(error), ...more });
  }

  /** A file of which bytes are changed, and nothing is repaired. */
  damaged(id, of, error, change, about = {}) {
    const { model, written } = this.built.get(of);
    this.built.set(id, { model, written });
    this.bytes(id, change(written.bytes, written.at), error, about);
  }

  /** Any bytes, with what is expected of them. */
  bytes(id, bytes, error, about = {}) {
    const { level = "structure", clauses = [ERRORS.get(error).clause], ...more } = about;
    this.add(id, bytes, { level, clauses, expected: refusal(error), ...more });
  }

  /** The same file as another case, expected to be something else under other conditions. */
  again(id, of, about) {
    const first = this.cases.find((c) => c.id === of);
    if (first === undefined) throw new Error(`no case ${of}`);
    this.cases.push(entry({ ...first, ...about, id }));
  }

  /** What may be handed out of a file whose first `whole` chunks are good, each with the position behind its CRC-32. */
  events(of, whole = Number.POSITIVE_INFINITY) {
    const { model, written } = this.built.get(of);
    const items = [
      ...model.modules.map((m) => ["module", m.name]),
      ...model.tensors.map((t) => ["tensor", t.name]),
      ...model.sections.map((s) => ["section", s.tag]),
    ];
    const lengths = [...written.vectors.modules, ...written.vectors.tensors, ...written.vectors.sections];
    return items.slice(0, whole).map((item, i) => [...item, written.at.chunks[i] + lengths[i].chunk_length]);
  }

  /** Bytes of the index of such a file. */
  indexLength(adapter) {
    return writeFile(compose(adapter)).at.gap - 64;
  }

  add(id, bytes, about) {
    if (this.files.has(`${id}.lqa`)) throw new Error(`case ${id} occurs twice`);
    this.files.set(`${id}.lqa`, bytes);
    this.cases.push(
      entry({ id, file: `${id}.lqa`, bytes: bytes.length, sha256: hex(sha256(bytes)), ...about }),
    );
  }
}

/** The members of an entry in their order, defaults filled in. */
function entry(about) {
  const {
    id,
    file,
    bytes,
    sha256,
    note,
    features = [],
    clauses = [],
    obligation = "must",
    level,
    expected,
    ...more
  } = about;
  return {
    id,
    file,
    bytes,
    sha256,
    ...(note && { note }),
    features: [...new Set(features)].sort(),
    clauses: [...new Set(clauses)],
    obligation,
    level,
    ...more,
    expected,
  };
}
