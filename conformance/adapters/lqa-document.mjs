// What the library of this repository makes of a file, as a document of PROTOCOL.md. Runs in every JavaScript runtime,
// browsers included; lqa.mjs speaks the protocols with it, and the project's tests run the suite with it.

export const LEVELS = ["structure", "integrity", "values", "canonical"];
export const OPERATIONS = ["read", "stream", "range"];

/**
 * The library as a reader: a function from a command `run` and the bytes of the file to { exit, document }. The library is
 * its entry (index.ts) and three functions of its inside, for what the public interface does not tell.
 */
export function readerOf(library, { readIndex, sha256, toHex }) {
  const { LqaDecoder, memorySource, openLqa, openSource, validateLqa } = library;

  async function read(bytes, { level = "values", budget = 2 ** 29 }) {
    const { valid, error, ids } = await validateLqa(bytes, { level, budgetBytes: budget });
    if (!valid) return refusal(error);
    return { exit: 0, document: await documentOf(bytes, ids, LEVELS.indexOf(level), budget) };
  }

  /** Pushed in pieces; what is handed out is hashed as it comes, and has to be what the file has when it is read whole. */
  async function stream(bytes, { pieces, ...options }) {
    const events = [];
    const handedOut = { module: [], tensor: [] };
    const receive = (event) => {
      const { type, record } = event;
      if (type === "module") handedOut.module.push(factorHashes((how) => event.decode(how)));
      if (type === "tensor") handedOut.tensor.push(toHex(sha256(event.tensor.data)));
      if (record !== undefined) events.push([type, record.name ?? record.type, decoder.received]);
    };
    const decoder = new LqaDecoder(receive, { budgetBytes: options.budget });
    try {
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const length = pieces.length === 0 ? bytes.length : pieces[Math.min(i, pieces.length - 1)];
        await decoder.push(bytes.subarray(at, at + length));
        at += length;
      }
      await decoder.end();
    } catch (error) {
      const { exit, document } = refusal(error);
      return { exit, document: { ...document, events } };
    }
    const { exit, document } = await read(bytes, options);
    const same = (list, found) =>
      list.every((item, i) => JSON.stringify(item.sha256) === JSON.stringify(found[i]));
    if (
      document.valid &&
      !(same(document.modules, handedOut.module) && same(document.tensors, handedOut.tensor))
    )
      throw new Error("what was handed out is not what the whole file has");
    return { exit, document: { ...document, events } };
  }

  /** Only the wanted modules, from ranges of the file, which are written down. */
  async function range(bytes, { modules: wanted, budget }) {
    const ranges = [];
    const memory = memorySource(bytes);
    const source = {
      size: memory.size,
      read(offset, length, signal) {
        ranges.push([offset, offset + length]);
        return memory.read(offset, length, signal);
      },
    };
    try {
      const file = await openSource(source, { budgetBytes: budget, gapBytes: 0 });
      const whole = await documentOf(bytes, undefined, 0, budget);
      const modules = [];
      for await (const { record, decode } of file.fetchModules(wanted))
        modules.push({
          ...whole.modules.find(({ name }) => name === record.name),
          sha256: factorHashes(decode),
        });
      return { exit: 0, document: { valid: true, modules, ranges } };
    } catch (error) {
      const { exit, document } = refusal(error);
      return { exit, document: { ...document, ranges } };
    }
  }

  function refusal(error) {
    if (!library.isLqaError(error)) throw error;
    const { code, kind: name, class: letter, exitCode, offset, where, message } = error;
    return {
      exit: exitCode,
      document: { valid: false, error: { code, name, class: letter, offset, where, message } },
    };
  }

  async function documentOf(bytes, ids, depth, budget) {
    const file = await openLqa(bytes);
    const { vectors } = readIndex(bytes.subarray(64, 64 + file.prologue.indexLength));
    const omissions = [];
    let band = 0;
    const plans = vectors.plans.map((count) => vectors.bands.slice(band, (band += count)));
    const modules = file.modules.map((m, i) => {
      const record = vectors.modules[i];
      const { outSize, inSize, baseLayout, ...type } = vectors.types[record.moduleType];
      const document = {
        name: m.name,
        out: outSize,
        inp: inSize,
        base_layout: baseLayout,
        ...type,
        rank: m.rank,
        bands: plans[record.plan],
      };
      if (depth < 2) return document;
      const size = 4 * m.experts * m.rank * (m.out + m.kernel.reduce((product, k) => product * k, m.in));
      if (size <= budget)
        return { ...document, sha256: factorHashes((how) => file.decodeModule(m.name, how)) };
      omissions.push({
        where: `module ${m.name}`,
        code: "LQA-L003",
        message: "decoded weights above the budget",
      });
      return document;
    });
    const tensors = file.tensors.map((t, i) => {
      const { chunkLength, nameSuffix, nameShared, ...record } = vectors.tensors[i];
      return {
        name: t.name,
        chunk_length: chunkLength,
        name_suffix: nameSuffix,
        name_shared: nameShared,
        ...record,
        shape: t.shape,
        sha256: depth === 0 ? null : toHex(sha256(file.tensor(t).data)),
      };
    });
    const has = (type) => depth > 0 && file.sections.some((section) => section.type === type);
    return {
      valid: true,
      fileId: ids?.fileId ?? null,
      contentId: ids?.contentId ?? null,
      fileLength: file.prologue.fileLength,
      alignment: file.prologue.alignment,
      shapeFingerprint: file.shapeFingerprint,
      encodings: vectors.encodings.map(({ groupExponent, ...e }) => ({
        ...e,
        group_exponent: groupExponent,
      })),
      modules,
      tensors,
      sections: vectors.sections.map(({ tag, chunkLength, rawLength, ...s }) => ({
        tag: String.fromCharCode(...[0, 8, 16, 24].map((shift) => (tag >>> shift) & 0xff)),
        chunk_length: chunkLength,
        raw_length: rawLength,
        ...s,
      })),
      meta: has("META") ? plain(file.meta) : null,
      origin: has("ORIG") ? plain(await file.origin()) : null,
      omissions,
    };
  }

  /** SHA-256 of both factors, as f32 and f16; `decode` takes options of the library. */
  function factorHashes(decode) {
    const of = (type) => {
      const { b, a } = decode({ layout: "component", type, budgetBytes: Number.MAX_SAFE_INTEGER });
      const hash = ({ buffer, byteOffset, byteLength }) =>
        toHex(sha256(new Uint8Array(buffer, byteOffset, byteLength)));
      return { b: hash(b), a: hash(a) };
    };
    return { f32: of("f32"), f16: of("f16") };
  }

  /** MessagePack as JSON: byte strings become { bin }. */
  function plain(value) {
    if (value instanceof Uint8Array) return { bin: toHex(value) };
    if (Array.isArray(value)) return value.map(plain);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]));
  }

  const operations = { read, stream, range };
  return (bytes, command) => operations[command.operation ?? "read"](bytes, command);
}
