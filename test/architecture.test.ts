/**
 * The house rules of the sources, checked: which folder may import which, no circles, nothing of Node in what browsers
 * load, a paragraph at the head of every file, and no file too long to read.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, posix, sep } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";

/**
 * Folder (or file) of src/ to the folders whose values it may import. Its own folder and the files every folder may use
 * (errors, limits, the work meter) go without saying; types may come from `model` and from what stands left of it in the data flow.
 */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  "errors.ts": ["error-catalogue.ts"],
  "error-catalogue.ts": [],
  "error-list.ts": ["error-catalogue.ts"],
  "limits.ts": [],
  "meter.ts": [],
  model: [],
  dialects: ["model", "codecs"],
  wasm: [],
  linalg: ["wasm"],
  codecs: ["wasm"],
  quantize: ["model", "linalg", "codecs"],
  container: ["model", "codecs"],
  read: ["model", "container", "codecs", "io"],
  write: ["model", "container", "codecs"],
  io: [],
  validate: ["model", "read", "container", "codecs", "io"],
  serve: ["model", "read", "container", "codecs", "io", "wasm"],
  // Only through the entry `lqa/webgpu`.
  webgpu: ["model", "container", "codecs", "serve"],
  // Node only: threads around the tasks of encoding and decoding.
  workers: ["model", "quantize", "container", "read", "error-list.ts"],
  // Where the rooms meet: an adapter goes through all of them on its way into a file.
  "encode.ts": ["model", "codecs", "quantize", "write", "container", "version.ts"],
  // Builds the one file that the payloads of a damaged one belong to.
  "repair.ts": ["model", "container", "read", "validate"],
  // What was encoded or read, compared and drawn.
  report: ["model", "quantize", "encode.ts", "codecs", "container", "read", "validate", "io"],
  // Reads two models through ranges, decomposes their difference, and is no part of the way into a file.
  extract: ["model", "dialects", "linalg", "container", "io"],
  "version.ts": [],
  // An adapter added to its base model, tensor by tensor.
  merge: ["model", "dialects", "extract", "read"],
  // Adapters of a directory or bucket through a queue; what it does to one is what encode-file.ts does.
  fleet: ["model", "quantize", "io", "validate", "report", "serve", "workers", "encode-file.ts"],
  "fleet.ts": ["*"],
  "extract-file.ts": ["*"],
  "convert-file.ts": ["*"],
  "decode-file.ts": ["*"],
  "read-valid.ts": ["model", "io", "read", "validate"],
  "merge-file.ts": ["*"],
  "base-digest.ts": ["*"],
  "signature.ts": ["dialects", "io", "validate"],
  "encode-file.ts": ["*"],
  "encode-many.ts": ["*"],
  "index.ts": ["*"],
  "node.ts": ["*"],
  "webgpu.ts": ["webgpu"],
  cli: ["*"],
};
const EVERYWHERE = ["errors.ts", "error-catalogue.ts", "limits.ts", "meter.ts"];
/** Above this a file is no longer about one thing. */
const MAX_LINES = 400;

const root = fileURLToPath(new URL("../src", import.meta.url));

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

const files = readdirSync(root, { recursive: true })
  .map((name) => String(name).split(sep).join("/"))
  .filter((name) => /\.(ts|js)$/.test(name) && statSync(join(root, name)).isFile())
  .sort();
const texts = new Map(files.map((name) => [name, readFileSync(join(root, name), "utf8")]));
const imports = files.flatMap((name) => importsOf(name, texts.get(name)!));

/** Static and dynamic imports and re-exports of a file. */
function importsOf(from: string, text: string): Import[] {
  const found: Import[] = [];
  const add = (to: string, typeOnly: boolean): void => {
    found.push({ from, to: resolveImport(from, to), typeOnly });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      const names = node.importClause?.namedBindings;
      const list = names !== undefined && ts.isNamedImports(names) ? [...names.elements] : undefined;
      const inline = list !== undefined && list.length > 0 && list.every((name) => name.isTypeOnly);
      add(node.moduleSpecifier.text, node.importClause?.isTypeOnly === true || inline);
    } else if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
      const clause = node.exportClause;
      const list = clause !== undefined && ts.isNamedExports(clause) ? [...clause.elements] : [];
      const inline = list.length > 0 && list.every((name) => name.isTypeOnly);
      add((node.moduleSpecifier as ts.StringLiteral).text, node.isTypeOnly || inline);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [to] = node.arguments;
      if (to !== undefined && ts.isStringLiteral(to)) add(to.text, false);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(from, text, ts.ScriptTarget.ES2022));
  return found;
}

function resolveImport(from: string, to: string): string {
  return to.startsWith(".") ? posix.join(dirname(from), to) : to;
}

function folderOf(name: string): string {
  return name.includes("/") ? name.slice(0, name.indexOf("/")) : name;
}

const isGenerated = (name: string): boolean =>
  name.includes("generated/") || /^error-(catalogue|list)\.ts$/.test(name);
const isPackageFile = (to: string): boolean => /^@[a-z]+\//.test(to);
const isInternal = (to: string): boolean => files.includes(to);

/** Entries of the package: what it exports, its program, and what is started as a worker. */
const ENTRIES = ["index.ts", "node.ts", "webgpu.ts", "fleet.ts", "cli/main.ts", "workers/worker.ts"];

/** Files reached from `start` by imports that exist at run time, and with `types` by those of types too. */
function reachable(start: string, types = false): Set<string> {
  const seen = new Set<string>();
  const queue = [start];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    for (const { from, to, typeOnly } of imports) {
      if (from === name && (types || !typeOnly)) queue.push(to);
    }
  }
  return seen;
}

/** A decoder that drops a leading U+FEFF, so that a name of the file is another one in memory. */
const DROPS_U_FEFF = /new TextDecoder\((?!"latin1"|"utf-8", \{[^}]*ignoreBOM: true)/;

describe("the architecture of src/", () => {
  it("is found", () => {
    expect(files).toContain("index.ts");
    expect(imports.length).toBeGreaterThan(files.length);
  });

  it("knows every folder", () => {
    expect(files.map(folderOf).filter((folder) => ALLOWED[folder] === undefined)).toEqual([]);
  });

  it("imports only files that exist, with their endings", () => {
    const packages = /^(node:[a-z_/]+|(@[a-z-]+\/)?[a-z0-9-]+(\/[a-z0-9./-]+)?)$/;
    const broken = imports.filter(({ to }) =>
      /\.[a-z]+$/.test(to) ? !isInternal(to) && !isPackageFile(to) : !packages.test(to),
    );
    expect(broken).toEqual([]);
  });

  it("imports from left to right only", () => {
    const wrong = imports.filter(({ from, to, typeOnly }) => {
      if (!isInternal(to) || EVERYWHERE.includes(to)) return false;
      const source = folderOf(from);
      const target = folderOf(to);
      if (source === target || (typeOnly && target === "model")) return false;
      const allowed = ALLOWED[source] ?? [];
      return !allowed.includes("*") && !allowed.includes(target);
    });
    expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });

  it("keeps a leading U+FEFF wherever it decodes UTF-8", () => {
    expect(files.filter((name) => DROPS_U_FEFF.test(texts.get(name)!))).toEqual([]);
  });

  it("ships no file that no entry reaches", () => {
    const reached = new Set(ENTRIES.flatMap((entry) => [entry, ...reachable(entry, true)]));
    expect(files.filter((name) => !name.endsWith(".d.ts") && !reached.has(name))).toEqual([]);
  });

  it("has no circles", () => {
    const circles = files.filter((name) =>
      imports.some(
        ({ from, to, typeOnly }) => from === name && !typeOnly && isInternal(to) && reachable(to).has(name),
      ),
    );
    expect(circles).toEqual([]);
  });

  it("touches files in io/ alone; the program also reads what its own package holds", () => {
    const touching = imports.filter(({ to }) => /^node:(fs|fs\/promises)$/.test(to)).map(({ from }) => from);
    const own = ["cli/run.ts", "cli/commands/explain.ts"];
    expect(touching.filter((name) => folderOf(name) !== "io" && !own.includes(name))).toEqual([]);
  });

  it("keeps Node out of what browsers load", () => {
    for (const entry of ["index.ts", "webgpu.ts"])
      expect([...reachable(entry)].filter((name) => name.startsWith("node:"))).toEqual([]);
  });

  it("keeps shaders out of what everybody loads, and everything but packed modules out of what draws on them", () => {
    const shaders = (name: string): boolean => folderOf(name) === "webgpu";
    expect([...reachable("node.ts"), ...reachable("index.ts")].filter(shaders)).toEqual([]);
    const folders = new Set([...reachable("webgpu.ts")].filter(isInternal).map(folderOf));
    for (const folder of ["dialects", "quantize", "linalg", "read", "io"])
      expect(folders).not.toContain(folder);
  });

  it("opens every file with a paragraph", () => {
    const bare = files.filter((name) => {
      const text = texts.get(name)!.replace(/^#!.*\n/, "");
      const documented = name.endsWith(".d.ts") || /^\/\*\*[\s\S]+?@module/.test(text);
      return isGenerated(name) || /^\/\/ Generated from/.test(text) ? false : !documented;
    });
    expect(bare).toEqual([]);
  });

  it(`has no file above ${MAX_LINES} lines`, () => {
    const long = files.filter(
      (name) => !isGenerated(name) && texts.get(name)!.split("\n").length > MAX_LINES + 1,
    );
    expect(long).toEqual([]);
  });
});
