/** Parents (spec 8.9): children decoded in every way, parents that do not fit, and chains. */
import { describe, expect, it } from "vitest";
import {
  DecodeMemory,
  decodeModule,
  decodeStream,
  inputLength,
  open,
  validate,
} from "../../src/core/index.ts";
import { bands, packed, shape } from "../container/fixtures.ts";
import { WAYS } from "../read/every-encoding.ts";
import {
  childModules,
  contentIdOf,
  factorsOf,
  parentModules,
  SHAPES,
  startedFamily,
  sum,
  written,
} from "./family.ts";

const parent = await written(parentModules());
const parentId = await contentIdOf(parent);
const child = await written(childModules(parentId));
/** The rests alone: the same planes without a parent. */
const rests = await factorsOf(await open(await written(childModules("", []))));
const own = await factorsOf(await open(parent));
const expected = SHAPES.map((one, i) => ({
  b: sum(rests[i]!.b, own[i]!.b, one.experts, one.out),
  a: sum(rests[i]!.a, own[i]!.a, one.experts, inputLength(one)),
}));

const bits = (data: ArrayBufferView): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
const sameBits = (x: ArrayBufferView, y: ArrayBufferView): void =>
  expect(Buffer.compare(bits(x), bits(y))).toBe(0);
const ranges = (bytes: Uint8Array) => ({
  byteLength: bytes.length,
  slice: (start: number, end?: number) => Promise.resolve(bytes.slice(start, end).buffer as ArrayBuffer),
});

describe("a child with its parent", () => {
  it("names its parent, and needs the feature", async () => {
    const file = await open(child);
    expect([...child.subarray(8, 14)]).toEqual([1, 0, 0, 0, 68, 0]);
    expect(file.parentId).toBe(parentId);
    expect(file.modules.map(({ parentModule }) => parentModule)).toEqual([0, 1, 2, 3, 4]);
    expect((await validate(child, { level: "canonical" })).error).toBeUndefined();
  });

  it("decodes to the sum of its rest and the parent's factors", async () => {
    expect(await factorsOf(await open(child, { parents: [parent] }))).toEqual(expected);
    const file = await open(child, { parents: [await open(parent)] });
    expect(await factorsOf(file)).toEqual(expected);
    expect(file.parents.map((one) => one.verified?.contentId)).toEqual([parentId]);
    const { modules } = await file.adapter();
    for (const [i, { a }] of modules.entries()) expect(a).toEqual(expected[i]!.a);
  });

  it("decodes to the same from ranges, a stream, events, and in any order", async () => {
    const parents = [ranges(parent)];
    expect(await factorsOf(await open(ranges(child), { parents }))).toEqual(expected);
    const found = [];
    const stream = decodeStream([child.slice(0, 1000), child.slice(1000)], {
      parents: [await open(parent)],
      decode: { layout: "component" },
    });
    for await (const { b, a } of stream) found.push({ b: b.data, a: a.data });
    expect(found).toEqual(expected);
    const file = await open(new Blob([child as BlobPart]), { parents: [parent] });
    const events = [];
    for await (const event of file.events())
      if (event.type === "module") {
        const { b, a } = event.decode({ layout: "component" });
        events.push({ b: b.data, a: a.data });
      }
    expect(events).toEqual(expected);
    for (const i of [3, 1, 0, 4, 2])
      expect((await file.decode(SHAPES[i]!.name, { layout: "component" })).b.data).toEqual(expected[i]!.b);
  });

  it("gives the same bits in every layout, type and memory, and rounds once", async () => {
    const file = await open(child, { parents: [parent] });
    const memory = new DecodeMemory();
    for (const way of WAYS)
      for (const [i, one] of SHAPES.entries()) {
        const { b, a } = await file.decode(one.name, way);
        // A whole module of the sums gives what this one has to.
        const whole = decodeWhole(i, way);
        sameBits(b.data, whole.b.data);
        sameBits(a.data, whole.a.data);
        const held = await file.decode(one.name, { ...way, memory });
        sameBits(held.b.data, whole.b.data);
        sameBits(held.a.data, whole.a.data);
        b.data.fill(7);
        a.data.fill(7);
        const into = { b: b.data, a: a.data };
        await file.decode(one.name, { ...way, into });
        sameBits(into.b, whole.b.data);
        sameBits(into.a, whole.a.data);
      }
  });

  /** The sums of a module, stored as they are. */
  function decodeWhole(i: number, way: (typeof WAYS)[number]) {
    const one = SHAPES[i]!;
    const none = { scales: new Uint8Array(0), zeroPoints: new Uint8Array(0) };
    const raw = { codec: "raw", element: "f32" } as const;
    const parts = (["b", "a"] as const).map((factor) => {
      const data = expected[i]![factor];
      const each = data.length / one.experts;
      return Array.from({ length: one.experts }, (_, e) => ({
        ...none,
        codes: bits(data.subarray(e * each, (e + 1) * each)),
      }));
    });
    return decodeModule(
      one,
      {
        bands: [{ components: one.rank, b: raw, a: raw }],
        planes: parts[0]!.map((b, e) => [{ b, a: parts[1]![e]! }]),
      },
      way,
    );
  }

  it("may have modules of its own, and modules of one parent", async () => {
    const numbers = [undefined, 1, 2, undefined, 4];
    const file = await open(await written(childModules(parentId, numbers)), { parents: [parent] });
    const found = await factorsOf(file);
    for (const [i, number] of numbers.entries())
      expect(found[i]).toEqual(number === undefined ? rests[i] : expected[i]);
  });

  it("has the parent in its content id", async () => {
    const other = await contentIdOf(await written(childModules(parentId.replace(/^../, "00"))));
    const without = await contentIdOf(await written(childModules(parentId, [])));
    expect(new Set([await contentIdOf(child), other, without]).size).toBe(3);
  });
});

describe("a child without its parent", () => {
  it("is opened, validated and read, but not decoded", async () => {
    const file = await open(child);
    expect((await file.verify()).contentId).toBe((await file.storedIds()).contentId);
    const { parent: missing } = await file.packed("a");
    expect(missing).toBe(parentId);
    await expect(file.decode("a")).rejects.toMatchObject({ kind: "PARENT_MISSING", exitCode: 3 });
    await expect(file.decode("a")).rejects.toThrow(parentId);
    await expect(file.adapter()).rejects.toMatchObject({ kind: "PARENT_MISSING" });
    await expect(factorsOf(await open(child, { parents: [] }))).rejects.toThrow("PARENT_MISSING");
  });

  it("is copied to the same bytes", async () => {
    const file = await open(child);
    const modules = [];
    for await (const { record, factors } of file.packedAll()) modules.push({ ...record, ...factors });
    expect(await written(modules)).toEqual(child);
  });
});

describe("a parent that does not fit", () => {
  const refused = async (bytes: Uint8Array, parents: Parameters<typeof open>[0][], kind: string) =>
    expect(open(bytes, { parents })).rejects.toMatchObject({ kind });

  it("is another file, has no such module, another shape or a larger rank", async () => {
    const other = await written(parentModules(2));
    await refused(child, [other], "PARENT_MISMATCH");
    await refused(await written(childModules(parentId, [5])), [parent], "PARENT_MISMATCH");
    await refused(await written(childModules(parentId, [1])), [parent], "PARENT_MISMATCH");
    const larger = await written([packed(shape("a", { rank: 6 }), bands(2, 4))]);
    await refused(await written(childModules(await contentIdOf(larger), [0])), [larger], "PARENT_MISMATCH");
  });

  it("states a content id that is not its own", async () => {
    // The digest list begins with the content id.
    const other = await written(parentModules(2));
    const { digests } = (await open(other)).index;
    const lie = other.slice();
    for (let i = 0; i < 32; i++)
      lie[digests.offset + i] = Number.parseInt(parentId.slice(2 * i, 2 * i + 2), 16);
    await refused(child, [lie], "PARENT_MISMATCH");
  });

  it("is what a validator says, too, at every level", async () => {
    const other = await written(parentModules(2));
    for (const level of ["structure", "values"] as const)
      for (const input of [child, ranges(child), [child]]) {
        expect((await validate(input, { level, parents: [parent] })).valid).toBe(true);
        const { error, findings } = await validate(input, { level, parents: [other] });
        expect([error?.kind, findings.length]).toEqual(["PARENT_MISMATCH", 1]);
      }
    expect((await validate(child)).warnings).toEqual([]);
  });

  it("is ignored where the file has none", async () => {
    expect((await open(parent, { parents: [child] })).parents).toEqual([]);
  });
});

describe("a chain", () => {
  /** Files one behind the other; the first has no parent. */
  async function chain(length: number): Promise<Uint8Array[]> {
    const files = [await written(childModules("", []))];
    while (files.length < length)
      files.push(await written(childModules(await contentIdOf(files.at(-1)!), undefined, 60 + files.length)));
    return files;
  }

  it("decodes by the files in any order, or open ones", async () => {
    const [a, b, c] = (await chain(3)) as [Uint8Array, Uint8Array, Uint8Array];
    const alone = async (seed: number) => factorsOf(await open(await written(childModules("", [], seed))));
    const [one, two, three] = [await alone(50), await alone(61), await alone(62)];
    const sums = SHAPES.map((_, i) => ({
      b: three[i]!.b.map((x, k) => x + Math.fround(two[i]!.b[k]! + one[i]!.b[k]!)),
      a: three[i]!.a.map((x, k) => x + Math.fround(two[i]!.a[k]! + one[i]!.a[k]!)),
    }));
    for (const parents of [[a, b], [b, a], [await open(b, { parents: [a] })], [await open(b), a]])
      expect(await factorsOf(await open(c, { parents }))).toEqual(sums);
    const file = await open(c, { parents: [b] });
    await expect(file.decode("a")).rejects.toThrow(await contentIdOf(a));
  });

  it("has a limit of generations", async () => {
    const files = await chain(7);
    const kind = async (count: number, limits: "device" | "core" | "hard") =>
      open(files[count]!, { parents: files.slice(0, count), limits }).then(
        ({ parents }) => parents.length,
        (error: { kind?: string }) => error.kind,
      );
    expect(await kind(1, "device")).toBe(1);
    expect(await kind(2, "device")).toBe("CORE_LIMIT");
    expect(await kind(4, "core")).toBe(4);
    expect(await kind(5, "core")).toBe("CORE_LIMIT");
    expect(await kind(5, "hard")).toBe(5);
  });

  it("begins with a start", async () => {
    const { first, modules, bytes } = await startedFamily();
    const rest = await factorsOf(await open(await written(modules)));
    const parent = await open(first);
    expect(parent.modules[0]!.start).toBeDefined();
    const whole = await factorsOf(parent);
    const file = await open(bytes, { parents: [first] });
    const found = await factorsOf(file);
    for (const [i, { out, in: n }] of modules.entries())
      expect(found[i]).toEqual({
        b: sum(rest[i]!.b, whole[i]!.b, 1, out),
        a: sum(rest[i]!.a, whole[i]!.a, 1, n),
      });
    const memory = new DecodeMemory();
    const into = { b: new Float32Array(found[0]!.b.length), a: new Float32Array(found[0]!.a.length).fill(3) };
    for (const how of [{ memory }, { into }] as const) {
      const { a } = await file.decode(modules[0]!.name, { layout: "component", ...how });
      expect(a.data).toEqual(found[0]!.a);
    }
  });
});
