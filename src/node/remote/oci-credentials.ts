/**
 * Finds the login for a registry in the files of this machine's container tools (`docker login`, `podman login` and the like), or
 * asks the helper program that keeps it.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { homedir } from "node:os";
import { join } from "node:path";
import * as KIND from "../../error-catalogue.ts";
import { fail, isLqaError } from "../../errors.ts";
import { decodeUtf8 } from "../../model/bytes.ts";
import { readRegularFile } from "../files/file.ts";

/** A login. It is sent only to its registry, and never printed. */
export interface Login {
  readonly username: string;
  readonly password: string;
}

const MOST_CONFIG = 2 ** 20;
const MOST_ANSWER = 2 ** 16;
const HELPER_MS = 15_000;
/** Docker's name for its own registry in the list of logins. */
const DOCKER_HUB = "index.docker.io";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Finds the login for a registry; undefined if there is none.
 *
 * Searches `DOCKER_AUTH_CONFIG` (the text of a config.json), then the files `REGISTRY_AUTH_FILE`,
 * `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`, and `$XDG_RUNTIME_DIR/containers/auth.json`.
 *
 * @param registry `host` or `host:port`; only an entry for exactly this host is used
 * @throws LqaError USAGE for a file that is not such a configuration; ACCESS_DENIED for an entry without a password; IO for a
 * file that cannot be read, and for a helper program that fails
 */
export async function registryLogin(
  registry: string,
  env: Environment = process.env,
): Promise<Login | undefined> {
  if (env.DOCKER_AUTH_CONFIG) {
    const found = await loginIn("DOCKER_AUTH_CONFIG", env.DOCKER_AUTH_CONFIG, registry, env);
    if (found !== undefined) return found;
  }
  const paths = [
    env.REGISTRY_AUTH_FILE,
    join(env.DOCKER_CONFIG || join(homedir(), ".docker"), "config.json"),
    env.XDG_RUNTIME_DIR && join(env.XDG_RUNTIME_DIR, "containers", "auth.json"),
  ];
  for (const path of paths) {
    const text = path ? await textOf(path) : undefined;
    const found = text === undefined ? undefined : await loginIn(JSON.stringify(path), text, registry, env);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return decodeUtf8(await readRegularFile(path, MOST_CONFIG));
  } catch (error) {
    if (isLqaError(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}

type Json = Readonly<Record<string, unknown>>;

async function loginIn(
  where: string,
  text: string,
  registry: string,
  env: Environment,
): Promise<Login | undefined> {
  const config = objectOf(parsed(text));
  if (config === undefined)
    return fail(KIND.USAGE, {
      where,
      expected: "the configuration of a container tool, as JSON",
      advice: "Correct it, or log in again: docker login.",
    });
  const names = registry === "docker.io" ? [DOCKER_HUB, registry] : [registry];
  const entries = Object.entries(objectOf(config.auths) ?? {});
  const helpers = Object.entries(objectOf(config.credHelpers) ?? {});
  for (const name of names) {
    const entry = objectOf(entries.find(([key]) => hostOf(key) === name)?.[1]);
    const found = entry && loginOf(entry, name);
    if (found !== undefined) return found;
    const helper = helpers.find(([key]) => hostOf(key) === name)?.[1] ?? config.credsStore;
    if (typeof helper !== "string" || helper === "") continue;
    // Helpers know Docker's own registry by its first address.
    const key = name === DOCKER_HUB ? `https://${name}/v1/` : name;
    const kept = await helped(helper, key, where, env);
    if (kept !== undefined) return kept;
  }
  return undefined;
}

/** The host of a key: `host`, or an old address like `https://host/v1/`. Undefined for a key for a part of a registry. */
function hostOf(key: string): string | undefined {
  return /^(?:https?:\/\/)?([^/]+)(?:\/(?:v[12]\/?)?)?$/i.exec(key)?.[1]?.toLowerCase();
}

function loginOf(entry: Json, registry: string): Login | undefined {
  const { auth, username, password, identitytoken: identity } = entry;
  if (typeof username === "string" && typeof password === "string" && username !== "")
    return { username, password };
  const text = typeof auth === "string" ? Buffer.from(auth, "base64").toString("utf8") : "";
  const colon = text.indexOf(":");
  if (colon > 0 && colon < text.length - 1)
    return { username: text.slice(0, colon), password: text.slice(colon + 1) };
  if (typeof identity === "string" && identity !== "") noPassword(registry);
  return undefined;
}

function noPassword(registry: string): never {
  return fail(KIND.ACCESS_DENIED, {
    where: registry,
    expected: "a user name and a password",
    actual: "an identity token",
    advice: `Log in with a user name and a password or access token: docker login ${registry}.`,
  });
}

/** Asks a helper program, which keeps the login in the system's keychain. */
async function helped(
  name: string,
  registry: string,
  where: string,
  env: Environment,
): Promise<Login | undefined> {
  if (!/^\w[\w.-]{0,63}$/.test(name))
    fail(KIND.USAGE, {
      where,
      expected: "the name of a credential helper",
      actual: JSON.stringify(name.slice(0, 100)),
    });
  const program = `docker-credential-${name}`;
  const { code, out } = await outputOf(program, registry, env).catch((cause: Error) =>
    fail(KIND.IO, {
      where: program,
      actual: cause.message,
      advice: `Install this program, which ${where} names, or log in without it: set DOCKER_CONFIG to another folder.`,
      cause,
    }),
  );
  if (code !== 0 && /credentials not found/i.test(out)) return undefined;
  const { Username: username, Secret: password } = objectOf(parsed(out)) ?? {};
  // The error omits the output, which may contain a password.
  if (code !== 0 || typeof username !== "string" || typeof password !== "string")
    fail(KIND.IO, { where: program, expected: "a login as JSON", actual: `exit code ${code}` });
  if (username === "<token>") noPassword(registry);
  return { username: username as string, password: password as string };
}

function outputOf(
  program: string,
  input: string,
  env: Environment,
): Promise<{ code: number | null; out: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ["get"], {
      stdio: ["pipe", "pipe", "ignore"],
      timeout: HELPER_MS,
      env: { ...env },
    });
    let out = "";
    child.on("error", reject);
    child.stdout.on("data", (piece: Buffer) => {
      out += piece.toString("utf8");
      if (out.length > MOST_ANSWER) child.kill();
    });
    child.on("close", (code) => resolve({ code, out: out.slice(0, MOST_ANSWER) }));
    // The program may end without reading its input.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function objectOf(value: unknown): Json | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}
