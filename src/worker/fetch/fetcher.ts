import type { Outcome } from "../outcome.js";

/** The encoded bytes of one item, whole, and what its place says of them. */
export interface FetchedBytes {
  readonly bytes: Uint8Array;
  /** Lower-case hex digest of `bytes`. */
  readonly sha256: string;
  /** The server's or store's tag, null where the place has none (files). */
  readonly etag: string | null;
  readonly modifiedAt: Date | null;
}

/** What is known of the bytes that were there before. */
export interface KnownBytes {
  readonly etag: string | null;
  readonly modifiedAt: Date | null;
}

/** What a fetch is bound by, and so which limit of the process it counts against. */
export type FetchPlace = "disk" | "network";

/**
 * Resolves, with the function that gives the slot back, when the process may fetch one more. A fetcher asks when it is
 * about to start and not while it waits for something else, so that a slow place takes no slot from the others.
 */
export type Admit = (place: FetchPlace) => Promise<() => void>;

/** For callers with limits of their own. */
export const admitAtOnce: Admit = async () => () => {};

/** The port: gets the bytes behind a uri. Adapters are the other files of this folder; `open-fetcher` chooses one. */
export interface Fetcher {
  /**
   * Resolves for every uri, whatever is there: a missing, forbidden, oversized or unreadable one is a failure value.
   * Rejects with `signal.reason` when aborted, and with STORAGE_FAILED where not the item but its place or this machine
   * fails, so that it may succeed later. `admit` is `admitAtOnce` where it is not given.
   */
  fetch(uri: string, signal: AbortSignal, admit?: Admit): Promise<Outcome<FetchedBytes>>;
  /**
   * The same, but the place is asked whether its bytes are still the `known` ones, and does not send them then. A place that
   * cannot tell sends them all the same, so the caller compares what comes. @default `fetch`, where it is absent
   */
  fetchUnless?(
    known: KnownBytes,
    uri: string,
    signal: AbortSignal,
    admit?: Admit,
  ): Promise<Outcome<FetchedBytes> | "unchanged">;
}
