/**
 * An S3 store on loopback: fauxqs behind a proxy of our own that checks every signature against what really came over the
 * wire, which fauxqs does not, keeps the first of several conditional writes, which fauxqs does not either, and can do what
 * stores do when they are busy or broken. It says `AccessDenied` to who signs
 * nothing, but for public buckets.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, request as requestOf, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { startFauxqs } from "fauxqs";
import { parseListPage } from "../../../src/shared/s3/answers.js";
import { encodePath, type S3Credentials, signRequest } from "../../../src/shared/s3/sign.js";

/** What the proxy does in place of an answer, or with it. */
/** `lost`: it is done, and the answer does not arrive. */
export type StoreFault = "500" | "503" | "reset" | "short" | "slow" | "lost";
export const storeFaults: readonly StoreFault[] = ["500", "503", "reset", "short", "slow"];

/** The store's user: each part is found wherever it is written by mistake. */
export const testCredentials: S3Credentials = {
  accessKeyId: "CANARYID0123456789",
  secretAccessKey: "canary-secret-0123456789",
  sessionToken: "canary/session+token==",
};

/** As a process takes them. */
export const testCredentialEnv = {
  AWS_ACCESS_KEY_ID: testCredentials.accessKeyId,
  AWS_SECRET_ACCESS_KEY: testCredentials.secretAccessKey,
  AWS_SESSION_TOKEN: testCredentials.sessionToken ?? "",
  AWS_EC2_METADATA_DISABLED: "true",
};

/** A request as it came, decoded. */
export interface StoreRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly isSigned: boolean;
  /** Counts the requests of this method for this path and query, from 1. */
  readonly number: number;
}

export interface TestStore {
  readonly url: string;
  /** Every request but those of `put`, in the order in which they came. */
  readonly requests: readonly StoreRequest[];
  /** Decides what goes wrong; nothing does unless set. */
  fault: (request: StoreRequest) => StoreFault | null;
  /** An answer that is given before the store is asked; none unless set. */
  answer: (request: StoreRequest, response: ServerResponse) => boolean;
  readonly publicBuckets: Set<string>;
  /** Whether `If-None-Match` is heeded, as it is by default. */
  isConditional: boolean;
  /** The keys in a bucket and their contents. */
  objects(bucket: string): Promise<Map<string, Buffer>>;
  put(bucket: string, objects: Readonly<Record<string, Buffer>>): Promise<void>;
  close(): Promise<void>;
}

const slowMs = 300;

/** Starts both. */
export async function startTestStore(): Promise<TestStore> {
  const inner = await startFauxqs({ port: 0, logger: false });
  const visits = new Map<string, number>();
  const requests: StoreRequest[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    const { pathname, searchParams: query } = new URL(`http://store${request.url}`);
    const { method = "" } = request;
    const number = (visits.get(`${method} ${request.url}`) ?? 0) + 1;
    visits.set(`${method} ${request.url}`, number);
    const isSigned = request.headers.authorization !== undefined;
    const visit: StoreRequest = { method, path: decodeURIComponent(pathname), query, isSigned, number };
    requests.push(visit);
    const refusal = refusalOf(request, visit, store.publicBuckets);
    if (refusal !== null) fail(response, 403, refusal);
    else if (!store.answer(visit, response)) void serve(request, response, store.fault(visit));
  });
  /** One write of a key at a time. */
  const writes = new Map<string, Promise<void>>();
  const serve = async (request: IncomingMessage, response: ServerResponse, fault: StoreFault | null) => {
    const body = await bodyOf(request);
    if (body === null) return;
    const asked = { request, response, body, port: inner.port };
    const digest = createHash("sha256").update(body).digest("hex");
    const isWhole = request.headers.authorization === undefined || request.headers["x-amz-content-sha256"] === digest;
    if (!isWhole) return fail(response, 400, "XAmzContentSHA256Mismatch");
    if (request.method !== "PUT" || request.headers["if-none-match"] === undefined || !store.isConditional)
      return forward(asked, fault);
    const key = request.url ?? "";
    const turn = (writes.get(key) ?? Promise.resolve()).then(async () => {
      const { status } = await fetch(`http://127.0.0.1:${inner.port}${key}`, { method: "HEAD" });
      if (status === 200 && fault === null) fail(response, 412, "PreconditionFailed");
      else if (status === 200) await forward({ ...asked, refuse: true }, fault);
      else await forward(asked, fault);
    });
    writes.set(key, turn);
    await turn;
  };
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const store: TestStore = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    fault: () => null,
    answer: () => false,
    publicBuckets: new Set(),
    isConditional: true,
    objects: (bucket) => contentOf(`http://127.0.0.1:${inner.port}/${bucket}`),
    async put(bucket, objects) {
      inner.createBucket(bucket);
      for (const [key, body] of Object.entries(objects)) {
        const url = `http://127.0.0.1:${inner.port}/${bucket}/${encodePath(key)}`;
        const stored = await fetch(url, { method: "PUT", body: new Uint8Array(body) });
        await stored.text();
        if (!stored.ok) throw new Error(`could not put ${key}: ${stored.status}`);
      }
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await inner.stop();
    },
  };
  return store;
}

/** The code of a request that S3 would refuse; null for a good one. */
function refusalOf(request: IncomingMessage, { path }: StoreRequest, publicBuckets: ReadonlySet<string>) {
  const { authorization, host = "", ...headers } = request.headers;
  if (authorization === undefined) return publicBuckets.has(path.split("/")[1] ?? "") ? null : "AccessDenied";
  const form = /Credential=([^/]+)\/\d{8}\/([^/]+)\/s3\/aws4_request,SignedHeaders=([^,]+),/.exec(authorization);
  const [, id = "", region = "", names = ""] = form ?? [];
  if (id !== testCredentials.accessKeyId) return "InvalidAccessKeyId";
  const time = String(headers["x-amz-date"]).replace(/^(....)(..)(..)T(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6Z");
  const made = /^(x-amz-(date|content-sha256|security-token)|host)$/;
  const others = names.split(";").filter((name) => !made.test(name));
  const url = new URL(`http://store${request.url}`);
  const signable = {
    method: request.method ?? "",
    host,
    path: request.url?.split("?")[0] ?? "",
    query: Object.fromEntries(url.searchParams),
    headers: Object.fromEntries(others.map((name) => [name, String(headers[name])])),
    bodySha256: String(headers["x-amz-content-sha256"]),
  };
  const expected = signRequest(signable, testCredentials, { region, at: new Date(time) });
  return expected.authorization === authorization ? null : "SignatureDoesNotMatch";
}

/** As S3 says it, with all that it quotes. */
function fail(response: ServerResponse, status: number, code: string): void {
  const quoted = `<StringToSign>AWS4 ${testCredentials.accessKeyId}</StringToSign>`;
  response.writeHead(status, { "content-type": "application/xml" });
  response.end(`<?xml version="1.0"?>\n<Error><Code>${code}</Code><Message>no</Message>${quoted}</Error>`);
}

/** Null where the client went away. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | null> {
  const blocks: Buffer[] = [];
  try {
    for await (const block of request) blocks.push(block);
  } catch {
    return null;
  }
  return Buffer.concat(blocks);
}

interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: Buffer;
  readonly port: number;
  /** A condition does not hold: the store is not asked. */
  readonly refuse?: boolean;
}

/** Resolves when the store has answered, so that the next write of the key finds what this one left. */
async function forward({ request, response, body, port, refuse = false }: Asked, fault: StoreFault | null) {
  if (fault === "500") return fail(response, 500, "InternalError");
  if (fault === "503") return fail(response, 503, "SlowDown");
  if (fault === "reset") return request.socket.resetAndDestroy();
  if (fault === "slow") await sleep(slowMs);
  if (refuse) return fail(response, 412, "PreconditionFailed");
  const { authorization: _, ...headers } = request.headers;
  const asked = requestOf({ port, host: "127.0.0.1", path: request.url, method: request.method, headers });
  asked.end(body);
  const [answer] = (await once(asked, "response").catch(() => [null])) as [IncomingMessage | null];
  if (answer === null) return void response.destroy();
  if (fault === "lost") return request.socket.resetAndDestroy();
  response.writeHead(answer.statusCode ?? 500, answer.headers);
  const length = request.method === "GET" ? Number(answer.headers["content-length"] ?? 0) : 0;
  const half = Math.floor(length / 2);
  if (fault === "short" && half > 0) answer.once("data", (data: Buffer) => cut(response, data.subarray(0, half)));
  else answer.pipe(response);
}

async function contentOf(bucket: string): Promise<Map<string, Buffer>> {
  const content = new Map<string, Buffer>();
  let token: string | null = "";
  while (token !== null) {
    const next: string = token === "" ? "" : `&continuation-token=${encodeURIComponent(token)}`;
    const page = parseListPage(await (await fetch(`${bucket}?list-type=2&encoding-type=url${next}`)).text());
    for (const key of page.keys) {
      content.set(key, Buffer.from(await (await fetch(`${bucket}/${encodePath(key)}`)).arrayBuffer()));
    }
    token = page.next;
  }
  return content;
}

/** Fewer bytes than promised, then the end of the connection. */
function cut(response: ServerResponse, start: Buffer): void {
  response.write(start, () => response.socket?.end());
}
