/**
 * The web server of `slow-hosts.ts`, in a thread of its own: in the thread that fetches, each would wait for the other, and
 * new connections for a second and more. Its hosts are `h0.localhost`, `h1.localhost`, …; one in `every` is slow.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { parentPort, Worker, workerData } from "node:worker_threads";

export interface SlowServer {
  readonly port: number;
  /** From now on slow hosts answer after so long. */
  slowDown(ms: number): void;
  close(): Promise<void>;
}

/** Starts it on 127.0.0.1. */
export async function startSlowServer(every: number): Promise<SlowServer> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { every } });
  const [port] = await once(worker, "message");
  return {
    port,
    slowDown: (ms) => worker.postMessage(ms),
    close: async () => void (await worker.terminate()),
  };
}

async function serve(every: number): Promise<void> {
  let delayMs = 0;
  parentPort?.on("message", (ms: number) => {
    delayMs = ms;
  });
  const body = Buffer.alloc(100_000);
  const server = createServer(({ headers, url }, response) => {
    const host = Number(/^h(\d+)\./.exec(headers.host ?? "")?.[1]);
    // No two with the same bytes, which would go through the model once.
    setTimeout(() => response.write(String(url), () => response.end(body)), host % every === 0 ? delayMs : 0);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  parentPort?.postMessage((server.address() as AddressInfo).port);
}

if (parentPort !== null) await serve(workerData.every);
