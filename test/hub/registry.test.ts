/** A real registry, that of the Distribution project, and ORAS, another client of registries. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { open } from "../../src/core/index.ts";
import { encodeFile, openPush, openRemoteFile, readLocation, readSourceFiles } from "../../src/node/index.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { findOras, findRegistry, startRegistry } from "../helpers/servers.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const registry = findRegistry();
const oras = findOras();
if (registry === undefined) console.log("skipped: a real registry: set LQA_REGISTRY to its path");
else if (oras === undefined) console.log("skipped: ORAS with a real registry: set LQA_ORAS to its path");

const place = temporaryDirectory();
const path = join(place, "my-adapter.lqa");
const peft = writePeftDirectory(join(place, "peft"));
/** bcrypt of `pass:word`, of the user `me`. */
const USERS = "me:$2b$05$/i6qgCRC1Pd3z/qGUsi6uu8rEHj4UueV3tVvwqGzyh4LngaSBGne6\n";

async function pushed(location: string): Promise<Buffer> {
  if (!existsSync(path)) await encodeFile(peft, path, { bits: 4 });
  const bytes = readFileSync(path);
  const plan = await openPush(path, location, bytes, "# card\n");
  expect(await plan.push()).toMatch(/^sha256:[0-9a-f]{64}$/);
  return bytes;
}

describe.skipIf(registry === undefined)("a real registry", () => {
  test("stores an artifact and gives it back, whole and by ranges", async () => {
    const at = `oci://${await startRegistry(registry!)}/me/packed`;
    const bytes = await pushed(`${at}:v1`);
    expect(Buffer.from(await readLocation(`${at}:v1`)).equals(bytes)).toBe(true);
    const source = await openRemoteFile(`${at}:v1`);
    expect((await open(source)).modules).toHaveLength(4);
    expect((await openPush(path, `${at}:v1`, bytes, "# card\n")).files.size).toBe(0);
    await expect(openPush(path, `${at}:v1`, bytes, undefined)).rejects.toMatchObject({
      kind: "OUTPUT_EXISTS",
    });
    await expect(readLocation(at)).rejects.toMatchObject({ kind: "NOT_FOUND" });
    await expect(readLocation(`${at}@sha256:${"0".repeat(64)}`)).rejects.toMatchObject({ kind: "NOT_FOUND" });
  });

  test("asks for a login", async () => {
    const users = join(place, "users");
    writeFileSync(users, USERS);
    const host = await startRegistry(registry!, users);
    vi.stubEnv("DOCKER_AUTH_CONFIG", "");
    vi.stubEnv("DOCKER_CONFIG", temporaryDirectory());
    const at = `oci://${host}/me/packed`;
    await expect(pushed(at)).rejects.toMatchObject({ kind: "ACCESS_DENIED" });
    const auth = Buffer.from("me:pass:word").toString("base64");
    vi.stubEnv("DOCKER_AUTH_CONFIG", JSON.stringify({ auths: { [host]: { auth } } }));
    const bytes = await pushed(at);
    expect(Buffer.from(await readLocation(at)).equals(bytes)).toBe(true);
  });

  test.skipIf(oras === undefined)("serves ORAS what lqa pushed, and lqa what ORAS pushed", async () => {
    const host = await startRegistry(registry!);
    const bytes = await pushed(`oci://${host}/me/packed:v1`);
    const folder = temporaryDirectory();
    const run = (cwd: string, ...words: string[]): string =>
      execFileSync(oras!, [...words, "--plain-http"], { cwd, encoding: "utf8" });
    run(folder, "pull", `${host}/me/packed:v1`);
    expect(listing(folder)).toEqual(["README.md", "my-adapter.lqa"]);
    expect(readFileSync(join(folder, "my-adapter.lqa")).equals(bytes)).toBe(true);
    const names = ["adapter_config.json", "adapter_model.safetensors"];
    run(peft, "push", `${host}/me/peft:v1`, ...names);
    expect([...(await readSourceFiles(`oci://${host}/me/peft:v1`)).keys()].sort()).toEqual(names);
    run(folder, "push", `${host}/me/again:v1`, "my-adapter.lqa");
    expect(Buffer.from(await readLocation(`oci://${host}/me/again:v1`)).equals(bytes)).toBe(true);
    // A folder becomes an archive, which is not opened.
    mkdirSync(join(folder, "sub"));
    run(folder, "push", `${host}/me/archive:v1`, "sub");
    await expect(readLocation(`oci://${host}/me/archive:v1`)).rejects.toMatchObject({
      kind: "HTTP_RESPONSE",
      actual: expect.stringContaining("tar+gzip"),
    });
  });
});
