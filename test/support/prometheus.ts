/** A real Prometheus, for tests; Debian's package `prometheus` has it. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./free-port.js";

/** Whether `program` is on the search path. */
export function isThere(program: string): boolean {
  return spawnSync(program, ["--version"]).error === undefined;
}

export interface TestPrometheus {
  /** The values of an instant query. Throws where it is no query. */
  query(expression: string): Promise<readonly number[]>;
  close(): Promise<void>;
}

/** Scrapes `targets` (`host:port`) every second, and keeps what it has in `directory`. */
export async function startPrometheus(directory: string, targets: readonly string[]): Promise<TestPrometheus> {
  const config = {
    global: { scrape_interval: "1s" },
    scrape_configs: [{ job_name: "labelmill", static_configs: [{ targets }] }],
  };
  const file = join(directory, "prometheus.yml");
  // JSON is YAML.
  await writeFile(file, JSON.stringify(config));
  const address = `127.0.0.1:${await freePort()}`;
  const flags = [`--config.file=${file}`, `--storage.tsdb.path=${join(directory, "data")}`];
  const child = spawn("prometheus", [...flags, `--web.listen-address=${address}`], { stdio: "ignore" });
  const ended = once(child, "exit");
  const get = (path: string) => fetch(`http://${address}${path}`).catch(() => null);
  while ((await get("/-/ready"))?.ok !== true) {
    if (child.exitCode !== null) throw new Error(`prometheus ended with ${child.exitCode}`);
    await sleep(100);
  }
  return {
    async query(expression) {
      const response = await get(`/api/v1/query?query=${encodeURIComponent(expression)}`);
      const answer = (await response?.json()) as Answer;
      if (answer.status !== "success") throw new Error(`${expression}: ${answer.error}`);
      return answer.data.result.map(({ value: [, value] }) => Number(value));
    },
    async close() {
      child.kill();
      await ended;
    },
  };
}

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data: { readonly result: readonly { readonly value: readonly [number, string] }[] };
}
