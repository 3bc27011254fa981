/**
 * Pushing a file and its model card to where others get it: a model repository of the Hugging Face hub, or an OCI registry.
 *
 * @module
 */
import { isOci } from "./location.ts";
import type { PushOptions, PushPlan, PushTarget } from "./push-plan.ts";

/** Where a push puts a file, and who downloads it how. @throws LqaError USAGE as {@link openPush} */
export async function pushTarget(path: string, location: string): Promise<PushTarget> {
  if (isOci(location)) return (await import("./oci-push.ts")).ociTarget(path, location);
  return await (await import("./hub-push.ts")).hubTarget(path, location);
}

/**
 * Looks at the repository or artifact and says what a push would do.
 *
 * @param path of the file: its name goes where the location has no path
 * @param location `hf://owner/name[@branch][/path.lqa]`, or `oci://host/name[:tag]`
 * @param bytes of the file
 * @param card Markdown; undefined pushes no card
 * @throws LqaError USAGE; OUTPUT_EXISTS for another file of that name, or another artifact with that tag, without `force`;
 * ACCESS_DENIED, NETWORK, HTTP_RESPONSE; MISSING_PACKAGE without `@huggingface/hub`, for the hub; `push` also REMOTE_CHANGED if
 * somebody pushed to the hub meanwhile
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
