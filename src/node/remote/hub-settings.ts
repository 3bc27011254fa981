/**
 * The settings of the hub's own clients on this machine: the address of the hub, the token, the cache. They come from the
 * environment and from the files of `huggingface-cli login`, so a machine that can download with `hf` can also use this library.
 * @module
 */
import { homedir } from "node:os";
import { join } from "node:path";
import * as KIND from "../../error-catalogue.ts";
import { fail, isLqaError } from "../../errors.ts";
import { readRegularFile } from "../files/file.ts";

/** How this machine reaches the hub. */
export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** Sent only to the endpoint. */
  readonly token: string | undefined;
  /** Folder of downloaded files; `huggingface_hub` fills it. */
  readonly cache: string;
  /** If true, only the cache may be read. */
  readonly offline: boolean;
}

const DEFAULT_ENDPOINT = "https://huggingface.co";
const MOST_TOKEN = 4096;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the settings: `HF_ENDPOINT`; `HF_TOKEN`, or the file at `HF_TOKEN_PATH` or `$HF_HOME/token`; `HF_HUB_CACHE`,
 * `HUGGINGFACE_HUB_CACHE` or `$HF_HOME/hub`; `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`; `HF_HUB_DISABLE_IMPLICIT_TOKEN`. The
 * default of `HF_HOME` is `huggingface` in `XDG_CACHE_HOME` or `~/.cache`.
 *
 * @throws LqaError USAGE for an endpoint that is not an address, and for a token that no request can carry; IO for a token file
 * that cannot be read
 */
export async function hubSettings(): Promise<HubSettings> {
  const { env } = process;
  const cacheHome = env.XDG_CACHE_HOME || join(homedir(), ".cache");
  const home = env.HF_HOME || join(cacheHome, "huggingface");
  return {
    endpoint: endpointOf(env.HF_ENDPOINT || DEFAULT_ENDPOINT),
    token: isOn(env.HF_HUB_DISABLE_IMPLICIT_TOKEN) ? undefined : await tokenOf(env, home),
    cache: env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, "hub"),
    offline: isOn(env.HF_HUB_OFFLINE) || isOn(env.TRANSFORMERS_OFFLINE),
  };
}

function isOn(value: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(value ?? "");
}

function endpointOf(text: string): string {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    url = undefined;
  }
  const plain =
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    url.username === "" &&
    url.password === "" &&
    url.search === "" &&
    url.hash === "";
  if (!plain)
    fail(KIND.USAGE, {
      where: "HF_ENDPOINT",
      expected: "an http or https address without password and query",
      advice: `Correct HF_ENDPOINT, or unset it to use ${DEFAULT_ENDPOINT}.`,
    });
  return url!.href.replace(/\/+$/, "");
}

async function tokenOf(env: Environment, home: string): Promise<string | undefined> {
  const given = (env.HF_TOKEN ?? "").trim();
  const token = given === "" ? await tokenFile(env.HF_TOKEN_PATH || join(home, "token")) : given;
  // Errors never show the token.
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    fail(KIND.USAGE, {
      where: given === "" ? "the token file" : "HF_TOKEN",
      expected: "one word of ASCII characters",
      advice: "Copy the token again from the settings of your account on the hub.",
    });
  return token;
}

async function tokenFile(path: string): Promise<string | undefined> {
  try {
    const text = new TextDecoder("latin1").decode(await readRegularFile(path, MOST_TOKEN)).trim();
    return text === "" ? undefined : text;
  } catch (error) {
    if (isLqaError(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}
