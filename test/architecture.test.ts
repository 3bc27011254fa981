/**
 * The house rules of the sources, checked: which folder may import which, no circles, nothing of Node in what browsers
 * load, a paragraph at the head of every file, and no file too long to read.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, posix, sep } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const CORE = ["core", "core/codecs", "core/container", "core/read", "core/validate", "core/write"];
const ENCODE = ["encode", "encode/quantize", "encode/linalg", "encode/start"];
const NODE = ["node", "node/files", "node/objects", "node/remote", "node/workers"];
/**
 * Each room of src/, and the rooms whose values it may import: arrows down only. A room in a room (`core/read`) has an entry
 * of its own; the one above it is its entry point. Its own folder and the files every room may use (errors, limits, the work
 * meter) are not listed. What everybody may use is `model`, `common` and `io`.
 */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  "errors.ts": ["error-catalogue.ts"],
  "error-catalogue.ts": [],
  "limits.ts": [],
  "floats.ts": [],
  "meter.ts": [],
  "version.ts": [],
  model: [],
  // What knows nothing of the format: bytes, hashes, a random generator, WebAssembly; where bytes come from.
  common: [],
  io: [],

  // The format. It knows nobody.
  "core/codecs": [],
  "core/container": ["core/codecs"],
  "core/read": ["core/container", "core/codecs"],
  "core/write": ["core/container", "core/codecs"],
  "core/validate": ["core/read", "core/container", "core/codecs"],
  core: [...CORE, "version.ts"],

  "encode/linalg": ["core"],
  // The recovery of a start is loaded by who looks for one.
  "encode/start": ["core"],
  "encode/quantize": ["encode/linalg", "core"],
  encode: [...ENCODE, "core", "version.ts"],

  adapters: ["core"],

  // Packed modules in memory, and on a graphics card.
  serve: ["core"],
  webgpu: ["serve", "core"],

  report: ["core", "encode"],

  // Paths, threads, whole files.
  "node/files": ["core/validate"],
  // Object storage.
  "node/objects": ["node/files", "node/remote", "serve", "core/validate"],
  "node/remote": ["node/files"],
  "node/workers": ["node/files", "encode/quantize", "core/codecs", "core/container", "core/read"],
  node: [...NODE, ...ENCODE, ...CORE, "adapters", "serve"],
  cli: ["*"],
};
const EVERYWHERE = ["errors.ts", "error-catalogue.ts", "limits.ts", "meter.ts", "floats.ts"];
/** Rooms with rooms. */
const NESTED = ["core", "encode", "node"];
/** Rooms with a door: entries of the package. */
const ROOMS = ["core", "encode", "adapters", "serve", "webgpu", "report", "node"];
/** The entries of the package, by which rooms and users enter. */
const DOORS = [...ROOMS.map((room) => `${room}/index.ts`), "core/format.ts"];
/** Doors between the rooms of this package alone, and their names at most: they should become fewer. */
const INNER_DOORS: Readonly<Record<string, number>> = {
  "core/reading.ts": 3,
  "core/rooms.ts": 25,
  "encode/rooms.ts": 5,
};
/** The program. Its commands import the files that they run, and not doors, which would load more. */
const PROGRAM = ["node", "cli"];
/**
 * Names that two files of src/ export with two meanings: `run` is that of every command, and the public types `PackedModule` and
 * `ReadOptions` belong to two entries each. `CONFIG_FILE` means the same in both rooms, of which neither may import the other.
 */
const EXPORTED_TWICE = ["CONFIG_FILE", "PackedModule", "ReadOptions", "run"];
/** Names of `lqa/format` at most. */
const MOST_OF_FORMAT = 40;
/** The modules of src/ that each command loads at most, before it meets what needs more. */
const MOST_MODULES: Readonly<Record<string, number>> = {
  compare: 275,
  completion: 30,
  convert: 180,
  decode: 185,
  diff: 265,
  encode: 298,
  explain: 30,
  inspect: 90,
  man: 30,
  push: 280,
  rebase: 200,
  validate: 120,
};
/** The names of codecs, and the one file outside of core/codecs that may have them: the encoder's table. */
const CODECS = ["zero", "raw", "affine", "sign", "trellis"];
const CODERS = "encode/quantize/coders.ts";
/** What else is called so: the profiles `raw` and `sign`, where they are chosen, compared and drawn. */
const OF_THAT_NAME = [
  "cli/encode-options.ts",
  "encode/quantize/profile.ts",
  "node/rebase-file.ts",
  "report/compare.ts",
  "report/rd-curve-svg.ts",
];
/** Above this a file is no longer about one thing. */
const MAX_LINES = 400;
/** Above this a function should be several. */
const MAX_FUNCTION = 60;
/**
 * The functions that are longer, as `file name`, and why: one loop over bytes or candidates, whose state would become parameters;
 * or an object of short functions over shared state, made without a class because callers may copy it or because engines
 * optimize it better. Browsers load those of `core/container` first: in parts they are larger than the limits of size allow.
 * Nothing may be added.
 */
const LONG_FUNCTIONS = [
  // Loops.
  "core/container/meta.ts decodeMeta",
  "core/container/meta.ts item",
  "core/container/shared-read.ts readPlans",
  "core/container/shared-read.ts readType",
  "core/read/verify.ts bodySteps",
  "core/read/verify.ts chunk",
  "encode/quantize/affine-search.ts exactSearch",
  "encode/quantize/affine-search.ts (anonymous)",
  "encode/quantize/rd/rd.ts quantizeRd",
  // Objects.
  "core/container/names.ts nameReader",
  "core/container/records-read.ts moduleReader",
  "core/container/tensor-records.ts tensorReader",
  "core/read/file.ts verbsOf",
  "encode/linalg/kernels/dense-kernel.ts denseKernelEngine",
  "node/objects/s3-objects.ts s3Objects",
];

const root = fileURLToPath(new URL("../src", import.meta.url));

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
  /** By `import()`: loaded when it is needed. */
  readonly later: boolean;
}

const files = readdirSync(root, { recursive: true })
  .map((name) => String(name).split(sep).join("/"))
  .filter((name) => /\.(ts|js)$/.test(name) && statSync(join(root, name)).isFile())
  .sort();
const texts = new Map(files.map((name) => [name, readFileSync(join(root, name), "utf8")]));
/** Sources that were parsed, by path from src/. */
const parsed = new Map<string, ts.SourceFile>();
function sourceOf(name: string, read: () => string): ts.SourceFile {
  const source = parsed.get(name) ?? ts.createSourceFile(name, read(), ts.ScriptTarget.ES2022, true);
  parsed.set(name, source);
  return source;
}
const textOf = (name: string) => (): string => texts.get(name)!;
const importsBy = new Map(files.map((name) => [name, importsOf(name, textOf(name))]));
const imports = [...importsBy.values()].flat();

/** Static and dynamic imports and re-exports of a file. */
function importsOf(from: string, text: () => string): Import[] {
  const found: Import[] = [];
  const add = (to: string, typeOnly: boolean, later = false): void => {
    found.push({ from, to: resolveImport(from, to), typeOnly, later });
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
      if (to !== undefined && ts.isStringLiteral(to)) add(to.text, false, true);
    }
    ts.forEachChild(node, visit);
  };
  visit(sourceOf(from, text));
  return found;
}

function resolveImport(from: string, to: string): string {
  return to.startsWith(".") ? posix.join(dirname(from), to) : to;
}

/** The name of a function; that of the variable for a function expression, or of the function around it. */
function nameOf(node: ts.SignatureDeclaration): string {
  if (node.name !== undefined) return node.name.getText();
  return ts.isVariableDeclaration(node.parent) ? node.parent.name.getText() : "(anonymous)";
}

/** The room of a file; a file at the root of src/ is its own. */
function folderOf(name: string): string {
  const [room, inner, ...rest] = name.split("/");
  return rest.length > 0 && NESTED.includes(room!) ? `${room}/${inner}` : room!;
}

const isGenerated = (name: string): boolean => name.includes("generated/") || name === "error-catalogue.ts";
const isPackageFile = (to: string): boolean => /^@[a-z]+\//.test(to);
const isInternal = (to: string): boolean => texts.has(to);

/** Entries of the package: what it exports, its program, and what is started as a worker. */
const ENTRIES = [...DOORS, ...Object.keys(INNER_DOORS), "cli/main.ts", "node/workers/worker.ts"];

/** Files reached from `start` by imports that exist at run time, with `types` by those of types too, and without `later` at once. */
function reachable(start: string, types = false, later = true): Set<string> {
  const seen = new Set<string>();
  const queue = [start];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    for (const { to, typeOnly, later: atNeed } of importsBy.get(name) ?? []) {
      if ((types || !typeOnly) && (later || !atNeed)) queue.push(to);
    }
  }
  return seen;
}

/** A decoder that drops a leading U+FEFF, so that a name of the file is another one in memory. */
const DROPS_U_FEFF = /new TextDecoder\((?!"latin1"|"utf-8", \{[^}]*ignoreBOM: true)/;

/** The test files that reach into a room, themselves or by any helper, at most: they should become fewer. */
const MOST_INSIDE = 36;

describe("the architecture of test/", () => {
  it(`reaches into rooms from at most ${MOST_INSIDE} test files`, () => {
    const here = fileURLToPath(new URL(".", import.meta.url));
    const own = new Map(
      readdirSync(here, { recursive: true })
        .map((name) => String(name).split(sep).join("/"))
        .filter((name) => /\.m?ts$/.test(name) && !name.includes("node_modules"))
        .map((name) => [
          `../test/${name}`,
          importsOf(`../test/${name}`, () => readFileSync(join(here, name), "utf8")).map(({ to }) => to),
        ]),
    );
    const reachesInside = (name: string, seen: Set<string>): boolean =>
      own.get(name)!.some((to) => {
        const file = to.replace(/^\.\.\/src\//, "");
        if (isInternal(file)) return !DOORS.includes(file);
        if (!own.has(to) || seen.has(to)) return false;
        return reachesInside(to, seen.add(to));
      });
    const tests = [...own.keys()].filter((name) => /\.(test|system)\.ts$/.test(name));
    const inside = tests.filter((name) => reachesInside(name, new Set()));
    expect(inside.length).toBeGreaterThan(20);
    expect(inside.length).toBeLessThanOrEqual(MOST_INSIDE);
    expect(tests.length - inside.length).toBeGreaterThan(3 * inside.length);
  });

  it("knows a file inside a room in two places at most", () => {
    const here = fileURLToPath(new URL(".", import.meta.url));
    const known = new Map<string, string[]>();
    for (const name of readdirSync(here, { recursive: true }).map(String)) {
      const from = `../test/${name.split(sep).join("/")}`;
      if (!/\.(ts|mjs)$/.test(name) || name.includes("node_modules")) continue;
      for (const to of new Set(
        importsOf(from, () => readFileSync(join(here, name), "utf8")).map((one) =>
          one.to.replace(/^\.\.\/src\//, ""),
        ),
      ))
        if (isInternal(to) && !ENTRIES.includes(to)) known.set(to, [...(known.get(to) ?? []), from]);
    }
    expect(known.size).toBeGreaterThan(30);
    // More take it from helpers/parts.ts.
    expect([...known].filter(([, by]) => by.length > 2)).toEqual([]);
  });
});

describe("the architecture of src/", () => {
  it("is found", () => {
    expect(files).toContain("core/index.ts");
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

  it("has no loose file but those that every room may use", () => {
    const loose = files.filter((name) => !name.includes("/"));
    expect(loose).toEqual([
      "error-catalogue.ts",
      "errors.ts",
      "floats.ts",
      "limits.ts",
      "meter.ts",
      "version.ts",
    ]);
  });

  it("loads at most 70 modules with lqa", () => {
    const loaded = [...reachable("core/index.ts", false, false)].filter(isInternal);
    expect(loaded.length).toBeLessThanOrEqual(70);
  });

  it("reads files of other formats to inspect or validate one only when it meets one", () => {
    for (const command of ["inspect", "validate"]) {
      const loaded = [...reachable(`cli/commands/${command}.ts`, false, false)];
      expect(loaded).toContain("node/not-lqa.ts");
      expect(loaded.filter((name) => folderOf(name).startsWith("adapters"))).toEqual([]);
    }
  });

  it("imports downwards only", () => {
    const wrong = imports.filter(({ from, to }) => {
      if (!isInternal(to) || EVERYWHERE.includes(to)) return false;
      const source = folderOf(from);
      const target = folderOf(to);
      if (source === target || ["model", "common", "io"].includes(target)) return false;
      const allowed = ALLOWED[source] ?? [];
      return !allowed.includes("*") && !allowed.includes(target);
    });
    expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });

  it("enters another room by its doors only, types included", () => {
    const inside = imports.filter(({ from, to }) => {
      const [source, target] = [from.split("/")[0]!, to.split("/")[0]!];
      return (
        isInternal(to) &&
        source !== target &&
        ROOMS.includes(target) &&
        !PROGRAM.includes(source) &&
        !DOORS.includes(to) &&
        INNER_DOORS[to] === undefined
      );
    });
    expect(inside.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });

  /** The names that a door takes from other files, with the file of each. */
  const namesOf = (door: string): [name: string, file: string][] =>
    [...texts.get(door)!.matchAll(/export (?:type )?\{([^}]*)\} from "([^"]*)"/g)].flatMap(([, list, from]) =>
      list!
        .split(",")
        .map((name): [string, string] => [name.replace("type ", "").trim(), resolveImport(door, from!)])
        .filter(([name]) => name !== ""),
    );

  it(`has at most ${MOST_OF_FORMAT} names in lqa/format, each with a comment`, () => {
    const names = namesOf("core/format.ts");
    expect(names.length).toBeGreaterThan(10);
    expect(names.length).toBeLessThanOrEqual(MOST_OF_FORMAT);
    const bare = names.filter(([name, file]) => {
      const declaration = `\\*/\\nexport (async )?(function\\*?|const|interface|type) ${name}\\b`;
      return !new RegExp(declaration).test(texts.get(file)!);
    });
    expect(bare).toEqual([]);
  });

  it.each(Object.entries(INNER_DOORS))("shows other rooms few names by %s", (door, most) => {
    const names = namesOf(door);
    expect(names.length).toBeGreaterThan(1);
    expect(names.length).toBeLessThanOrEqual(most);
  });

  it("loads few modules with each command", () => {
    const commands = files.filter((name) => name.startsWith("cli/commands/"));
    const loaded = commands.map((name): [string, number] => {
      const all = new Set([...reachable("cli/main.ts", false, false), ...reachable(name, false, false)]);
      return [name.slice("cli/commands/".length, -".ts".length), [...all].filter(isInternal).length];
    });
    expect(loaded.map(([name]) => name)).toEqual(Object.keys(MOST_MODULES));
    expect(loaded.filter(([name, count]) => count > MOST_MODULES[name]!)).toEqual([]);
  });

  it("knows codecs in core/codecs and in the encoder's table alone", () => {
    const named = (name: string): Set<string> => {
      const found = new Set<string>();
      const visit = (node: ts.Node): void => {
        if (ts.isStringLiteralLike(node) && CODECS.includes(node.text)) found.add(node.text);
        ts.forEachChild(node, visit);
      };
      visit(sourceOf(name, textOf(name)));
      return found;
    };
    const outside = files.filter((name) => folderOf(name) !== "core/codecs" && name !== CODERS);
    const found = new Map(outside.map((name) => [name, named(name)]));
    expect(outside.filter((name) => found.get(name)!.size > 0)).toEqual(OF_THAT_NAME);
    for (const name of OF_THAT_NAME)
      for (const codec of ["zero", "affine", "trellis"]) expect(found.get(name), name).not.toContain(codec);
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
      importsBy.get(name)!.some(({ to, typeOnly }) => !typeOnly && isInternal(to) && reachable(to).has(name)),
    );
    expect(circles).toEqual([]);
  });

  it("touches files in node/files alone; the program also reads what its own package holds", () => {
    const touching = imports.filter(({ to }) => /^node:(fs|fs\/promises)$/.test(to)).map(({ from }) => from);
    const own = ["cli/run.ts", "cli/commands/explain.ts"];
    expect(touching.filter((name) => folderOf(name) !== "node/files" && !own.includes(name))).toEqual([]);
  });

  it("keeps Node out of what browsers load", () => {
    for (const door of DOORS.filter((name) => name !== "node/index.ts"))
      expect(
        [...reachable(door)].filter((name) => name.startsWith("node:")),
        door,
      ).toEqual([]);
  });

  it("keeps shaders out of what everybody loads", () => {
    const shaders = (name: string): boolean => folderOf(name) === "webgpu";
    for (const door of DOORS.filter((name) => name !== "webgpu/index.ts"))
      expect([...reachable(door)].filter(shaders), door).toEqual([]);
  });

  it("loads nothing but packed modules with what draws on them", () => {
    const folders = new Set([...reachable("webgpu/index.ts")].filter(isInternal).map(folderOf));
    expect(folders).toContain("core/codecs");
    for (const folder of ["adapters", "encode/quantize", "encode/linalg", "core/read", "io"])
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

  it(`has no new function above ${MAX_FUNCTION} lines`, () => {
    const long: string[] = [];
    for (const name of files) {
      const source = sourceOf(name, textOf(name));
      const lineOf = (at: number): number => source.getLineAndCharacterOfPosition(at).line;
      const visit = (node: ts.Node): void => {
        if (ts.isFunctionLike(node) && "body" in node && node.body !== undefined) {
          const lines = lineOf(node.end) - lineOf(node.getStart()) + 1;
          if (lines > MAX_FUNCTION) long.push(`${name} ${nameOf(node)}`);
        }
        ts.forEachChild(node, visit);
      };
      visit(source);
    }
    expect(long.sort()).toEqual([...LONG_FUNCTIONS].sort());
  });

  it("exports no further name from two files", () => {
    const homes = new Map<string, string[]>();
    for (const [name, text] of texts) {
      if (isGenerated(name) || /^\/\/ Generated from/.test(text) || name === "limits.ts") continue;
      for (const [, own] of text.matchAll(
        /^export (?:async )?(?:function\*?|const|class|interface|type|enum) (\w+)/gm,
      ))
        homes.set(own!, [...(homes.get(own!) ?? []), name]);
    }
    const twice = [...homes].filter(([, files]) => new Set(files).size > 1).map(([name]) => name);
    expect(twice.sort()).toEqual([...EXPORTED_TWICE].sort());
  });

  it(`has no file above ${MAX_LINES} lines`, () => {
    const long = files.filter(
      (name) => !isGenerated(name) && texts.get(name)!.split("\n").length > MAX_LINES + 1,
    );
    expect(long).toEqual([]);
  });
});
