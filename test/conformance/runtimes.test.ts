/**
 * The programs that the suite runs on besides this Node: what runtimes.json says of them, and what happens where one cannot be
 * had. Nothing is downloaded here.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { temporaryDirectory } from "../helpers/temporary.ts";

const script = fileURLToPath(new URL("../../conformance/runtimes.mjs", import.meta.url));
const table: Record<
  string,
  Record<string, { package: string; program: string; integrity: string }>
> = JSON.parse(readFileSync(new URL("../../conformance/runtimes.json", import.meta.url), "utf8"));
const root = temporaryDirectory();

/** runtimes.mjs with a folder of its own, and with programs of the test in front of PATH. */
function runtimes(folder: string, programs: Record<string, string>, ...names: string[]) {
  const bin = join(root, `${folder}-bin`);
  mkdirSync(bin, { recursive: true });
  for (const [name, text] of Object.entries(programs)) writeFileSync(join(bin, name), text, { mode: 0o755 });
  const { status, stdout } = spawnSync(process.execPath, [script, ...names], {
    encoding: "utf8",
    env: { ...process.env, LQA_RUNTIMES: join(root, folder), PATH: `${bin}:${process.env.PATH}` },
  });
  return { status, lines: stdout.trim().split("\n") };
}

describe("runtimes", () => {
  it("are packages of exact versions with a hash", () => {
    const all = Object.values(table).flatMap((programs) => Object.values(programs));
    expect(all.length).toBeGreaterThan(10);
    for (const { package: name, program, integrity } of all) {
      expect(name).toMatch(/^(@[a-z]+\/)?[a-z0-9-]+@\d+\.\d+\.\d+$/);
      // A plain path inside of the package.
      expect(program).toMatch(/^([a-z0-9-]+\/)*[a-z]+(\.br|\.node)?$/);
      expect(integrity).toMatch(/^sha512-[A-Za-z0-9+/]{86}==$/);
    }
    // One version of each program, whatever the platform.
    for (const name of ["node22", "node24", "bun", "deno"]) {
      const versions = Object.values(table).flatMap(
        (programs) => programs[name]?.package.split("@").at(-1) ?? [],
      );
      expect(new Set(versions).size, name).toBe(1);
    }
  });

  it("refuse a name that there is not", () => {
    const { status, lines } = runtimes("unknown", {}, "node7");
    expect(status).toBe(2);
    expect(lines).toEqual([expect.stringMatching(/^skipped: node7: there is no node7, only node22/)]);
  });

  it.skipIf(table[`${process.platform}-${process.arch}`] === undefined)(
    "are left out with a reason if the registry refuses them, or gives something else",
    () => {
      const refused =
        "#!/bin/sh\necho 'npm error code E404' >&2\necho 'npm error 404 Not Found' >&2\nexit 1\n";
      expect(runtimes("refused", { npm: refused }, "deno")).toEqual({
        status: 0,
        lines: ["skipped: deno: npm error 404 Not Found"],
      });
      // The last argument is the folder that the package goes to.
      const other = '#!/bin/sh\nfor last; do :; done\necho hello > "$last/deno.tgz"\n';
      const { lines } = runtimes("other", { npm: other }, "deno");
      expect(lines).toEqual([expect.stringMatching(/^skipped: deno: .*: expected sha512-.*, found sha512-/)]);
      // Nothing stays behind.
      expect(readdirSync(join(root, "other"))).toEqual([]);
    },
  );

  it("says of libzstd that there is no Debian here, or what apt-get says", () => {
    const apt = "#!/bin/sh\necho 'E: Unable to locate package' >&2\nexit 100\n";
    expect(runtimes("debian", { "apt-get": apt }, "libzstd").lines).toEqual([
      "skipped: libzstd: E: Unable to locate package",
    ]);
  });
});
