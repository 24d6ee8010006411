import { openStorage } from "../dataset/storage/open-storage.js";
import type { Storage } from "../dataset/storage/storage.js";
import type { StoreSettings } from "../shared/s3/client.js";
import { isS3Uri } from "../shared/s3-uri.js";
import type { CallContext } from "./context.js";
import { readStoreSettings } from "./web-access.js";

/** How the store of a dataset is reached; a directory is read whatever is said of stores. Throws OPTION_INVALID. */
export function storeFor(
  location: string,
  { options, places }: Pick<CallContext, "options" | "places">,
): StoreSettings | undefined {
  return isS3Uri(location) ? readStoreSettings(options, places) : undefined;
}

/**
 * Opens datasets by their location, in a directory or an object store, for the time of a call. An interrupt does not cut
 * requests off, since chunks in hand are committed after it; the end of the call does. Throws OPTION_INVALID.
 */
export function createDatasetOpener({
  options,
  places,
  ended,
}: Pick<CallContext, "options" | "places" | "ended">): (location: string) => Storage {
  return (location) => openStorage(location, storeFor(location, { options, places }), ended);
}
