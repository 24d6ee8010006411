import type { HttpPolicy } from "./http-client.js";
import type { HttpStream, StreamStart } from "./http-stream.js";
import type { WebAccess } from "./open-fetcher.js";

export interface RemoteFilesOptions extends Partial<WebAccess> {
  /** How web servers are asked. */
  readonly http: HttpPolicy;
  readonly signal: AbortSignal;
}

/**
 * Streams of files that are far away, for sources that list them: their port is the producer's `RemoteFiles`. Throws
 * RUN_SOURCE_UNREADABLE.
 */
export function openRemoteFiles({ http: policy, signal, hostHeaders = new Map(), proxy = null }: RemoteFilesOptions) {
  return {
    async read(uri: string, start: StreamStart): Promise<HttpStream> {
      // Loaded with the first address: see `open-fetcher`.
      const { openHttpStream } = await import("./http-stream.js");
      return openHttpStream(uri, start, { policy, hostHeaders, proxy }, signal);
    },
  };
}
