/**
 * What a user gets by `npm install`: few dependencies, pinned, whose licences are known and which run nothing when they are
 * installed; a package that holds what it should and nothing else, and works in an empty directory.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { temporaryDirectory } from "./helpers/temporary.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const json = (name: string) => JSON.parse(readFileSync(join(root, name), "utf8"));
const folder = temporaryDirectory();
const npm = (cwd: string, ...words: string[]) =>
  spawnSync("npm", words, {
    cwd,
    encoding: "utf8",
    shell: process.platform === "win32",
    env: {
      ...process.env,
      npm_config_audit: "false",
      npm_config_fund: "false",
      npm_config_update_notifier: "false",
    },
  });

interface Locked {
  readonly version: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
}

const manifest = json("package.json");
const locked: readonly (readonly [string, Locked])[] = Object.entries(json("package-lock.json").packages);
const runtime = locked.filter(([path, { dev }]) => path !== "" && dev !== true);

describe("dependencies", () => {
  it("are pinned, and are all there are: none has others", () => {
    const listed = Object.entries<string>(manifest.dependencies);
    for (const [name, version] of [...listed, ...Object.entries<string>(manifest.devDependencies)])
      expect(version, name).toMatch(/^(npm:[a-z]+@)?\d+\.\d+\.\d+$/);
    expect(runtime.map(([path, { version }]) => [path.replace("node_modules/", ""), version])).toEqual(
      listed,
    );
  });

  it("have licences that go with Apache-2.0, and are checked by their SHA-512", () => {
    for (const [path, { license, integrity }] of runtime) {
      expect(["Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"], path).toContain(license);
      expect(integrity, path).toMatch(/^sha512-/);
      // What the lock file says is what the package says.
      expect(json(`${path}/package.json`).license, path).toBe(license);
    }
  });

  it("come with their licences, in npm and in the wheel", () => {
    const { status, stderr } = spawnSync(process.execPath, [".ci/third-party.mjs", "--check"], {
      cwd: root,
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const notices = readFileSync(join(root, "THIRD-PARTY-NOTICES.txt"), "utf8");
    for (const [name, version] of Object.entries<string>(manifest.dependencies))
      expect(notices).toContain(`\n${name} ${version} (`);
    // zstd-codec has no licence file, and contains two programs of others.
    for (const holder of ["Yoshihito Hirakawa", "Facebook, Inc.", "Emscripten authors"])
      expect(notices).toContain(holder);
    const python = readFileSync(join(root, "integrations/python/pyproject.toml"), "utf8");
    expect(python).toContain('license-files = ["gathered/LICENSE", "gathered/THIRD-PARTY-NOTICES.txt"]');
  });

  it("run nothing when they are installed, nor does this package", () => {
    // Of what only this repository uses, esbuild checks its binary.
    expect(locked.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path)).toEqual([
      "node_modules/esbuild",
    ]);
    expect(runtime.filter(([, { hasInstallScript }]) => hasInstallScript)).toEqual([]);
    const hooks = /^(pre|post)?install$|^(pre|post)?prepare$/;
    expect(Object.keys(manifest.scripts).filter((name) => hooks.test(name))).toEqual([]);
    for (const [path] of runtime) {
      expect(
        Object.keys(json(`${path}/package.json`).scripts ?? {}).filter((name) =>
          /^(pre|post)?install$/.test(name),
        ),
        path,
      ).toEqual([]);
      // Without a script of that name npm compiles what has this file.
      expect(readdirSync(join(root, path)), path).not.toContain("binding.gyp");
    }
  });
});

describe("the workflows", () => {
  interface Job {
    readonly permissions?: Readonly<Record<string, string>>;
    /** None of a job that calls another workflow. */
    readonly steps?: readonly { readonly uses?: string; readonly run?: string }[];
  }
  const workflows = readdirSync(join(root, ".github/workflows")).map((name) => `.github/workflows/${name}`);
  const jobs = workflows.flatMap((name): [string, Job][] =>
    Object.entries<Job>(parse(readFileSync(join(root, name), "utf8")).jobs).map(([job, made]) => [
      `${name} ${job}`,
      made,
    ]),
  );

  it("use actions by commit", () => {
    const used = jobs.flatMap(([, { steps = [] }]) => steps.flatMap(({ uses }) => uses ?? []));
    expect(used.length).toBeGreaterThan(5);
    expect(used.filter((uses) => !/^[\w-]+\/[\w-]+@[0-9a-f]{40}$/.test(uses))).toEqual([]);
  });

  it("install from the lock file, and without scripts where they can publish", () => {
    const trusted = jobs.filter(([, { permissions }]) => permissions?.["id-token"] === "write");
    expect(trusted.length).toBeGreaterThan(1);
    for (const [name, { steps = [] }] of trusted)
      for (const { run = "" } of steps)
        if (/npm (ci|i|install)\b|pip install/.test(run))
          expect(run, name).toMatch(/^npm ci --ignore-scripts$|--require-hashes/);
  });

  it("build the Python package with versions and hashes that are written down", () => {
    const lines = readFileSync(join(root, "integrations/python/build-requirements.txt"), "utf8").split("\n");
    const named = lines.filter((line) => /^\w/.test(line));
    expect(named.map((line) => line.split("==")[0])).toEqual(
      expect.arrayContaining(["build", "cffi", "setuptools"]),
    );
    expect(named.filter((line) => !/==\S+/.test(line) || !line.endsWith("\\"))).toEqual([]);
    expect(readFileSync(join(root, "integrations/python/check"), "utf8")).toContain("--require-hashes");
  });
});

describe("the package", () => {
  let files: readonly string[];
  let tarball: string;
  beforeAll(() => {
    // What is built is there already: the scripts would build it again, below other tests.
    const { stdout, stderr } = npm(root, "pack", "--json", "--ignore-scripts", "--pack-destination", folder);
    expect(stdout, stderr).toContain("[");
    const [packed] = JSON.parse(stdout.slice(stdout.indexOf("[")));
    files = packed.files.map(({ path }: { path: string }) => path).sort();
    tarball = join(folder, packed.filename);
  }, 120_000);

  it("holds the library, the specification, the schemas, and nothing else", () => {
    const sources = readdirSync(join(root, "src"), { recursive: true }).map((name) =>
      String(name).replaceAll("\\", "/"),
    );
    const built = sources
      .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
      .flatMap((name) => [".js", ".d.ts"].map((ending) => `dist/${name.replace(/\.ts$/, ending)}`));
    expect(files.filter((name) => name.startsWith("dist/"))).toEqual([...built, "dist/cli/lqa.1"].sort());
    expect(files.filter((name) => !name.startsWith("dist/"))).toEqual([
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "SECURITY.md",
      "THIRD-PARTY-NOTICES.txt",
      "package.json",
      "schema/lqa.fbs",
      "schema/lqa.ksy",
      "schema/validate.schema.json",
      "spec/LICENSE",
      "spec/application.md",
      "spec/checks.json",
      "spec/errata.json",
      "spec/errors.json",
      "spec/example.lqa",
      "spec/example.md",
      "spec/limits.json",
      "spec/lqa-v1.md",
      "spec/media-type.md",
      "spec/peft.md",
      "spec/rationale.md",
      "spec/references.md",
      "spec/registries.md",
      "spec/registry.json",
      "spec/text-dictionary.txt",
      "spec/trellis-tables.json",
    ]);
  });

  it("is published with provenance, by a script that says what is missing", () => {
    // npm links the pages of a list only, and passes over a lone path.
    expect(manifest.man).toEqual(["./dist/cli/lqa.1"]);
    expect(manifest.publishConfig).toEqual({ access: "public", provenance: true });
    const check = (...options: string[]) =>
      spawnSync(process.execPath, [".ci/release-check.mjs", ...options], { cwd: root, encoding: "utf8" });
    const { status, stderr } = check("--publish");
    // A working tree is no release.
    expect(status).toBe(1);
    expect(stderr).toMatch(/CHANGELOG\.md|tag/);
    // The first release freezes the format.
    const frozen = existsSync(join(root, "conformance/frozen.json"));
    expect(stderr.includes("frozen.json is missing")).toBe(!frozen);
    const list = check().stdout;
    expect(list).toMatch(/^ok {7}one version$/m);
    expect(list).toMatch(frozen ? /^ok {7}frozen format$/m : /^missing {2}frozen format: /m);
    expect(list).toMatch(/^\d of 9 missing\.$/m);
  });

  it("installs into an empty directory and works there", { timeout: 300_000 }, (context) => {
    const place = join(folder, "empty");
    mkdirSync(place);
    writeFileSync(join(place, "package.json"), '{"private": true}\n');
    const { status, stderr } = npm(place, "install", "--prefer-offline", "--no-progress", tarball);
    if (status !== 0 && /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH/.test(stderr)) {
      console.log(`skipped: the package is not installed, as there is no registry: ${stderr.split("\n")[0]}`);
      return context.skip();
    }
    expect(status, stderr).toBe(0);
    const version = npm(place, "exec", "--offline", "--", "lqa", "--version");
    expect(version.stdout.trim(), version.stderr).toContain(manifest.version);
    writeFileSync(join(place, "a.lqa"), readFileSync(join(root, "spec/example.lqa")));
    const validated = npm(place, "exec", "--offline", "--", "lqa", "validate", "a.lqa");
    expect(validated.stdout, validated.stderr).toMatch(/^valid /);
    // What only object storage needs is not installed with it, and asked for by name.
    const stored = npm(place, "exec", "--offline", "--", "lqa", "validate", "s3://bucket/x");
    expect(stored.status, stored.stderr).toBe(2);
    expect(stored.stderr).toContain("LQA-X021 MISSING_PACKAGE");
    expect(stored.stderr).toContain("npm install @aws-sdk/client-s3");
    const code =
      'import { open } from "lqa"; import { decodeFile } from "lqa/node"; console.log(typeof open, typeof decodeFile)';
    const used = spawnSync(process.execPath, ["--input-type=module", "-e", code], {
      cwd: place,
      encoding: "utf8",
    });
    expect(used.stdout, used.stderr).toBe("function function\n");
  });
});
