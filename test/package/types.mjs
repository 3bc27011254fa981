// The declarations of the package in projects of today: packs the built package, and compiles a program that uses every entry,
// with skipLibCheck off.
//
//   node test/package/types.mjs [--all] [--filter TEXT] [--counts FILE]
//
// Without --all: the compiler of this repository and es2022. With it: three versions of TypeScript, three
// libraries, two kinds of resolution, with and without @webgpu/types, after `npm ci --prefix test/package/compilers`.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: { all: { type: "boolean" }, filter: { type: "string", default: "" }, counts: { type: "string" } },
});
const root = fileURLToPath(new URL("../../", import.meta.url));
const compilers = join(root, "test/package/compilers/node_modules");

/** What a page has: no types of Node. */
const PAGE = `import { type DecodedModule, type FactorArrays, type HalfArray, open } from "lqa";
import { type GpuBuffer, type GpuDevice, uploadModule } from "lqa/webgpu";

declare const bytes: Uint8Array;
declare const device: GpuDevice;
const file = await open(bytes);
const [shape] = file.modules;
export const { b, a }: DecodedModule = await file.decode(shape!);
export const first: number = b.data.subarray(0, 1)[0]! + b.shape[0]!;
const half: DecodedModule<"f16"> = await file.decode(shape!, { type: "f16" });
export const halves: HalfArray = half.b.data;
export const sum = (halves: HalfArray): number => [...halves].reduce((x, y) => x + y, first) + halves.byteLength;
export const into: FactorArrays<"f16"> = { b: new Uint16Array(4), a: new Uint16Array(4) };
const module = await uploadModule(device, { shape: shape!, factors: (await file.packed(shape!)) });
const decoded = await module.decode();
export const buffer: GpuBuffer = decoded.b;
buffer.destroy();
export const size: number = decoded.a.size;
const remote = await open(new URL("https://example.org/a.lqa"));
for (const source of [file, remote, await open(new Blob([])), await open(new ReadableStream<Uint8Array>())])
  for await (const { name, b } of source.decodeAll({ type: "f16" })) console.log(name, b.data.byteLength);
`;
/** What a page has where types of WebGPU are declared: ours are those. */
const DECLARED = `import { uploadModule } from "lqa/webgpu";
declare const device: GPUDevice;
declare const module: Parameters<typeof uploadModule>[1];
const gpu = await uploadModule(device, module);
const { b }: { readonly b: GPUBuffer } = await gpu.decode();
const task = await gpu.prepareDecode({ b, a: { buffer: b, offset: 256 } });
const encoder: GPUCommandEncoder = device.createCommandEncoder();
task.encode(encoder);
encoder.copyBufferToBuffer(b, 0, b, 256, 16);
`;
/** What a program of Node has. */
const SERVER = `import { open } from "lqa";
import { encodeFile, openFileSource } from "lqa/node";

const file = await open(await openFileSource("a.lqa"));
export const name: string = file.modules[0]!.name;
export const report = await encodeFile("adapter", "a.lqa");
`;

const parsed = new Map();
const folder = mkdtempSync(join(tmpdir(), "lqa-types-"));
let passed = 0;
let failed = 0;
try {
  install();
  for (const setting of settings()) check(setting);
} finally {
  rmSync(folder, { recursive: true });
}
if (values.counts !== undefined) writeFileSync(values.counts, JSON.stringify({ passed, failed }));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** The packed package, and what it depends on, as a project has them. */
function install() {
  const modules = join(folder, "node_modules");
  mkdirSync(modules);
  const [{ filename }] = JSON.parse(
    execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    }),
  );
  execFileSync("tar", ["-xzf", filename], { cwd: folder });
  execFileSync("mv", ["package", "node_modules/lqa"], { cwd: folder });
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const names = [...Object.keys({ ...dependencies, ...peerDependencies }), "@types/node"];
  for (const name of [...names, "@webgpu/types"])
    mkdirSync(dirname(join(modules, name)), { recursive: true });
  for (const name of names) symlinkSync(join(root, "node_modules", name), join(modules, name));
  if (values.all) symlinkSync(join(compilers, "@webgpu/types"), join(modules, "@webgpu/types"));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  for (const [name, text] of Object.entries({ PAGE, DECLARED, SERVER }))
    writeFileSync(join(folder, `${name}.ts`), text);
}

/** What is compiled: which program, by which compiler, with which libraries, resolution and types. */
function settings() {
  const found = createRequire(import.meta.url);
  const all = values.all
    ? ["typescript-5.5", "typescript-5.9"].map((name) => createRequire(join(compilers, "x.js"))(name))
    : [];
  return [found("typescript"), ...all].flatMap((ts) =>
    (values.all ? ["es2022", "es2023", "esnext"] : ["es2022"]).flatMap((lib) =>
      (values.all ? ["nodenext", "bundler"] : ["bundler"]).flatMap((resolution) => {
        const common = { ts, lib, resolution };
        // The DOM library of TypeScript 6 has the types of WebGPU.
        const hasGpu = Number(ts.versionMajorMinor) >= 6;
        const webgpu =
          values.all && !hasGpu ? [{ ...common, program: "PAGE", types: ["@webgpu/types"] }] : [];
        if (hasGpu) webgpu.push({ ...common, program: "DECLARED", types: [] });
        else if (values.all) webgpu.push({ ...common, program: "DECLARED", types: ["@webgpu/types"] });
        return [
          { ...common, program: "PAGE", types: [] },
          ...webgpu,
          { ...common, program: "SERVER", types: ["node"] },
        ];
      }),
    ),
  );
}

function check({ ts, lib, resolution, program, types }) {
  const name = `TypeScript ${ts.version}, ${lib} + dom, ${resolution}, ${program.toLowerCase()}${types.length > 0 ? ` with ${types}` : ""}`;
  if (!name.includes(values.filter)) return;
  const nodenext = resolution === "nodenext";
  const options = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    lib: ["lib.dom.d.ts", `lib.${lib}.d.ts`],
    module: nodenext ? ts.ModuleKind.NodeNext : ts.ModuleKind.ESNext,
    moduleResolution: nodenext ? ts.ModuleResolutionKind.NodeNext : ts.ModuleResolutionKind.Bundler,
    types,
  };
  const host = ts.createCompilerHost(options);
  host.getCurrentDirectory = () => folder;
  // Most of the time is for reading the libraries: once for each compiler and kind of module.
  const key = `${ts.version} ${resolution}`;
  if (!parsed.has(key)) parsed.set(key, new Map());
  const known = parsed.get(key);
  const read = host.getSourceFile;
  host.getSourceFile = (path, ...more) => {
    if (!known.has(path)) known.set(path, read(path, ...more));
    return known.get(path);
  };
  const compiled = ts.createProgram([join(folder, `${program}.ts`)], options, host);
  const errors = ts.getPreEmitDiagnostics(compiled);
  if (errors.length === 0) passed++;
  else failed++;
  const format = {
    getCanonicalFileName: (path) => path,
    getCurrentDirectory: () => folder,
    getNewLine: () => "\n",
  };
  console.log(
    errors.length === 0
      ? `ok: ${name}`
      : `FAILED: ${name}\n${ts.formatDiagnostics(errors.slice(0, 12), format)}`,
  );
}
