/** What requests cost while they wait: connections, descriptors, turns of large bodies, hosts that are given up. Through the fetcher, from a real server. */
import assert from "node:assert/strict";
import { once, setMaxListeners } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { resolveOptions } from "../../../src/shared/options.js";
import { admitAtOnce } from "../../../src/worker/fetch/fetcher.js";
import { createDial, type Dial } from "../../../src/worker/fetch/guarded-connect.js";
import { createHttpFetcher, type HttpFetcherOptions } from "../../../src/worker/fetch/http.js";
import { openHttpTransport } from "../../../src/worker/fetch/http-transport.js";

const never = new AbortController().signal;
setMaxListeners(0, never);
const options = { ...resolveOptions({}), allowPrivate: ["127.0.0.1"], fetchRetries: 1 };

/** The real one, and how many of its connections are open, and were at most. */
function countingDial() {
  const counts = { open: 0, most: 0 };
  const real = createDial();
  const dial: Dial = async (...args) => {
    const socket = await real(...args);
    counts.open += 1;
    counts.most = Math.max(counts.most, counts.open);
    socket.once("close", () => {
      counts.open -= 1;
    });
    return socket;
  };
  return { dial, counts };
}
describe("worker/fetch/http-transport", () => {
  let server: Server;
  let respond: (request: IncomingMessage, response: ServerResponse) => void;
  let fetcher: ReturnType<typeof createHttpFetcher>;
  const at = (host: string, path = "/") => `http://${host}.localhost:${(server.address() as AddressInfo).port}${path}`;
  const open = (given: Partial<HttpFetcherOptions> = {}) => {
    fetcher = createHttpFetcher({ policy: options, maxItemBytes: 10_000, ...given });
  };

  beforeEach(async () => {
    server = createServer((request, response) => respond(request, response));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterEach(async () => {
    await fetcher.close();
    server.closeAllConnections();
    server.close();
  });

  it("waits seconds for the rest of a body that it does not want, not for the whole request's time", async () => {
    const dripping = new Set<NodeJS.Timeout>();
    respond = ({ url }, response) => {
      if (url === "/end") return response.end("x");
      if (url === "/moved") response.writeHead(302, { location: "/end" });
      else response.writeHead(404);
      const timer = setInterval(() => response.write("x"), 20);
      dripping.add(timer);
      return response.on("close", () => {
        clearInterval(timer);
        dripping.delete(timer);
      });
    };
    open({ policy: { ...options, fetchTimeoutMs: 3_600_000 } });
    const [gone, moved] = await Promise.all(["/gone", "/moved"].map((path) => fetcher.fetch(at("a", path), never)));
    assert.equal(gone?.ok || gone?.failure.code, "FETCH_NOT_FOUND");
    assert.ok(moved?.ok);
    while (dripping.size > 0) await sleep(5);
  });

  it("keeps idle connections for seconds, whatever servers ask for, and no more than 256 of them", async () => {
    respond = (_, response) => response.writeHead(200, { "keep-alive": "timeout=600" }).end("x");
    const { dial, counts } = countingDial();
    open({ dial });
    for (let i = 0; i < 300; i += 1) assert.ok((await fetcher.fetch(at(`h${i}`), never)).ok);
    assert.ok(counts.most <= 260, `${counts.most} connections`);
    while (counts.open > 0) await sleep(50);
  });

  it("waits where this machine has no descriptor left, as that says nothing of the item", async () => {
    const lacking = (code: string, address: string) => async () => {
      throw Object.assign(new Error(`connect ${code} ${address}`), { code, address });
    };
    for (const code of ["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "ENETDOWN", "EADDRNOTAVAIL"]) {
      open({ dial: lacking(code, "127.0.0.1") });
      await assert.rejects(fetcher.fetch(at("a"), never), { code: "STORAGE_FAILED" }, code);
      await fetcher.close();
    }
    open({ dial: lacking("EADDRNOTAVAIL", "2001:db8::1") });
    const outcome = await fetcher.fetch(at("a"), never);
    assert.equal(outcome.ok || outcome.failure.code, "FETCH_FAILED", "an IPv6 address where there is no IPv6");
  });

  const large = Buffer.alloc(9 * 2 ** 20);
  const fetchAll = (uris: readonly string[]) =>
    Promise.all(
      uris.map(async (uri) => {
        const outcome = await fetcher.fetch(uri, never);
        return outcome.ok ? "ok" : outcome.failure.code;
      }),
    );

  it("reads one large body of a host at a time, so that slow hosts keep none of others waiting", async () => {
    const held: ServerResponse[] = [];
    respond = ({ headers }, response) => {
      response.write(large);
      if (headers.host?.startsWith("slow")) held.push(response);
      else response.end();
    };
    open({ policy: { ...options, fetchTimeoutMs: 3_600_000, idleTimeoutMs: 3_600_000 }, maxItemBytes: 2 ** 24 });
    const slow = fetchAll(Array.from({ length: 12 }, (_, i) => at(`slow${i % 2}`)));
    while (held.length < 12) await sleep(5);
    assert.deepEqual(await fetchAll([at("good"), at("good")]), ["ok", "ok"]);
    for (const response of held) response.end();
    assert.deepEqual(new Set(await slow), new Set(["ok"]));
  });

  it("lets no large body wait for its turn beyond its deadline, and none keep its turn", async () => {
    respond = ({ headers }, response) => {
      response.write(large);
      if (!headers.host?.startsWith("stuck")) response.end();
    };
    open({ policy: { ...options, fetchRetries: 0, fetchTimeoutMs: 5_000 }, maxItemBytes: 2 ** 24 });
    const stuck = await fetchAll(Array.from({ length: 10 }, (_, i) => at(`stuck${i}`)));
    assert.deepEqual(new Set(stuck), new Set(["FETCH_TIMEOUT"]));
    assert.deepEqual(await fetchAll([at("good")]), ["ok"]);
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

  it("counts a host that is given up as one that is not reached", async () => {
    const dial: Dial = async () => {
      throw Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    };
    const deadHosts = { tries: 1, windowMs: 0, restMs: 600_000 };
    open();
    const transport = openHttpTransport({ policy: options, maxItemBytes: 10_000, dial, deadHosts });
    const origin = new URL(at("dead")).origin;
    const target = { origin, hostname: "dead.localhost", path: "/", headers: {} };
    const ask = () => transport.ask(target, { signal: never, admit: admitAtOnce, shown: "dead" });
    await ask();
    const reply = await ask();
    await transport.close();
    assert.ok(reply.kind === "failed" && reply.isUnreachable && !reply.isRetryable);
    assert.match(reply.failure.message, /its host has answered none of 1 tries/);
  });
});
