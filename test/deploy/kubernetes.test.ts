/** No cluster is here: the manifests are parsed, and what they refer to and promise is looked for in them. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse, parseAllDocuments } from "yaml";
import { metricTable } from "../../src/shared/metrics.js";
import { assertSettings, deployRoot } from "../support/deploy.js";
import { isThere } from "../support/prometheus.js";

const read = (path: string) => readFile(join(deployRoot, path), "utf8");

describe("deploy/kubernetes", () => {
  const folders = ["base", "gpu", "trial"];
  const readManifests = async (): Promise<readonly Manifest[]> => {
    const paths = await Promise.all(
      folders.map(async (folder) => {
        const names = await readdir(join(deployRoot, "kubernetes", folder));
        const { resources } = parse(await read(`kubernetes/${folder}/kustomization.yaml`)) as { resources: string[] };
        const own = resources.filter((each) => each.endsWith(".yaml"));
        assert.deepEqual([...own, "kustomization.yaml"].sort(), names.sort(), `${folder} lists its files`);
        return own.map((name) => `kubernetes/${folder}/${name}`);
      }),
    );
    const texts = await Promise.all(paths.flat().map(read));
    return texts.flatMap((text) =>
      parseAllDocuments(text).map((document) => {
        assert.deepEqual(document.errors, []);
        return document.toJSON() as Manifest;
      }),
    );
  };
  const isPodMaker = ({ kind }: Manifest) => kind === "Deployment" || kind === "StatefulSet";

  it("runs every pod without root, rights or a writable image, and with probes and limits", async () => {
    const makers = (await readManifests()).filter(isPodMaker);
    const names = makers.map(({ metadata }) => metadata.name).sort();
    assert.deepEqual(names, ["labelmill-exporter", "labelmill-worker", "labelmill-worker-gpu", "redis"]);
    for (const { spec, metadata } of makers) {
      assert.deepEqual(spec.selector?.matchLabels, spec.template?.metadata.labels, metadata.name);
      const pod = spec.template?.spec as Pod;
      assert.deepEqual([pod.automountServiceAccountToken, pod.securityContext.runAsNonRoot], [false, true]);
      for (const { name, securityContext, livenessProbe, readinessProbe, resources } of pod.containers) {
        const rights = {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        };
        assert.deepEqual(securityContext, rights);
        const promised = [livenessProbe, readinessProbe, resources.requests.cpu, resources.limits.memory];
        assert.ok(
          promised.every((each) => each !== undefined),
          name,
        );
      }
    }
  });

  it("sets options that exist, has secrets by reference, and mounts what is declared", async () => {
    for (const { spec } of (await readManifests()).filter(isPodMaker)) {
      const pod = spec.template?.spec as Pod;
      const claims = (spec.volumeClaimTemplates ?? []).map((claim) => claim.metadata.name);
      const volumes = [...(pod.volumes ?? []).map(({ name }) => name), ...claims];
      const variables = pod.containers.flatMap(({ env = [] }) => env);
      const values = variables.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value] as const]));
      assertSettings(Object.fromEntries(values));
      for (const [name] of values) assert.doesNotMatch(name, /URL|PASSWORD/);
      for (const { name } of pod.containers.flatMap(({ volumeMounts = [] }) => volumeMounts)) {
        assert.ok(volumes.includes(name), name);
      }
    }
  });

  it("gives a worker longer to end than it takes to drain", async () => {
    for (const { spec, metadata } of (await readManifests()).filter(({ kind }) => kind === "Deployment")) {
      const pod = spec.template?.spec as Pod;
      const drain = pod.containers[0]?.env?.find(({ name }) => name === "LABELMILL_DRAIN_TIMEOUT_MS")?.value;
      if (drain !== undefined)
        assert.ok((pod.terminationGracePeriodSeconds ?? 30) * 1000 > Number(drain) + 5_000, metadata.name);
    }
  });

  it("scales each kind of worker from zero by the exporter's one figure", async () => {
    const manifests = await readManifests();
    const named = (kind: string, name: string) =>
      manifests.find((each) => each.kind === kind && each.metadata.name === name) ?? assert.fail(`no ${kind} ${name}`);
    const scaled = manifests.filter(({ kind }) => kind === "ScaledObject");
    assert.equal(scaled.length, 2);
    for (const { spec, metadata } of scaled) {
      assert.equal(metadata.name, spec.scaleTargetRef?.name);
      assert.equal(named("Deployment", metadata.name).spec.replicas, undefined, "or an apply would set it");
      assert.equal(spec.minReplicaCount, 0);
      const { url, valueLocation, format } = spec.triggers?.[0]?.metadata ?? {};
      assert.equal(format, "prometheus");
      assert.deepEqual(
        metricTable[valueLocation as keyof typeof metricTable].labels,
        [],
        "it is found by its name alone",
      );
      const { hostname, port, pathname } = new URL(url ?? "");
      assert.deepEqual([named("Service", hostname).spec.ports?.[0]?.port, pathname], [Number(port), "/metrics"]);
      assert.equal(named("PodDisruptionBudget", metadata.name).spec.maxUnavailable, "25%");
    }
  });

  const render = (folder: string) =>
    spawnSync("kubectl", ["kustomize", join(deployRoot, "kubernetes", folder)], { encoding: "utf8" });

  it("renders", function () {
    if (!isThere("kubectl")) return this.skip();
    for (const folder of ["base", "trial"]) {
      const { status, stdout, stderr } = render(folder);
      assert.equal(status, 0, stderr);
      assert.doesNotMatch(stdout, /image: labelmill$/m, "each image has its tag");
    }
  });

  it("fits the schemas of Kubernetes and KEDA", async function () {
    // Not among the dependencies, as they are 50 MB: npm install --no-save kubernetes-models@4 @kubernetes-models/keda@2
    const load = (path: string): Promise<Record<string, ModelClass>> => import(path);
    if ((await load("kubernetes-models/v1/Service").catch(() => null)) === null) return this.skip();
    for (const manifest of await readManifests()) {
      const { apiVersion, kind } = manifest;
      const root = apiVersion.startsWith("keda.sh/") ? "@kubernetes-models/keda" : "kubernetes-models";
      const Model = (await load(`${root}/${apiVersion}/${kind}`))[kind] ?? assert.fail(`no schema of ${kind}`);
      assert.doesNotThrow(() => new Model(manifest).validate(), `${kind} ${manifest.metadata.name}`);
    }
  });
});

type ModelClass = new (manifest: unknown) => { validate(): void };

interface Pod {
  readonly automountServiceAccountToken: boolean;
  readonly terminationGracePeriodSeconds?: number;
  readonly securityContext: { readonly runAsNonRoot: boolean };
  readonly volumes?: readonly { readonly name: string }[];
  readonly containers: readonly {
    readonly name: string;
    readonly securityContext: object;
    readonly livenessProbe?: object;
    readonly readinessProbe?: object;
    readonly resources: { readonly requests: { readonly cpu: string }; readonly limits: { readonly memory: string } };
    readonly env?: readonly { readonly name: string; readonly value?: string }[];
    readonly volumeMounts?: readonly { readonly name: string }[];
  }[];
}

/** As far as it is looked at here. */
interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly replicas?: number;
    readonly selector?: { readonly matchLabels: object };
    readonly template?: { readonly metadata: { readonly labels: object }; readonly spec: Pod };
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
    readonly ports?: readonly { readonly port: number }[];
    readonly maxUnavailable?: string;
    readonly minReplicaCount?: number;
    readonly scaleTargetRef?: { readonly name: string };
    readonly triggers?: readonly { readonly metadata: Readonly<Record<string, string>> }[];
  };
}
