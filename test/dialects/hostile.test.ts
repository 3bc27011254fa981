/**
 * Source files that cost an attacker little and would cost a reader much: each is refused by name, and at once.
 */

import { zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import { type Adapter, isLqaError, type Origin, type PlainTensor } from "../../src/core/index.ts";
import { shape } from "../container/fixtures.ts";
import { gguf } from "../helpers/gguf.ts";
import { writeSafetensors } from "../helpers/safetensors.ts";
import { floats } from "./build.ts";
import { Pickle } from "./pickles.ts";
import { onnxAdapter } from "./small.ts";

/** The error that reading one file gives. */
function refusal(name: string, bytes: Uint8Array): { kind: string; message: string } {
  try {
    readAdapter(new Map([[name, bytes]]));
  } catch (error) {
    if (isLqaError(error)) return error;
    throw error;
  }
  throw new Error("was read");
}

/** A list that holds itself twice, `depth` times over: 2^depth items in 6 bytes a level. */
function doubled(pickle: Pickle, depth: number): Pickle {
  pickle.op(0x5d, 0x71, 0);
  for (let i = 1; i <= depth; i++) pickle.op(0x68, i - 1, 0x68, i - 1, 0x86, 0x71, i);
  return pickle;
}

function npy(header: string): Uint8Array {
  const text = Buffer.from(header);
  return Buffer.concat([
    Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, text.length & 255, text.length >> 8]),
    text,
    Buffer.alloc(32),
  ]);
}

describe("pickles", () => {
  it("of protocols 0 and 1 are called what they are", () => {
    // By Python: pickle.dumps of {"a": [1]}, of an OrderedDict and of os.system, with protocols 0 and 1.
    for (const text of [
      "(dp0\nVa\np1\n(lp2\nI1\nas.",
      "}q\0X\x01\0\0\0aq\x01]q\x02K\x01as.",
      "ccollections\nOrderedDict\np0\n((lp1\ntp2\nRp3\n.",
      "cposix\nsystem\np0\n(Vid\np1\ntp2\nRp3\n.",
    ]) {
      const { kind, message } = refusal("adapter_model.bin", Buffer.from(text, "latin1"));
      expect(kind).toBe("UNSUPPORTED_DIALECT");
      expect(message).toContain("found a Python pickle of protocol 0 or 1");
    }
  });

  it("show no value that is 2^60 items when written out", () => {
    const key = doubled(new Pickle().op(0x7d, 0x71, 100), 60).op(0x68, 100, 0x68, 60, 0x4e, 0x73);
    const tensors = Uint8Array.from(key.done());
    expect(refusal("a.bin", tensors).message).toContain("names of tensors, found a list");
    const twice = key.op(0x68, 60, 0x4e, 0x73).done();
    expect(refusal("a.bin", twice).message).toContain("distinct keys, found a list");
    const name = doubled(new Pickle(), 60).text("torch").op(0x68, 60, 0x93);
    expect(refusal("a.bin", name.done()).message).toContain("names that belong to tensors, found a list");
  });

  it("copy no list of pairs again and again", () => {
    const pickle = new Pickle().op(0x5d, 0x28);
    for (let i = 0; i < 1000; i++) pickle.int(i).op(0x4e, 0x86);
    pickle.op(0x65, 0x85, 0x71, 0).name("collections", "OrderedDict").op(0x71, 1);
    for (let i = 0; i < 10_000; i++) pickle.op(0x68, 1, 0x68, 0, 0x52, 0x71, 2);
    expect(refusal("a.bin", pickle.done()).message).toContain("BUDGET");
  });

  it("have a bounded number of values", () => {
    const filled = (count: number, ...program: readonly number[]): Uint8Array => {
      const bytes = new Uint8Array(count).fill(program.at(-1)!);
      bytes.set([0x80, 2, ...program]);
      return bytes;
    };
    const said = (bytes: Uint8Array): string => refusal("a.bin", bytes).message;
    // NONE; NONE and MEMOIZE; protocol numbers, which make no value.
    expect(said(filled(2 ** 17, 0x4e))).toContain("at most 65536 values on the stack");
    expect(said(filled(2 ** 21, 0x4e, 0x94))).toContain("at most 1048576 remembered values");
    expect(said(filled(2 ** 23 + 8, 0x80))).toMatch(/BUDGET.*at most 4194304 steps/);
    // EMPTY_DICT and BUILD, which takes the one from the stack.
    const dictionaries = filled(2 ** 20, 0x7d).map((byte, i) => (i > 3 && i % 2 === 0 ? 0x62 : byte));
    expect(said(dictionaries)).toMatch(/BUDGET.*at most 262144 objects/);
  });

  it("make no thousand tensors of one storage", () => {
    const pickle = new Pickle().op(0x7d, 0x28);
    for (let i = 0; i < 1000; i++) {
      pickle.text(`m${i}.lora_A`).name("torch._utils", "_rebuild_tensor_v2").op(0x28, 0x28);
      pickle.text("storage").name("torch", "FloatStorage").text("0").text("cpu").int(65536).op(0x74, 0x51);
      pickle.int(0).ints([256, 256]).ints([256, 1]).op(0x89, 0x4e, 0x74, 0x52);
    }
    const archive = zipSync(
      { "a/data.pkl": pickle.op(0x75).done(), "a/data/0": new Uint8Array(262144) },
      { level: 0 },
    );
    expect(refusal("a.bin", archive).message).toMatch(/tensors of at most \d+ bytes in total/);
  });
});

describe("archives", () => {
  it("do not grow beyond what weights can", () => {
    const archive = zipSync({ "lora_a.npy": new Uint8Array(32 * 2 ** 20) }, { level: 9 });
    expect(archive.length).toBeLessThan(40_000);
    expect(refusal("a.npz", archive).message).toMatch(
      /expected at most 17\d+ bytes unpacked, found 33554432/,
    );
  });

  it("hold no header that a pattern takes forever to refuse", () => {
    const shape = "1".repeat(1000);
    const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape}!), }`;
    const archive = zipSync({ "x.lora_a.npy": npy(header) }, { level: 0 });
    expect(refusal("a.npz", archive).message).toContain("a header as NumPy writes it");
  });

  it("read the shapes that NumPy writes", () => {
    for (const shape of ["", "8,", "2, 4", "2, 2, 2"]) {
      const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape}), }\n`;
      const archive = zipSync({ "x.lora_a.npy": npy(header) }, { level: 0 });
      const { message } = refusal("a.npz", archive);
      expect(message).not.toContain("a header as NumPy writes it");
    }
  });
});

describe("names of tensors", () => {
  it("are no longer than patterns can take apart", () => {
    const key = `${".lora_A".repeat(2000)}!`;
    const tensors = new Map([[key, floats([2, 2])]]);
    expect(refusal("a.safetensors", writeSafetensors(tensors)).message).toContain("at most 4096 characters");
    const onnx = onnxAdapter([...tensors]);
    expect(refusal("a.onnx_adapter", onnx).message).toContain("at most 4096 characters");
  });
});

describe("adapters decoded from files that anyone could have written", () => {
  const adapter = (
    origin: Origin | undefined,
    shapes: { rank: number; out: number }[],
    tensor?: PlainTensor,
  ): Adapter => ({
    modules: shapes.map(({ rank, out }, i) => ({
      ...shape(`blk.${i}.attn_q`, { out, in: 1, rank, multiplier: 1, alpha: 0, rule: "none" }),
      get b() {
        return new Float32Array(out * rank);
      },
      a: new Float32Array(rank),
    })),
    tensors: tensor === undefined ? [] : [tensor],
    origin,
    meta: {},
  });
  const one = [{ rank: 1, out: 1 }];
  const carrying = (pairs: Uint8Array): Origin => ({ dialect: "gguf", element: "F32", pairs });
  const refused = (kind: string, message: RegExp, given: Adapter, options = {}): void => {
    try {
      writeAdapter(given, { factors: "source", ...options });
    } catch (error) {
      expect(error).toMatchObject({ kind, message: expect.stringMatching(message) });
      return;
    }
    expect.fail("was written");
  };
  const carried = (element: PlainTensor["element"], data: Uint8Array): PlainTensor => ({
    name: "blk.0.attn_norm.weight",
    role: "carried",
    axis: 0,
    element,
    shape: [1],
    data,
  });

  it("hold no type that the container lacks", () => {
    const tensor = carried("I32", new Uint8Array(4));
    refused(
      "UNSUPPORTED_DIALECT",
      /F32, F16 or BF16.*found I32/,
      adapter(carrying(new Uint8Array()), one, tensor),
    );
  });

  it("get no gigabytes of padding between the tensors of a GGUF file", () => {
    // Its pairs begin behind the header of 24 bytes.
    const pairs = gguf({ metadata: [["general.alignment", [4, 2 ** 30]]] }).subarray(24);
    refused("BUDGET", /at most 67108864 bytes of padding/, adapter(carrying(pairs), [...one, ...one]));
  });

  it.each([{ to: "mlx" }, { to: "peft", portable: true }])(
    "get no gigabytes of zeros as rank: %j",
    (options) => {
      const shapes = [
        { rank: 1, out: 2 ** 24 },
        { rank: 1024, out: 1 },
      ];
      refused(
        "BUDGET",
        /1 modules padded to rank 1024.*at most 1073741824 weights/,
        adapter(undefined, shapes),
        options,
      );
    },
  );
});
