/**
 * Pushes a file and its model card to a model repository of the Hugging Face hub, or to an OCI registry.
 *
 * @module
 */
import { isOci } from "./location.ts";
import type { PushOptions, PushPlan, PushTarget } from "./push-plan.ts";

/** The target of a push, and the address from which others download it. @throws LqaError USAGE as {@link openPush} */
export async function pushTarget(path: string, location: string): Promise<PushTarget> {
  if (isOci(location)) return (await import("./oci-push.ts")).ociTarget(path, location);
  return await (await import("./hub-push.ts")).hubTarget(path, location);
}

/**
 * Reads the state of the repository or artifact and plans a push.
 *
 * @param path path of the file; its name is used if the location has no path
 * @param location `hf://owner/name[@branch][/path.lqa]`, or `oci://host/name[:tag]`
 * @param bytes contents of the file
 * @param card Markdown; undefined pushes no card
 * @throws LqaError USAGE; OUTPUT_EXISTS for another file with that name, or another artifact with that tag, without `force`;
 * ACCESS_DENIED, NETWORK, HTTP_RESPONSE; MISSING_PACKAGE for the hub without `@huggingface/hub`; `push` also REMOTE_CHANGED if
 * someone pushed to the hub meanwhile
 */
export async function openPush(
  path: string,
  location: string,
  bytes: Uint8Array,
  card: string | undefined,
  options: PushOptions = {},
): Promise<PushPlan> {
  const open = isOci(location)
    ? (await import("./oci-push.ts")).openOciPush
    : (await import("./hub-push.ts")).openHubPush;
  return await open(path, location, bytes, card, options);
}
