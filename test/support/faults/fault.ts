import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { ItemErrorCode } from "../../../src/shared/errors.js";

/** Where the parts of a fault origin listen. */
export interface OriginPlaces {
  readonly port: number;
  /** By certificate. */
  readonly tlsPorts: Readonly<Record<"good" | "expired" | "other-name" | "self-signed", number>>;
  /** Accepts connections and says nothing. */
  readonly silentPort: number;
  /** Nothing listens there. */
  readonly closedPort: number;
  /** Listens on 127.0.0.2 and ::1, which no run of the test may connect to. */
  readonly canaryPort: number;
}

/** One request to a fault's own host name. */
export interface Visit {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** For answers that no HTTP library would write. */
  readonly socket: Socket;
  /** A good JPEG. */
  readonly image: Buffer;
  /** Counts the requests for this fault, from 1. */
  readonly number: number;
  readonly at: OriginPlaces;
}

/** One thing that a web server may do, and what becomes of the item. `docs/fetch.md` has a line for each. */
export interface Fault {
  readonly name: string;
  readonly what: string;
  readonly code: ItemErrorCode | "ok";
  /** `http://NAME.localhost:PORT/` where there is none. */
  readonly uri?: (at: OriginPlaces) => string;
  readonly serve?: (visit: Visit) => void;
}
