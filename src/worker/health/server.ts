/**
 * The server of `/livez`, `/readyz` and `/metrics`. It answers from what is known and holds nothing up: few connections, short
 * requests, no body. It speaks plain HTTP without a password, so it listens on this machine alone unless told otherwise;
 * what it says holds no uri, no path and no credential. Opened by `library/health.ts`.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { LabelmillError, messageOf } from "../../shared/errors.js";
import type { Log } from "../../shared/log.js";
import type { MetricSource } from "../../shared/metrics.js";
import type { Verdict } from "./checks.js";
import { metricsType, writeMetrics } from "./registry.js";

export interface HealthChecks {
  live(): Verdict;
  ready(): Promise<Verdict>;
  readonly sources: readonly MetricSource[];
}

export interface HealthServer {
  /** `http://127.0.0.1:9464` */
  readonly url: string;
  close(): Promise<void>;
}

/** More than probes and scrapes need at once. */
const mostConnections = 32;
const requestTimeoutMs = 5_000;
/** Node looks for late requests no more often; by itself each 30 s, and so long 32 of them would keep probes out. */
const connectionsCheckingInterval = 1_000;

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Listens when this resolves. Throws HEALTH_LISTEN. */
export function startHealthServer(
  { host, port }: { readonly host: string; readonly port: number },
  checks: HealthChecks,
  log: Log,
): Promise<HealthServer> {
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const given = await answer(request, checks).catch((error: unknown) => {
      log.error("could not answer a probe or a scrape", { error: messageOf(error) });
      return plain(500, "an error; the log has it");
    });
    send(response, given, request.method === "HEAD");
  };
  const times = { headersTimeout: requestTimeoutMs, requestTimeout: requestTimeoutMs, connectionsCheckingInterval };
  const server = createServer(times, (request, response) => void serve(request, response));
  server.maxConnections = mostConnections;
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      reject(new LabelmillError("HEALTH_LISTEN", { host, port, reason: messageOf(error) }, { cause: error }));
    });
    server.listen(port, host, () => {
      const { address, family, port: taken } = server.address() as AddressInfo;
      resolve({
        url: `http://${family === "IPv6" ? `[${address}]` : address}:${taken}`,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            server.closeAllConnections();
          }),
      });
    });
  });
}

async function answer({ method, url = "" }: IncomingMessage, checks: HealthChecks): Promise<Answer> {
  if (method !== "GET" && method !== "HEAD") return plain(405, "expected GET");
  switch (url.split("?", 1)[0]) {
    case "/livez":
      return verdict(checks.live());
    case "/readyz":
      return verdict(await checks.ready());
    case "/metrics":
      return { status: 200, type: metricsType, body: await writeMetrics(checks.sources) };
    default:
      return plain(404, "expected /livez, /readyz or /metrics");
  }
}

const plain = (status: number, text: string): Answer => ({
  status,
  type: "text/plain; charset=utf-8",
  body: `${text}\n`,
});
const verdict = ({ ok, says }: Verdict) => plain(ok ? 200 : 503, says);

function send(response: ServerResponse, { status, type, body }: Answer, isHead: boolean): void {
  // What a probe got is of that moment.
  response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
  response.end(isHead ? undefined : body);
}
