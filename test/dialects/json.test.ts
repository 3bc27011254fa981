/** The JSON reader: strict where JSON.parse is lax, the same where both accept. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type JsonValue, parseJson } from "../../src/adapters/json.ts";
import { ERRORS, isLqaError } from "../../src/core/index.ts";
import { bytesOf } from "./build.ts";

const parse = (text: string): JsonValue => parseJson(bytesOf(text), ERRORS.SOURCE_CONFIG, "test");

/** The value as JSON.parse would give it. */
function plain(value: JsonValue): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (!(value instanceof Map)) return value;
  const object: Record<string, unknown> = Object.create(null);
  for (const [key, item] of value) object[key] = plain(item);
  return object;
}

describe("JSON", () => {
  it("reads what JSON.stringify writes, at any indentation", () => {
    const value = fc.jsonValue({ maxDepth: 4, noUnicodeString: false } as never);
    fc.assert(
      fc.property(value, fc.nat(3), (json, indent) => {
        const text = JSON.stringify(json, null, indent);
        fc.pre(!/\\ud[89a-f]/i.test(text) && !/:?\d{17,}/.test(text));
        expect(JSON.stringify(plain(parse(text)))).toBe(JSON.stringify(JSON.parse(text)));
      }),
    );
  });

  it("keeps objects in the order of the text, integer-like keys too", () => {
    const value = parse('{"b":1,"10":2,"2":3,"__proto__":4,"a":5}') as Map<string, JsonValue>;
    expect([...value]).toEqual([
      ["b", 1],
      ["10", 2],
      ["2", 3],
      ["__proto__", 4],
      ["a", 5],
    ]);
  });

  it.each([
    ["an empty text", "", 0],
    ["a repeated key", '{"a":1,"a":2}', 7],
    ["a repeated key, escaped", '{"a":1,"\\u0061":2}', 7],
    ["a comment", "{} // x", 3],
    ["a second value", "1 2", 2],
    ["a trailing comma", "[1,]", 3],
    ["NaN", "[NaN]", 1],
    ["Infinity", "[-Infinity]", 1],
    ["1e400", "[1e400]", 1],
    ["2^53", "9007199254740992", 0],
    ["a leading zero", "[01]", 1],
    ["a bare minus", "[-]", 1],
    ["a leading plus", "[+1]", 1],
    ["a trailing dot", "[1.]", 1],
    ["a lone surrogate", '["\\ud83d"]', 2],
    ["a byte order mark", "\ufeff1", 0],
    ["single quotes", "['a']", 1],
    ["a misspelt word", "[nul]", 1],
    ["an unclosed list", "[1", 2],
    ["an unclosed object", '{"a":1', 6],
    ["a missing colon", '{"a" 1}', 5],
    ["a short escape", '"\\u12"', 5],
  ])("refuses %s, with its position", (_name, text, offset) => {
    const error = catchError(() => parse(text));
    expect(error).toMatchObject({ kind: "SOURCE_CONFIG", offset });
  });

  it("refuses nesting deeper than 32 without overflowing the stack", () => {
    expect(() => parse("[".repeat(32) + "]".repeat(32))).not.toThrow();
    expect(() => parse("[".repeat(33) + "]".repeat(33))).toThrow(/SOURCE_CONFIG/);
    expect(() => parse('{"a":'.repeat(5e5))).toThrow(/SOURCE_CONFIG/);
  });

  it("fails with nothing but its own errors on any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          parseJson(bytes, ERRORS.SOURCE_CONFIG, "test");
        } catch (error) {
          if (!isLqaError(error, "SOURCE_CONFIG")) throw error;
        }
      }),
    );
  });
});

function catchError(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error("did not fail");
}
