/** Pickles: tensors are read, anything else is refused with its place, and nothing is ever run. */

import { zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { isLqaError } from "../../src/core/index.ts";
import { readTensorFile } from "../helpers/parts.ts";
import { floats } from "./build.ts";
import { archive, legacyFile, Pickle, stateDict, torchFile } from "./pickles.ts";

const read = (bytes: Uint8Array): ReturnType<typeof readTensorFile>["tensors"] =>
  readTensorFile(bytes, "x.bin").tensors;
const program = (pickle: Pickle): Uint8Array => archive(pickle.done());

describe("torch.save", () => {
  const tensors = [
    ["a", floats([2, 3], 1)],
    ["b.c", floats([4], 2, "F16")],
    ["d", floats([1], 3, "BF16")],
  ] as const;

  it.each(["archive", "legacy"] as const)("is read: %s", (form) => {
    const read = readTensorFile(torchFile(tensors, form), "x.bin").tensors;
    expect(
      [...read].map(([name, { element, shape, data }]) => [
        name,
        { element, shape, data: Uint8Array.from(data) },
      ]),
    ).toEqual(tensors.map(([name, tensor]) => [name, { ...tensor, data: Uint8Array.from(tensor.data) }]));
  });

  it("views of one storage: shared, offset, transposed", () => {
    const storage = floats([6], 1).data;
    const view = (
      begin: number,
      shape: number[],
      stride: number[],
    ): Parameters<typeof stateDict>[0][number][1] => ({
      key: "0",
      element: "F32",
      count: 6,
      begin,
      shape,
      stride,
    });
    const bytes = archive(
      stateDict([
        ["all", view(0, [6], [1])],
        ["tail", view(4, [2], [1])],
        ["turned", view(0, [3, 2], [1, 3])],
        ["same", view(2, [2, 2], [0, 0])],
      ]).done(),
      { 0: storage },
    );
    const values = (name: string): number[] => [
      ...new Float32Array(Uint8Array.from(read(bytes).get(name)!.data).buffer),
    ];
    const all = values("all");
    expect(values("tail")).toEqual(all.slice(4));
    expect(values("turned")).toEqual([0, 3, 1, 4, 2, 5].map((i) => all[i]));
    expect(values("same")).toEqual([2, 2, 2, 2].map((i) => all[i]));
  });

  it("a dictionary called state_dict, parameters", () => {
    const inner = stateDict([["a", { key: "0", element: "F32", count: 1, shape: [1] }]]);
    const outer = new Pickle()
      .op(0x7d)
      .text("state_dict")
      .op(...inner.bytes.slice(2))
      .op(0x73);
    expect([...read(archive(outer.done(), { 0: floats([1]).data })).keys()]).toEqual(["a"]);
  });
});

describe("programs that do more than build tensors are refused", () => {
  const call = (module: string, name: string): Pickle =>
    new Pickle().name(module, name).text("touch /tmp/lqa-owned").op(0x85, 0x52);
  it.each<[string, Pickle, RegExp]>([
    ["os.system", call("os", "system"), /names that belong to tensors, found "os\.system"\) at byte \d+/],
    ["posix.system", call("posix", "system"), /posix\.system/],
    ["builtins.eval", call("builtins", "eval"), /builtins\.eval/],
    ["__builtin__.exec", call("__builtin__", "exec"), /__builtin__\.exec/],
    ["subprocess.Popen", call("subprocess", "Popen"), /subprocess\.Popen/],
    ["runpy", call("runpy", "_run_code"), /runpy/],
    ["torch.load itself", call("torch", "load"), /torch\.load/],
    ["torch.hub", call("torch.hub", "load"), /torch\.hub/],
    [
      "a dotted name",
      call("torch._utils", "_rebuild_tensor_v2.__globals__"),
      /_rebuild_tensor_v2\.__globals__/,
    ],
    ["STACK_GLOBAL", new Pickle().text("os").text("system").op(0x93), /os\.system/],
    ["STACK_GLOBAL of a list", new Pickle().op(0x5d).text("system").op(0x93), /UNSAFE_PICKLE/],
    ["INST", new Pickle().op(0x28, 0x69, ...new TextEncoder().encode("os\nsystem\n")), /instruction 0x69/],
    ["OBJ", new Pickle().op(0x28).name("collections", "OrderedDict").op(0x6f), /instruction 0x6f/],
    ["NEWOBJ", new Pickle().name("collections", "OrderedDict").op(0x29, 0x81), /instruction 0x81/],
    ["NEWOBJ_EX", new Pickle().name("collections", "OrderedDict").op(0x29, 0x7d, 0x92), /instruction 0x92/],
    ["EXT1", new Pickle().op(0x82, 1), /instruction 0x82/],
    ["PERSID", new Pickle().op(0x50, 0x61, 0x0a), /instruction 0x50/],
    [
      "BUILD of a tensor",
      new Pickle().name("torch._utils", "_rebuild_tensor_v2").op(0x29, 0x52, 0x7d, 0x62),
      /state of another object/,
    ],
    ["REDUCE of no name", new Pickle().op(0x7d, 0x29, 0x52), /SOURCE_HEADER.*a name and its arguments/],
  ])("%s", (_name, pickle, message) => {
    for (const bytes of [program(pickle), pickle.done(), legacyFile(pickle.done(), [])]) {
      expect(() => readTensorFile(bytes, "x.bin")).toThrow(message);
    }
  });
});

describe("programs and archives that make no sense are errors of the file", () => {
  const view = { key: "0", element: "F32", count: 4, shape: [4] };
  const one = (change: object): Uint8Array =>
    archive(stateDict([["a", { ...view, ...change }]]).done(), { 0: new Uint8Array(16) });
  it.each<[string, Uint8Array, RegExp]>([
    ["no program", zipSync({ "archive/other": new Uint8Array(1) }), /an archive with data.pkl/],
    ["an empty program", archive(new Uint8Array()), /TRUNCATED_SOURCE/],
    ["nothing on the stack", archive(Uint8Array.of(0x80, 2, 0x2e)), /a value on the stack/],
    ["no mark", program(new Pickle().op(0x74)), /a mark on the stack/],
    ["a value that was not remembered", program(new Pickle().op(0x68, 9)), /remembered before/],
    ["a list instead of a dictionary", program(new Pickle().op(0x5d)), /a dictionary of tensors/],
    ["numbers as names", program(new Pickle().op(0x7d).int(1).int(2).op(0x73)), /names of tensors/],
    [
      "a number instead of a tensor",
      program(new Pickle().op(0x7d).text("a").int(2).op(0x73)),
      /a tensor for "a"/,
    ],
    [
      "two tensors of one name",
      archive(
        stateDict([
          ["a", view],
          ["a", view],
        ]).done(),
        { 0: new Uint8Array(16) },
      ),
      /distinct keys/,
    ],
    ["a storage that is not there", one({ key: "1" }), /TRUNCATED_SOURCE.*storage "1"/],
    ["a storage that is too small", one({ count: 5, shape: [5] }), /TRUNCATED_SOURCE/],
    ["a tensor beyond its storage", one({ begin: 1 }), /beyond its storage/],
    ["a stride beyond its storage", one({ shape: [2, 2], stride: [3, 1] }), /beyond its storage/],
    [
      "more elements than the storage, by a stride of 0",
      one({ shape: [1e9], stride: [0] }),
      /beyond its storage/,
    ],
    [
      "sizes whose product overflows",
      one({ shape: [2 ** 30, 2 ** 30], stride: [0, 0] }),
      /beyond its storage/,
    ],
    ["a negative size", one({ shape: [-1], stride: [1] }), /no sizes/],
    ["a storage of quantized numbers", one({ element: "QInt8Storage" }), /UNSAFE_PICKLE.*QInt8Storage/],
    [
      "a text that is not there",
      archive(Uint8Array.of(0x80, 2, 0x58, 0xff, 0xff, 0xff, 0x7f)),
      /TRUNCATED_SOURCE/,
    ],
    [
      "a name without end",
      archive(Uint8Array.from([0x80, 2, 0x63, ...Array(400).fill(0x61)])),
      /at most 256 bytes/,
    ],
    [
      "big-endian data",
      zipSync({ "a/data.pkl": new Pickle().op(0x7d).done(), "a/byteorder": new TextEncoder().encode("big") }),
      /little-endian/,
    ],
  ])("%s", (_name, bytes, message) => {
    expect(() => readTensorFile(bytes, "x.bin")).toThrow(message);
    try {
      readTensorFile(bytes, "x.bin");
    } catch (error) {
      expect(isLqaError(error)).toBe(true);
    }
  });

  it("a list that contains itself ends", () => {
    // [] memoized, put into itself, in a dictionary.
    const cyclic = new Pickle().op(0x5d, 0x71, 0, 0x68, 0, 0x61);
    expect(() => read(program(cyclic))).toThrow(/SOURCE_HEADER/);
  });

  it("a program of a million marks, and of a million nested tuples, ends soon", () => {
    const started = performance.now();
    expect(() => read(archive(Uint8Array.from([0x80, 2, ...Array(1e6).fill(0x28), 0x2e])))).toThrow(
      /SOURCE_HEADER/,
    );
    expect(() => read(archive(Uint8Array.from([0x80, 2, 0x29, ...Array(1e6).fill(0x85), 0x2e])))).toThrow(
      /SOURCE_HEADER/,
    );
    // A second per million instructions would already be slow; squares would take an hour.
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  it("a storage of an older file whose size is not the one that was said", () => {
    const bytes = legacyFile(stateDict([["a", view]], true).done(), [
      { key: "0", count: 3, data: new Uint8Array(12) },
    ]);
    expect(() => read(bytes)).toThrow(/SOURCE_HEADER.*4 elements/);
    const absent = legacyFile(stateDict([["a", view]], true).done(), []);
    expect(() => read(absent)).toThrow(/storage "0"/);
  });
});
