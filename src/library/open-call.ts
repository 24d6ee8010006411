import type { Storage } from "../dataset/storage/storage.js";
import { isListPinned, requireItems } from "../producer/enqueue.js";
import type { SourcePlace } from "../producer/source/open-source.js";
import { openSubmission, type PinnedModel, type Submission } from "../producer/submission.js";
import type { WebAccess } from "../worker/fetch/open-fetcher.js";
import { openRemoteFiles } from "../worker/fetch/open-remote-files.js";
import { openAgainst } from "./against.js";
import type { CallContext } from "./context.js";
import type { StoreAccess } from "./web-access.js";

/** What the sources of a call are opened with: its stdin where they hold `-`, lists and shards of web servers by the rules of `web`. */
export function sourcePlaceOf({ options, places, signal }: CallContext, web: WebAccess & StoreAccess): SourcePlace {
  const stdin = { open: places.openStdin, signal };
  const remote = openRemoteFiles({ http: options, ...web, signal });
  return { cwd: places.cwd, signal, stdin, s3: { access: web.s3, proxy: web.proxy, signal }, remote };
}

/** Opens the sources of a call. Throws RUN_SOURCE_*, OPTION_INVALID, and of `--against` what `openAgainst` does. */
export async function openCall(
  context: CallContext,
  sources: readonly string[],
  { model, web }: { readonly model: PinnedModel; readonly web: WebAccess & StoreAccess },
): Promise<Submission> {
  const against = await openAgainst(context, model);
  return openSubmission(sources, context.options, { ...sourcePlaceOf(context, web), model, against });
}

/**
 * Throws RUN_SOURCE_EMPTY where the sources hold no item. They are not read where the whole list is pinned already: a
 * resume does what is pinned, and stdin would hold something else.
 */
export async function requireItemsOnce({ log }: CallContext, { source }: Submission, place: Storage, name: string) {
  if (await isListPinned(place)) log.info("the list is pinned already; the source is not read again");
  else await requireItems(source, name);
}
