// What the library of this repository makes of a file, as a document of PROTOCOL.md. Runs in every JavaScript runtime,
// browsers included; lqa.mjs speaks the protocols with it, and the project's tests run the suite with it.

export const LEVELS = ["structure", "integrity", "values", "canonical"];
export const OPERATIONS = ["read", "stream", "range"];

/**
 * The library as a reader: a function from a command `run` and the bytes of the file to { exit, document }. The library is
 * its entry (index.ts) and three functions of its inside, for what the public interface does not tell. The function takes the bytes
 * of the parents that are given, too.
 */
export function readerOf(library, { readIndex, sha256, toHex }) {
  const { decodeModule, LqaDecoder, memorySource, open, validate } = library;

  /** As an application reads a file. Levels are a notion of the validator: at the level of a reader there is no validator here. */
  async function read(bytes, { level = "values", budget = 2 ** 29 }, parents) {
    try {
      const options = { level, budgetBytes: budget, parents };
      if (level !== "values") {
        const { error } = await validate(bytes, options);
        if (error !== undefined) return refusal(error);
      }
      const file = await open(bytes, { budgetBytes: budget, parents });
      const depth = LEVELS.indexOf(level);
      if (depth < 2) {
        const { ids } = await validate(bytes, options);
        return { exit: 0, document: await documentOf(bytes, file, ids, depth, budget) };
      }
      const ids = await file.verify();
      const whole = file.modules.reduce((sum, module) => sum + decodedBytes(module), 0) <= budget;
      const document = await documentOf(bytes, file, ids, depth, budget);
      const decoded = document.modules.every(({ sha256 }) => sha256 !== null);
      const adapter = whole && decoded ? await file.adapter() : undefined;
      adapter?.modules.forEach(({ name, a }, i) => {
        if (hashOf(a) !== document.modules[i].sha256.f32.a)
          throw new Error(`adapter() has other weights of "${name}" than decode`);
      });
      return { exit: 0, document };
    } catch (error) {
      return refusal(error);
    }
  }

  /** Pushed in pieces. The document has the weights, tensors, sections and ids that came out, and the error that was thrown. */
  async function stream(bytes, { pieces, level = "values", budget }, parents) {
    const events = [];
    const found = { modules: [], tensors: [], sections: {} };
    const receive = (event) => {
      const { type, record } = event;
      if (type === "module")
        found.modules.push(decodedBytes(record) <= budget ? weightsOf(event.decode) : undefined);
      if (type === "tensor") found.tensors.push(toHex(sha256(event.tensor.data)));
      if (type === "section" && event.map !== undefined) found.sections[record.type] = plain(event.map);
      if (record !== undefined) events.push([type, record.name ?? record.type, decoder.received]);
    };
    const family = await Promise.all(parents.map((parent) => open(parent)));
    const decoder = new LqaDecoder(receive, { budgetBytes: budget, parents: family });
    try {
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const length = pieces.length === 0 ? bytes.length : pieces[Math.min(i, pieces.length - 1)];
        await decoder.push(bytes.subarray(at, at + length));
        at += length;
      }
      const ids = await decoder.end();
      const depth = LEVELS.indexOf(level);
      const document = await documentOf(bytes, await open(bytes), ids, depth, budget, found);
      return { exit: 0, document: { ...document, events } };
    } catch (error) {
      const { exit, document } = refusal(error);
      return { exit, document: { ...document, events } };
    }
  }

  /** Only the wanted modules, from ranges of the file, which are written down. */
  async function range(bytes, { modules: wanted, budget }, parents) {
    const ranges = [];
    const memory = memorySource(bytes);
    const source = {
      size: memory.size,
      // Memory does not change: chunks are handed out by their CRC-32, as the suite expects.
      stable: memory.stable,
      read(offset, length, signal) {
        ranges.push([offset, offset + length]);
        return memory.read(offset, length, signal);
      },
    };
    try {
      const file = await open(source, { budgetBytes: budget, gapBytes: 0, parents });
      const whole = await documentOf(bytes, await open(bytes), undefined, 0, budget);
      const modules = [];
      for await (const { record, decode } of file.packedAll({ modules: wanted }))
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

  const decodedBytes = (m) =>
    4 * m.experts * m.rank * (m.out + m.kernel.reduce((product, k) => product * k, m.in));

  /** What a file holds, as deep as `depth`; weights, tensors and sections as `found`, or else as the open file gives them. */
  async function documentOf(bytes, file, ids, depth, budget, found = undefined) {
    const { vectors } = readIndex(bytes.subarray(64, 64 + file.prologue.indexLength));
    const omissions = [];
    let band = 0;
    const plans = vectors.plans.map((count) => vectors.bands.slice(band, (band += count)));
    const modules = [];
    for (const [i, m] of file.modules.entries()) {
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
        ...(file.parentId && { parent_module: m.parentModule === undefined ? 0 : m.parentModule + 1 }),
      };
      modules.push(document);
      if (depth < 2) continue;
      if (decodedBytes(m) <= budget) {
        const packed = found?.modules[i] === undefined ? await file.packed(m) : undefined;
        document.sha256 = found?.modules[i] ?? weightsOf((how) => decodeModule(m, packed, how));
        if (document.sha256 === null)
          omissions.push({
            where: `module ${m.name}`,
            code: "LQA-U010",
            message: "the parent was not given",
          });
      } else
        omissions.push({
          where: `module ${m.name}`,
          code: "LQA-L003",
          message: "decoded weights above the budget",
        });
    }
    const tensors = [];
    for (const [i, t] of file.tensors.entries()) {
      const { chunkLength, nameSuffix, nameShared, ...record } = vectors.tensors[i];
      tensors.push({
        name: t.name,
        chunk_length: chunkLength,
        name_suffix: nameSuffix,
        name_shared: nameShared,
        ...record,
        shape: t.shape,
        sha256: depth < 2 ? null : (found?.tensors[i] ?? toHex(sha256((await file.tensor(t)).data))),
      });
    }
    const has = (type) => depth > 0 && file.sections.some((section) => section.type === type);
    return {
      valid: true,
      fileId: ids?.fileId ?? null,
      contentId: ids?.contentId ?? null,
      fileLength: file.prologue.fileLength,
      alignment: file.prologue.alignment,
      ...(file.parentId && { parent: file.parentId }),
      shapeFingerprint: await file.shapeFingerprint(),
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
      meta: has("META") ? (found?.sections.META ?? plain(await file.meta())) : null,
      origin: has("ORIG") ? (found?.sections.ORIG ?? plain(await file.origin())) : null,
      omissions,
    };
  }

  const hashOf = ({ buffer, byteOffset, byteLength }) =>
    toHex(sha256(new Uint8Array(buffer, byteOffset, byteLength)));

  /** SHA-256 of both factors, as f32 and f16; null for one of sums that f16 cannot hold. `decode` takes options of the library. */
  function factorHashes(decode) {
    const more = { layout: "component", budgetBytes: Number.MAX_SAFE_INTEGER };
    const { b, a } = decode({ ...more, type: "f32" });
    const f32 = { b: hashOf(b.data), a: hashOf(a.data) };
    const into = { b: new Uint16Array(b.data.length), a: new Uint16Array(a.data.length) };
    let f16 = true;
    try {
      decode({ ...more, type: "f16", into });
    } catch (error) {
      if (!library.isLqaError(error, "NONFINITE_VALUE")) throw error;
      f16 = false;
    }
    const fits = (bits) => f16 || bits.every((half) => (half & 0x7c00) !== 0x7c00);
    const hashed = (bits) => (fits(bits) ? hashOf(bits) : null);
    return { f32, f16: { b: hashed(into.b), a: hashed(into.a) } };
  }

  /** The same; null where the parent is missing. */
  function weightsOf(decode) {
    try {
      return factorHashes(decode);
    } catch (error) {
      if (!library.isLqaError(error, "PARENT_MISSING")) throw error;
      return null;
    }
  }

  /** MessagePack as JSON: byte strings become { bin }. */
  function plain(value) {
    if (value instanceof Uint8Array) return { bin: toHex(value) };
    if (Array.isArray(value)) return value.map(plain);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]));
  }

  const operations = { read, stream, range };
  return (bytes, command, parents = []) => operations[command.operation ?? "read"](bytes, command, parents);
}
