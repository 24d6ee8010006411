import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once, setMaxListeners } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { resolveOptions } from "../../../src/shared/options.js";
import { version } from "../../../src/shared/version.js";
import type { Admit } from "../../../src/worker/fetch/fetcher.js";
import { createDial, type Dial } from "../../../src/worker/fetch/guarded-connect.js";
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

  it("keeps a connection for the next request, also after an answer that it does not want", async () => {
    respond = ({ url }, response) => response.writeHead(url === "/gone" ? 404 : 200).end("x".repeat(5_000));
    open();
    for (let i = 0; i < 20; i += 1) await fetcher.fetch(at("a", i % 2 === 0 ? "/" : "/gone"), never);
    // The pool may open a second one while the first is just becoming free.
    assert.ok(connections <= 2, `${connections} connections`);
  });

  it("asks one host so many times at once, and others meanwhile; who waits for a host holds no slot", async () => {
    const active = new Map<string, number>();
    let most = 0;
    respond = async ({ headers: { host = "" } }, response) => {
      const now = (active.get(host) ?? 0) + 1;
      active.set(host, now);
      most = Math.max(most, now);
      if (host.startsWith("slow")) await sleep(60);
      active.set(host, (active.get(host) ?? 0) - 1);
      response.end("x");
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
    const slow = Promise.all(Array.from({ length: 8 }, () => fetcher.fetch(at("slow"), never, admit)));
    let isSlowDone = false;
    void slow.then(() => {
      isSlowDone = true;
    });
    for (let i = 0; i < 5; i += 1) assert.ok((await fetcher.fetch(at("fast"), never, admit)).ok);
    assert.ok(!isSlowDone, "the fast host was not waited behind the slow one");
    await slow;
    assert.deepEqual([most, mostSlots, slots], [2, 3, 0]);
  });

  it("leaves a host alone for as long as it asks, and no other", async () => {
    const times: number[] = [];
    respond = ({ url }, response) => {
      times.push(performance.now());
      if (times.length === 1) response.writeHead(429, { "retry-after": "1" }).end();
      else response.end(url);
    };
    open();
    const busy = fetcher.fetch(at("busy", "/1"), never);
    while (times.length === 0) await sleep(5);
    await sleep(20);
    const second = fetcher.fetch(at("busy", "/2"), never);
    assert.ok((await fetcher.fetch(at("other"), never)).ok);
    assert.equal(times.length, 2);
    assert.ok((await busy).ok && (await second).ok);
    const [first = 0, , ...later] = times;
    for (const time of later) assert.ok(time - first >= 990, `${time - first} ms after it asked for a second`);
  });

  it("sends a host's headers to that host and scheme alone, through redirects too", async () => {
    const seen: string[] = [];
    respond = ({ headers, url }, response) => {
      seen.push(`${headers.host?.split(".")[0]} ${headers.authorization ?? "none"}`);
      if (url === "/") response.writeHead(302, { location: at("other", "/end") }).end();
      else response.end("x");
    };
    const own = { authorization: "Bearer hunter2" };
    open({
      hostHeaders: new Map([
        ["http://own.localhost", own],
        ["https://secure.localhost", own],
      ]),
    });
    await fetcher.fetch(at("own"), never);
    await fetcher.fetch(at("secure"), never);
    assert.deepEqual(seen, ["own Bearer hunter2", "other none", "secure none", "other none"]);
  });

  it("rejects with the signal's reason, whatever it waits for", async () => {
    respond = ({ url }, response) => {
      if (url === "/busy") response.writeHead(503, { "retry-after": "20" }).end();
      if (url === "/stalled") response.write("x");
    };
    open({ policy: { ...options, perHost: 1 } });
    const controller = new AbortController();
    const paths = ["/busy", "/silent", "/stalled", "/queued"];
    const waiting = paths.map((path) =>
      fetcher.fetch(at(path === "/queued" ? "silent" : path.slice(1), path), controller.signal),
    );
    await sleep(50);
    const reason = new Error("enough");
    controller.abort(reason);
    for (const each of waiting) await assert.rejects(each, reason);
    await assert.rejects(fetcher.fetch(at("a"), controller.signal), reason);
  });

  it("reads large bodies a few at a time, and lets none wait beyond its deadline", async () => {
    const large = Buffer.alloc(9 * 2 ** 20);
    respond = ({ headers }, response) => {
      response.write(large);
      if (!headers.host?.startsWith("stuck")) response.end();
    };
    open({ policy: { ...options, fetchRetries: 0, fetchTimeoutMs: 3_000 }, maxItemBytes: 2 ** 24 });
    const fetchAll = (name: string, count: number) =>
      Promise.all(Array.from({ length: count }, (_, i) => fetcher.fetch(at(`${name}${i}`), never)));
    const stuck = fetchAll("stuck", 8);
    await sleep(1_500);
    const [late] = await fetchAll("late", 1);
    assert.ok(late?.ok, `it has its turn when the stuck ones end: ${JSON.stringify(late)}`.slice(0, 300));
    assert.deepEqual(
      new Set((await stuck).map((each) => (each.ok ? "ok" : each.failure.code))),
      new Set(["FETCH_TIMEOUT"]),
    );
    const good = (await fetchAll("good", 12)).map((each) => (each.ok ? "ok" : each.failure.message));
    assert.deepEqual(new Set(good), new Set(["ok"]));
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

  it("gives a host up that answers nothing, fails its items at once, and asks it again after a rest", async () => {
    let dials = 0;
    let isDead = true;
    const real = createDial();
    const dial: Dial = async (given, timeoutMs) => {
      if (!isDead) return real(given, timeoutMs);
      dials += 1;
      throw Object.assign(new Error("timed out"), { code: "UND_ERR_CONNECT_TIMEOUT" });
    };
    respond = (_, response) => response.end("x");
    const openDead = (restMs: number) =>
      open({ policy: { ...options, fetchRetries: 0 }, deadHosts: { tries: 10, windowMs: 100, restMs }, dial });
    /** Asks until the host is given up; returns how many items took their own try. */
    const giveUp = async () => {
      for (let own = 0; ; own += 1) {
        const outcome = await fetcher.fetch(at("dead"), never);
        assert.ok(!outcome.ok);
        assert.equal(outcome.failure.code, "FETCH_TIMEOUT");
        if (/its host has answered none of \d+ tries/.test(outcome.failure.message)) return own;
      }
    };
    openDead(600_000);
    assert.ok((await giveUp()) >= 10);
    const before = dials;
    const rest = await Promise.all(Array.from({ length: 2_000 }, () => fetcher.fetch(at("dead"), never)));
    assert.ok(rest.every((each) => !each.ok));
    assert.equal(dials - before, 0, "connections for 2,000 items of a dead host");
    await fetcher.close();
    openDead(50);
    await giveUp();
    isDead = false;
    while (!(await fetcher.fetch(at("dead"), never)).ok) await sleep(5);
    assert.ok((await fetcher.fetch(at("dead"), never)).ok, "an answer ends it for all");
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
