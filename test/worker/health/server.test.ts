import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { silentLog } from "../../../src/shared/log.js";
import { metricTable } from "../../../src/shared/metrics.js";
import { type HealthChecks, startHealthServer } from "../../../src/worker/health/server.js";
import { figureOf, parseMetrics, probe, scrape } from "../../support/metrics.js";

const checks: HealthChecks = {
  live: () => ({ ok: true, says: "fine" }),
  ready: async () => ({ ok: false, says: "not yet" }),
  sources: [
    () => [{ name: "labelmill_rows_total", labels: { status: "failed", code: 'odd "code"\n' }, value: 3 }],
    async () => [{ name: "labelmill_queue_chunks", value: 7 }],
  ],
};

describe("worker/health/server", () => {
  const start = (given: Partial<HealthChecks> = {}, port = 0) =>
    startHealthServer({ host: "127.0.0.1", port }, { ...checks, ...given }, silentLog);

  it("answers probes with 200 or 503 and a line that says why", async () => {
    const server = await start();
    assert.deepEqual(await probe(server.url, "/livez"), { status: 200, text: "fine\n" });
    assert.deepEqual(await probe(server.url, "/readyz?verbose"), { status: 503, text: "not yet\n" });
    await server.close();
  });

  it("writes figures of all sources and of the process, each with its type and its help", async () => {
    const server = await start();
    const { text } = await probe(server.url, "/metrics");
    assert.match(text, /^# TYPE labelmill_rows_total counter$/m);
    assert.match(text, /^# HELP labelmill_queue_chunks chunks that wait/m);
    const samples = parseMetrics(text);
    assert.equal(figureOf(samples, "labelmill_queue_chunks"), 7);
    assert.equal(figureOf(samples, "labelmill_rows_total", { status: "failed" }), 3);
    assert.ok((figureOf(samples, "process_resident_memory_bytes") ?? 0) > 10_000_000);
    assert.notEqual(figureOf(samples, "nodejs_eventloop_lag_p99_seconds"), undefined);
    await server.close();
  });

  it("has no figure of what has none now, and adds nothing up from one scrape to the next", async () => {
    let isThere = true;
    const server = await start({
      sources: [() => (isThere ? [{ name: "labelmill_chunks_in_hand", value: 2 }] : [])],
    });
    assert.equal(figureOf(await scrape(server.url), "labelmill_chunks_in_hand"), 2);
    assert.equal(figureOf(await scrape(server.url), "labelmill_chunks_in_hand"), 2);
    isThere = false;
    assert.equal(figureOf(await scrape(server.url), "labelmill_chunks_in_hand"), undefined);
    await server.close();
  });

  it("lets go of requests that do not come to their end, however many, so that probes get in", async function () {
    // Of the 5 s that a request may take; Node itself would look after 30.
    this.timeout(20_000);
    const server = await start();
    const port = Number(new URL(server.url).port);
    const halves = Array.from({ length: 40 }, () => connect(port, "127.0.0.1").resume());
    for (const half of halves) half.write("GET /liv");
    await Promise.all(halves.map((half) => once(half, "close").catch(() => {})));
    assert.equal((await probe(server.url, "/livez")).status, 200);
    await server.close();
  });

  it("refuses other paths and methods, and answers HEAD without a body", async () => {
    const server = await start();
    assert.equal((await probe(server.url, "/")).status, 404);
    assert.equal((await fetch(`${server.url}/livez`, { method: "POST", body: "x" })).status, 405);
    const head = await fetch(`${server.url}/livez`, { method: "HEAD" });
    assert.deepEqual([head.status, await head.text()], [200, ""]);
    await server.close();
  });

  it("answers 500 where a source fails, and goes on", async () => {
    let fails = true;
    const server = await start({
      sources: [
        async () => {
          if (fails) throw new Error("no figures");
          return [];
        },
      ],
    });
    assert.equal((await probe(server.url, "/metrics")).status, 500);
    fails = false;
    assert.equal((await probe(server.url, "/metrics")).status, 200);
    await server.close();
  });

  it("says of an address that is in use what to do about it", async () => {
    const server = await start();
    const port = Number(new URL(server.url).port);
    await assert.rejects(start({}, port), {
      code: "HEALTH_LISTEN",
      message: new RegExp(`127.0.0.1:${port}.*EADDRINUSE`),
    });
    await server.close();
  });

  it("has no label that could hold a uri, a host or a path", () => {
    const labels = new Set(Object.values(metricTable).flatMap((spec) => [...spec.labels]));
    const bounded = ["version", "status", "code", "outcome", "stage", "engine", "device", "model", "precision"];
    assert.deepEqual([...labels].sort(), [...bounded, "run", "state"].sort());
  });
});
