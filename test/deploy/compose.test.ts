import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { assertSettings, deployRoot, pinnedImage } from "../support/deploy.js";

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly stop_grace_period?: string;
}

const read = (path: string) => readFile(join(deployRoot, path), "utf8");

describe("deploy/compose.yaml", () => {
  let services: Readonly<Record<string, Service>> = {};
  let volumes: Readonly<Record<string, object>> = {};
  before(async () => {
    ({ services, volumes } = parse(await read("compose.yaml"), { merge: true }));
    assert.deepEqual(Object.keys(services), ["redis", "worker", "exporter", "prometheus", "grafana"]);
  });

  it("takes images of one version each, or builds its own from a file that is there", () => {
    for (const [name, { image, build }] of Object.entries(services)) {
      if (build === undefined) assert.match(image, pinnedImage, name);
      else assert.ok(existsSync(join(deployRoot, build.context, build.dockerfile)), name);
    }
  });

  it("mounts what is there or declared", () => {
    for (const volume of Object.values(services).flatMap((service) => service.volumes ?? [])) {
      const [from = ""] = volume.split(/:(?=\/)/);
      if (from.startsWith("./")) assert.ok(existsSync(join(deployRoot, from)), from);
      else assert.ok(from.startsWith("$") || from in volumes, from);
    }
  });

  it("opens ports to this machine alone", () => {
    for (const port of Object.values(services).flatMap((service) => service.ports ?? [])) {
      assert.match(port, /^127\.0\.0\.1:/);
    }
  });

  it("runs labelmill on a read-only image without rights, and has the password from outside", () => {
    for (const name of ["worker", "exporter"]) {
      const { read_only, cap_drop, environment = {} } = services[name] ?? {};
      assert.deepEqual([read_only, cap_drop], [true, ["ALL"]]);
      assert.match(environment.REDIS_URL ?? "", /\$\{REDIS_PASSWORD\}@redis:6379$/);
      assertSettings(environment);
    }
  });

  it("has a Redis that keeps what it is given", () => {
    const redis = JSON.stringify(services.redis);
    for (const setting of ["appendonly yes", "maxmemory-policy noeviction", "requirepass %s"]) {
      assert.ok(redis.includes(setting), setting);
    }
  });

  it("gives a worker longer to end than it takes to drain", () => {
    assert.ok(Number.parseInt(services.worker?.stop_grace_period ?? "", 10) > 10);
  });

  it("scrapes its own services, and shows the dashboard from its own Prometheus", async () => {
    const { scrape_configs: jobs } = parse(await read("prometheus/prometheus.yml"));
    assert.deepEqual(jobs[0].static_configs, [{ targets: ["exporter:9464"] }]);
    assert.deepEqual(jobs[1].dns_sd_configs, [{ names: ["worker"], type: "A", port: 9464 }]);
    assert.equal(
      parse(await read("grafana/provisioning/datasource.yaml")).datasources[0].url,
      "http://prometheus:9090",
    );
    const [{ options }] = parse(await read("grafana/provisioning/dashboards.yaml")).providers;
    assert.ok(
      services.grafana?.volumes?.some((volume) => volume.includes(options.path)),
      options.path,
    );
  });
});
