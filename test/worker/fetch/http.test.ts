import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once, setMaxListeners } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { resolveOptions } from "../../../src/shared/options.js";
import { version } from "../../../src/shared/version.js";
import type { Admit } from "../../../src/worker/fetch/fetcher.js";
import { createHttpFetcher, type HttpFetcherOptions } from "../../../src/worker/fetch/http.js";

const never = new AbortController().signal;
setMaxListeners(0, never);

const options = { ...resolveOptions({}), allowPrivate: ["127.0.0.1"], fetchRetries: 1 };

describe("worker/fetch/http", () => {
  let server: Server;
  let port: number;
  let connections: number;
  let respond: (request: IncomingMessage, response: ServerResponse) => void;
  let fetcher: ReturnType<typeof createHttpFetcher>;
  const at = (host: string, path = "/") => `http://${host}.localhost:${port}${path}`;
  const open = (given: Partial<HttpFetcherOptions> = {}) => {
    fetcher = createHttpFetcher({ policy: options, maxItemBytes: 10_000, ...given });
    return fetcher;
  };

  beforeEach(async () => {
    connections = 0;
    server = createServer((request, response) => respond(request, response));
    server.on("connection", () => {
      connections += 1;
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as AddressInfo).port;
  });

  afterEach(async () => {
    await fetcher.close();
    server.closeAllConnections();
    server.close();
  });

  it("gives the bytes, their digest, and what the server says of them; and says who asks", async () => {
    const bytes = Buffer.from("not really an image");
    let asked: IncomingMessage["headers"] = {};
    respond = ({ headers }, response) => {
      asked = headers;
      response.writeHead(200, { etag: '"v1"', "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT" }).end(bytes);
    };
    const outcome = await open({ policy: { ...options, contact: "mailto:ops@example.org" } }).fetch(
      at("a", "/x?y=1#z"),
      never,
    );
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const modifiedAt = new Date("1994-11-06T08:49:37Z");
    assert.deepEqual(outcome, { ok: true, value: { bytes, sha256, etag: '"v1"', modifiedAt } });
    assert.equal(asked["user-agent"], `labelmill/${version} (+mailto:ops@example.org)`);
    assert.equal(asked["accept-encoding"], "identity");
    respond = (_, response) => response.writeHead(200, { "last-modified": "yesterday" }).end(bytes);
    const plain = await fetcher.fetch(at("a"), never);
    assert.deepEqual(plain, { ok: true, value: { bytes, sha256, etag: null, modifiedAt: null } });
  });

  it("says that bytes are unchanged where the server does, through redirects too, and gives them where it does not", async () => {
    respond = ({ url, headers }, response) => {
      if (url === "/from") response.writeHead(302, { location: "/to" }).end();
      else if (headers["if-none-match"] === '"v1"') response.writeHead(304, { etag: '"v1"' }).end();
      else response.writeHead(200, { etag: '"v2"' }).end("new");
    };
    const known = { etag: '"v1"', modifiedAt: null };
    assert.equal(await open().fetchUnless(known, at("a", "/from"), never), "unchanged");
    const other = await fetcher.fetchUnless({ ...known, etag: '"v0"' }, at("a"), never);
    assert.ok(other !== "unchanged" && other.ok);
    assert.equal(other.value.etag, '"v2"');
  });

  it("takes unchanged bytes that a server marks as not to be used for refused, and an answer of 304 to a plain request for a status", async () => {
    respond = (_, response) => response.writeHead(304, { "x-robots-tag": "noai" }).end();
    const policy = { ...options, respectRobotsTag: true };
    const marked = await open({ policy }).fetchUnless({ etag: '"v1"', modifiedAt: null }, at("a"), never);
    assert.ok(marked !== "unchanged" && !marked.ok);
    assert.equal(marked.failure.code, "POLICY_ROBOTS");
    respond = (_, response) => response.writeHead(304).end();
    const plain = await fetcher.fetch(at("a"), never);
    assert.equal(plain.ok ? "ok" : plain.failure.code, "FETCH_STATUS");
  });

  it("keeps a connection for the next request, also after an answer that it does not want", async () => {
    respond = ({ url }, response) => response.writeHead(url === "/gone" ? 404 : 200).end("x".repeat(5_000));
    open();
    for (let i = 0; i < 20; i += 1) await fetcher.fetch(at("a", i % 2 === 0 ? "/" : "/gone"), never);
    // The pool may open a second one while the first is just becoming free.
    assert.ok(connections <= 2, `${connections} connections`);
  });

  it("asks one host so many times at once, and others meanwhile; who waits for a host holds no slot", async () => {
    const held: (() => void)[] = [];
    let isHolding = true;
    let active = 0;
    let most = 0;
    respond = ({ headers: { host = "" } }, response) => {
      if (!host.startsWith("slow")) return response.end("x");
      active += 1;
      most = Math.max(most, active);
      const answer = () => {
        active -= 1;
        response.end("x");
      };
      return isHolding ? held.push(answer) : setImmediate(answer);
    };
    let slots = 0;
    let mostSlots = 0;
    const admit: Admit = async (place) => {
      assert.equal(place, "network");
      slots += 1;
      mostSlots = Math.max(mostSlots, slots);
      return () => {
        slots -= 1;
      };
    };
    open({ policy: { ...options, perHost: 2 } });
    // With the dot of the root it is the same server.
    const uris = Array.from({ length: 8 }, (_, i) =>
      at("slow").replace(".localhost", `.localhost${".".repeat(i % 3)}`),
    );
    const slow = uris.map((uri) => fetcher.fetch(uri, never, admit));
    for (let i = 0; i < 5; i += 1) assert.ok((await fetcher.fetch(at("fast"), never, admit)).ok);
    while (active < 2) await sleep(5);
    isHolding = false;
    for (const answer of held) answer();
    for (const each of slow) assert.ok((await each).ok);
    assert.deepEqual([most, mostSlots, slots], [2, 3, 0]);
  });

  it("leaves a host alone while it asks for that, and no other", async () => {
    const asked: string[] = [];
    respond = ({ headers: { host = "" } }, response) => {
      asked.push(host.split(".")[0] ?? "");
      if (host.startsWith("busy")) response.writeHead(429, { "retry-after": "30" }).end();
      else response.end("x");
    };
    open();
    const controller = new AbortController();
    const answered = new Promise<void>((resolve) => {
      const admit: Admit = async () => resolve;
      fetcher.fetch(at("busy", "/1"), controller.signal, admit).catch(() => {});
    });
    await answered;
    const second = fetcher.fetch(at("busy", "/2"), controller.signal);
    assert.ok((await fetcher.fetch(at("other"), never)).ok);
    assert.deepEqual(asked, ["busy", "other"]);
    controller.abort(new Error("enough"));
    await assert.rejects(second, /enough/);
  });

  it("fails all items of a host that asks to be left alone for longer than 30 s, without asking it again", async () => {
    let asked = 0;
    respond = ({ headers: { host } }, response) => {
      if (host?.startsWith("other")) return response.end("x");
      asked += 1;
      return response.writeHead(429, { "retry-after": "3600" }).end();
    };
    open({ policy: { ...options, perHost: 2 } });
    const outcomes = await Promise.all(Array.from({ length: 9 }, (_, i) => fetcher.fetch(at("busy", `/${i}`), never)));
    const last = await fetcher.fetch(at("busy", "/last"), never);
    const codes = [...outcomes, last].map((each) => each.ok || each.failure.code);
    assert.deepEqual(new Set(codes), new Set(["FETCH_STATUS"]));
    assert.match(
      last.ok ? "" : last.failure.message,
      /status 429 for its whole host, which asks to wait 3\d{3} s more$/,
    );
    assert.ok(asked <= 2, `asked ${asked} times`);
    assert.ok((await fetcher.fetch(at("other"), never)).ok);
  });

  it("sends a server's headers to that scheme, host and port alone, through redirects too", async () => {
    const seen: string[] = [];
    const note = ({ headers: { host, authorization = "none" } }: IncomingMessage) =>
      seen.push(`${host?.split(".localhost")[0]} ${authorization}`);
    respond = (request, response) => {
      note(request);
      if (request.url === "/") response.writeHead(302, { location: at("other", "/end") }).end();
      else response.end("x");
    };
    const another = createServer((request, response) => {
      note(request);
      response.end("x");
    });
    another.listen(0, "127.0.0.1");
    await once(another, "listening");
    const own = { authorization: "Bearer hunter2" };
    open({
      hostHeaders: new Map([
        [`http://own.localhost:${port}`, own],
        [`https://secure.localhost:${port}`, own],
        ["http://plain.localhost", own],
      ]),
    });
    await fetcher.fetch(at("own"), never);
    await fetcher.fetch(at("own").replace(".localhost", ".localhost."), never);
    await fetcher.fetch(at("secure"), never);
    await fetcher.fetch(at("plain", "/end"), never);
    await fetcher.fetch(`http://own.localhost:${(another.address() as AddressInfo).port}/`, never);
    another.closeAllConnections();
    another.close();
    assert.deepEqual(seen, [
      ...["own Bearer hunter2", "other none", "own Bearer hunter2", "other none"],
      ...["secure none", "other none", "plain none", "own none"],
    ]);
  });

  it("rejects with the signal's reason, whatever it waits for", async () => {
    const asked = new Set<string>();
    respond = ({ url = "" }, response) => {
      asked.add(url);
      if (url === "/busy") response.writeHead(503, { "retry-after": "20" }).end();
      if (url === "/stalled") response.write("x");
    };
    open({ policy: { ...options, perHost: 1 } });
    const controller = new AbortController();
    const paths = ["/busy", "/silent", "/stalled", "/queued"];
    const waiting = paths.map((path) =>
      fetcher.fetch(at(path === "/queued" ? "silent" : path.slice(1), path), controller.signal),
    );
    while (asked.size < 3) await sleep(5);
    const reason = new Error("enough");
    controller.abort(reason);
    for (const each of waiting) await assert.rejects(each, reason);
    await assert.rejects(fetcher.fetch(at("a"), controller.signal), reason);
  });

  it("reaches servers through a proxy where there is one, and keeps what it knows of their addresses", async () => {
    const proxied: unknown[] = [];
    respond = ({ url, headers }, response) => {
      if (headers.host === `direct.localhost:${port}`) return response.end("direct");
      proxied.push(url);
      return response.end("by proxy");
    };
    server.on("connect", ({ url }, socket: Socket) => {
      proxied.push(url);
      socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    });
    const url = `http://127.0.0.1:${port}`;
    const resolve = async () => assert.fail("names are for the proxy");
    open({
      resolve,
      proxy: { http: url, https: url, direct: "direct.localhost" },
      policy: { ...options, fetchRetries: 0 },
    });
    const plain = await fetcher.fetch("http://images.test/a.jpg", never);
    assert.equal(plain.ok && Buffer.from(plain.value.bytes).toString(), "by proxy");
    const secure = await fetcher.fetch("https://images.test/a.jpg", never);
    assert.equal(secure.ok || secure.failure.code, "FETCH_FAILED");
    assert.deepEqual(proxied, ["http://images.test/a.jpg", "images.test:443"]);
    for (const refused of ["http://169.254.169.254/", "http://10.0.0.1/", "https://[::ffff:127.0.0.1]/"]) {
      const outcome = await fetcher.fetch(refused, never);
      assert.equal(outcome.ok || outcome.failure.code, "FETCH_BLOCKED", refused);
    }
    assert.equal(proxied.length, 2);
  });

  it("ends its connections when it is closed", async () => {
    respond = (_, response) => response.end("x");
    await open().fetch(at("a"), never);
    const [socket] = await new Promise<unknown[]>((resolve) => server.getConnections((_, n) => resolve([n])));
    assert.equal(socket, 1);
    await fetcher.close();
    for (let left = 1; left > 0; await sleep(5))
      left = await new Promise((resolve) => server.getConnections((_, n) => resolve(n)));
  });
});
