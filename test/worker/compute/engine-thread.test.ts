import assert from "node:assert/strict";
import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { EngineThreadSettings } from "../../../src/worker/compute/engine-client.js";
import { resnet50ForTests } from "../../support/model.js";
import type { LimitedAnswer } from "./limited-child.js";

/** Of util-linux; changes a running process's limits. */
const prlimit = "/usr/bin/prlimit";

describe("worker/compute/engine-thread", () => {
  it("halves a batch where the process gets no more memory, and answers as before", async function () {
    this.timeout(300_000);
    if (!existsSync(prlimit) || !existsSync("/proc/self/status")) return this.skip();
    const { modelDir, modelSha256 } = await resnet50ForTests();
    const settings: EngineThreadSettings = {
      modelDir,
      modelSha256,
      engine: "onnx",
      precision: "fp32",
      calibration: null,
      observe: false,
      batchSize: 64,
      engineThreads: 2,
      withLogits: false,
    };
    const entry = fileURLToPath(new URL("./limited-child.js", import.meta.url));
    const child = fork(entry, [JSON.stringify(settings)], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    let said = "";
    child.stderr?.on("data", (data: Buffer) => {
      said += String(data);
    });
    try {
      await once(child, "message");
      // The largest layers of 64 images need twice 196 MiB at a time, and V8 needs some for itself, or aborts.
      limitData(child.pid ?? 0, 350 * 2 ** 20);
      const ended = once(child, "close").then(([code, signal]) =>
        assert.fail(`the child ended with ${code ?? signal}: ${said}`),
      );
      child.send("go");
      const [{ lowered, same, loweredLater }] = (await Promise.race([once(child, "message"), ended])) as [
        LimitedAnswer,
      ];
      assert.ok(lowered.length >= 1, "it was not limited");
      assert.deepEqual(
        lowered.map(({ limit }) => limit),
        [32, 16, 8, 4, 2, 1].slice(0, lowered.length),
      );
      assert.match(lowered[0]?.reason ?? "", /bad_alloc|Failed to allocate memory/);
      assert.deepEqual([same, loweredLater], [64, 0]);
    } finally {
      child.kill("SIGKILL");
    }
  });
});

/** Lets a process have `bytes` of data more than it has now; then the system gives it none. */
function limitData(pid: number, bytes: number): void {
  const kibibytes = /^VmData:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  execFileSync(prlimit, [`--pid=${pid}`, `--data=${Number(kibibytes) * 1024 + bytes}`]);
}
