import type { Storage } from "../dataset/storage/storage.js";
import { isListPinned, requireItems } from "../producer/enqueue.js";
import { openSubmission, type PinnedModel, type Submission } from "../producer/submission.js";
import type { WebAccess } from "../worker/fetch/open-fetcher.js";
import { openRemoteFiles } from "../worker/fetch/open-remote-files.js";
import type { CallContext } from "./context.js";
import type { StoreAccess } from "./web-access.js";

/**
 * Opens the sources of a call, its stdin where they hold `-`, and lists and shards of web servers by the rules of `web`.
 * Throws RUN_SOURCE_*, OPTION_INVALID.
 */
export function openCall(
  { options, places, signal }: CallContext,
  sources: readonly string[],
  { model, web }: { readonly model: PinnedModel; readonly web: WebAccess & StoreAccess },
): Promise<Submission> {
  const stdin = { open: places.openStdin, signal };
  const remote = openRemoteFiles({ http: options, ...web, signal });
  const s3 = { access: web.s3, proxy: web.proxy, signal };
  return openSubmission(sources, options, { cwd: places.cwd, signal, stdin, s3, remote, model });
}

/**
 * Throws RUN_SOURCE_EMPTY where the sources hold no item. They are not read where the whole list is pinned already: a
 * resume does what is pinned, and stdin would hold something else.
 */
export async function requireItemsOnce({ log }: CallContext, { source }: Submission, place: Storage, name: string) {
  if (await isListPinned(place)) log.info("the list is pinned already; the source is not read again");
  else await requireItems(source, name);
}
