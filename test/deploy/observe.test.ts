/** The alerts and the dashboard of `deploy/`, against what a real worker and a real exporter say. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { enqueue } from "labelmill";
import { parse } from "yaml";
import { metricTable } from "../../src/shared/metrics.js";
import { type RunningCli, startCli } from "../support/cli.js";
import { copyDistinct } from "../support/copies.js";
import { scrape } from "../support/metrics.js";
import { resnet50ForTests } from "../support/model.js";
import { isThere, startPrometheus } from "../support/prometheus.js";
import { startTestRedis, type TestRedis } from "../support/redis.js";
import { projectRoot } from "../support/shared-data.js";
import { useTempDir } from "../support/temp-dir.js";

const deploy = join(projectRoot, "deploy");

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly runbook: string };
}

async function readAlerts(): Promise<readonly Alert[]> {
  const file = parse(await readFile(join(deploy, "prometheus/alerts.yml"), "utf8"));
  return file.groups.flatMap((group: { rules: Alert[] }) => group.rules);
}

async function readQueries(): Promise<readonly string[]> {
  const dashboard = JSON.parse(await readFile(join(deploy, "grafana/labelmill.json"), "utf8"));
  const panels: readonly { targets?: readonly { expr: string }[] }[] = dashboard.panels;
  return panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
}

const namesIn = (expression: string) => expression.match(/\b(?:labelmill|process|nodejs)_\w+/g) ?? [];

describe("deploy/observe", function () {
  this.timeout(180_000);
  const tempDir = useTempDir();

  it("has for every alert a line in the runbook, a case that fires and one that does not", async () => {
    const page = await readFile(join(projectRoot, "docs/operations.md"), "utf8");
    const { tests } = parse(await readFile(join(deploy, "prometheus/alerts.test.yml"), "utf8"));
    const cases: { alertname: string; exp_alerts: unknown[] }[] = tests.flatMap(
      (test: { alert_rule_test: [] }) => test.alert_rule_test,
    );
    for (const { alert, annotations } of await readAlerts()) {
      assert.equal(annotations.runbook, `docs/operations.md#${alert.toLowerCase()}`);
      assert.match(page, new RegExp(`^#### ${alert}$`, "m"));
      const fires = cases.filter(({ alertname }) => alertname === alert).map((each) => each.exp_alerts.length > 0);
      assert.deepEqual([...new Set(fires)].sort(), [false, true], alert);
    }
  });

  it("fires as its recorded cases say", function () {
    if (!isThere("promtool")) return this.skip();
    const options = { cwd: join(deploy, "prometheus"), encoding: "utf8" } as const;
    for (const args of [
      ["check", "rules", "alerts.yml"],
      ["test", "rules", "alerts.test.yml"],
      ["check", "config", "prometheus.yml"],
    ]) {
      const { status, stdout, stderr } = spawnSync("promtool", args, options);
      assert.equal(status, 0, stdout + stderr);
    }
  });

  describe("on a real run", () => {
    let server: TestRedis;
    const started: RunningCli[] = [];
    before(async () => {
      await resnet50ForTests();
      server = await startTestRedis();
    });
    after(async () => {
      for (const cli of started) cli.process.kill("SIGKILL");
      await Promise.all(started.map(({ result }) => result));
      await server.close();
    });

    const startTold = async (args: readonly string[]) => {
      const cli = startCli([...args, "--metrics-port", "0", "--redis-url", server.url]);
      started.push(cli);
      await cli.said(/"url":"http:/);
      return /"url":"http:\/\/([^"]+)"/.exec(cli.stderr())?.[1] ?? "";
    };

    /** Of a run that is done by the worker, and of one that it may not read and so leaves under way. */
    async function enqueueRuns(): Promise<void> {
      const source = join(tempDir(), "some");
      await mkdir(source);
      const rocket = join(projectRoot, "examples/photos/rocket.jpg");
      for (let i = 0; i < 24; i += 1) await copyDistinct(rocket, join(source, `${i}.jpg`), i);
      await writeFile(join(source, "bad.jpg"), "no image");
      await enqueue(source, { out: join(tempDir(), "a"), redisUrl: server.url, chunkSize: 8 });
      await enqueue(join(projectRoot, "examples/photos"), { out: join(tempDir(), "b"), redisUrl: server.url });
    }

    it("knows every figure of the dashboard and of the alerts", async () => {
      const targets = [await startTold(["exporter"]), await startTold(["work", "--allow-root", tempDir()])];
      await enqueueRuns();
      const wanted = [...(await readQueries()), ...(await readAlerts()).map(({ expr }) => expr)].flatMap(namesIn);
      const missing = async () => {
        const samples = await Promise.all(targets.map((target) => scrape(`http://${target}`)));
        const known = new Set(samples.flat().map(({ name }) => name));
        return wanted.filter((name) => !known.has(name));
      };
      // A worker's own come once its model is loaded.
      while ((await missing()).length > 0) await sleep(200);
    });

    it("answers every query of the dashboard, as Prometheus scrapes it", async function () {
      if (!isThere("prometheus")) return this.skip();
      const targets = [await startTold(["exporter"]), await startTold(["work", "--allow-root", tempDir()])];
      const prometheus = await startPrometheus(tempDir(), targets);
      const isAnswered = async (query: string) => {
        const values = await prometheus.query(query);
        return values.length > 0 && values.every(Number.isFinite);
      };
      try {
        // From then on every counter's way is seen from its beginning.
        while (!(await isAnswered("labelmill_engine_info"))) await sleep(200);
        await enqueueRuns();
        for (const query of await readQueries()) {
          const whole = query.replaceAll("$__rate_interval", "30m").replaceAll("$run", ".*");
          while (!(await isAnswered(whole))) await sleep(200);
        }
        for (const { expr } of await readAlerts()) await prometheus.query(expr);
      } finally {
        await prometheus.close();
      }
    });

    it("uses every figure of the table in the dashboard or an alert, so that none is kept for nobody", async () => {
      const used = new Set(
        [...(await readQueries()), ...(await readAlerts()).map(({ expr }) => expr)].flatMap(namesIn),
      );
      const forReading = ["labelmill_build_info", "labelmill_run_failures"];
      const unused = Object.keys(metricTable).filter((name) => !used.has(name) && !forReading.includes(name));
      assert.deepEqual(unused, []);
    });
  });
});
