/**
 * The images that a compute client owes an answer: which goes to the child next, and who is to blame when the child dies.
 * Pure bookkeeping, no process and no clock; `client` is its only caller.
 *
 * An image is queued, in flight, or a suspect. Where a child dies with images in flight, any of them may be the cause, so
 * all become suspects, and suspects are sent one at a time. A suspect that is answered is cleared. One that two children
 * die over, alone in each, is the culprit, and the suspects left over go back to the queue. One death is no proof: the
 * system's memory killer, or an operator, may have struck at that moment, and a failed row stays for good.
 */

/** An image under way. */
export interface Ledger<T extends object> {
  add(image: T): void;
  /**
   * The next image that may be sent now, with at most `most` in flight, which it is from then on; null where none may.
   */
  send(most: number): { readonly id: number; readonly image: T } | null;
  /** Takes an answered image out; null where it is not in flight, as an answer may cross with a death. */
  settle(id: number): T | null;
  /**
   * The child died. Returns the culprit where it is known: from the second death over one suspect on, or the first where
   * `certain` says that nothing else can have ended the child.
   */
  bury(certain?: boolean): T | null;
  /** The child was ended because of `id`, which is returned; all others that were in flight are queued again, unsuspected. */
  convict(id: number): T | null;
  readonly inFlight: number;
  /** Empties the ledger. */
  drain(): readonly T[];
}

interface Books<T> {
  queued: T[];
  suspects: T[];
  /** By id, in order of sending. */
  readonly inFlight: Map<number, T>;
  /** Whether the one image in flight is a suspect. */
  onTrial: boolean;
  /** The suspect that a child died over once. */
  accused: T | null;
  lastId: number;
}

/** An empty ledger. */
export function createLedger<T extends object>(): Ledger<T> {
  const books: Books<T> = { queued: [], suspects: [], inFlight: new Map(), onTrial: false, accused: null, lastId: 0 };
  return {
    add: (image) => void books.queued.push(image),
    send: (most) => (books.onTrial || books.inFlight.size >= most ? null : sendNext(books)),
    settle(id) {
      const image = books.inFlight.get(id) ?? null;
      books.inFlight.delete(id);
      if (books.inFlight.size === 0) books.onTrial = false;
      if (books.accused === image) books.accused = null;
      return image;
    },
    bury: (certain = false) => (books.onTrial ? tryAccused(books, certain) : suspectAll(books)),
    convict(id) {
      const culprit = books.inFlight.get(id) ?? null;
      books.inFlight.delete(id);
      books.queued = [...recall(books), ...books.queued];
      return culprit;
    },
    get inFlight() {
      return books.inFlight.size;
    },
    drain() {
      const all = [...recall(books), ...books.suspects, ...books.queued];
      books.queued = [];
      books.suspects = [];
      return all;
    },
  };
}

function sendNext<T>(books: Books<T>): { id: number; image: T } | null {
  const isTrial = books.suspects.length > 0;
  if (isTrial && books.inFlight.size > 0) return null;
  const image = isTrial ? books.suspects.shift() : books.queued.shift();
  if (image === undefined) return null;
  books.onTrial = isTrial;
  books.lastId += 1;
  books.inFlight.set(books.lastId, image);
  return { id: books.lastId, image };
}

/** Takes everything back from the child, oldest first. */
function recall<T>(books: Books<T>): T[] {
  const images = [...books.inFlight.values()];
  books.inFlight.clear();
  books.onTrial = false;
  return images;
}

function suspectAll<T>(books: Books<T>): null {
  books.suspects = [...recall(books), ...books.suspects];
  return null;
}

function tryAccused<T>(books: Books<T>, certain: boolean): T | null {
  const [accused] = recall(books);
  if (accused === undefined) return null;
  if (!certain && books.accused !== accused) {
    books.accused = accused;
    books.suspects.unshift(accused);
    return null;
  }
  books.accused = null;
  books.queued = [...books.suspects, ...books.queued];
  books.suspects = [];
  return accused;
}
