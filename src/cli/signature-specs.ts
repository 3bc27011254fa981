/**
 * Command table entries of the signature commands: sign, verify-signature.
 *
 * @module
 */
import type { CommandSpec, OptionSpec } from "./command.ts";
import { FORCE_OPTION, JSON_OPTION, TIMEOUT_OPTION } from "./shared-options.ts";

const SIGNATURE_OPTION: OptionSpec = {
  name: "signature",
  type: "text",
  placeholder: "<path>",
  defaultText: "the name of the file plus .sig",
  help: "The signature file: a Sigstore bundle, as in OpenSSF model signing.",
};

export const SIGN: CommandSpec = {
  name: "sign",
  summary: "Sign an .lqa file.",
  details:
    "Validates the file and writes a detached signature over its SHA-256 and its file id. `model_signing verify key` accepts it too. For an encrypted key, put the passphrase into the environment variable LQA_KEY_PASSPHRASE.",
  positional: {
    placeholder: "<file.lqa|url>",
    many: false,
    help: "The file to sign: a path, a URL or hf://owner/name. For a file on a server, the signature goes into the current directory.",
  },
  options: [
    {
      name: "key",
      type: "text",
      placeholder: "<private.pem>",
      required: true,
      help: "The private key in PEM: elliptic curve P-256, P-384 or P-521.",
    },
    SIGNATURE_OPTION,
    { ...FORCE_OPTION, help: "Replace an existing signature." },
    TIMEOUT_OPTION,
    JSON_OPTION,
  ],
  examples: ["sign my-adapter.lqa --key private.pem"],
  load: () => import("./commands/sign.ts"),
};

export const VERIFY_SIGNATURE: CommandSpec = {
  name: "verify-signature",
  summary: "Verify that the owner of a key signed an .lqa file.",
  details:
    "Checks the signature, validates the file, and compares both. Accepts signatures of `lqa sign` and, for a single file, of `model_signing sign key`. Exit code 1 means: do not trust the file as signed.",
  positional: {
    placeholder: "<file.lqa|url>",
    many: false,
    help: "The signed file: a path, a URL or hf://owner/name.",
  },
  options: [
    {
      name: "key",
      type: "text",
      placeholder: "<public.pem>",
      required: true,
      help: "The public key of the signer in PEM, from a source you trust.",
    },
    {
      ...SIGNATURE_OPTION,
      defaultText: "next to the file, with its name plus .sig",
      help: "The signature file: a path or a URL.",
    },
    TIMEOUT_OPTION,
    JSON_OPTION,
  ],
  examples: [
    "verify-signature my-adapter.lqa --key public.pem",
    "verify-signature hf://owner/my-adapter --key public.pem",
  ],
  load: () => import("./commands/verify-signature.ts"),
};
