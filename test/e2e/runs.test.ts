import assert from "node:assert/strict";
import { copyFile, mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cancelRun, listRuns, pauseRun, removeRun, resumeRun, run, showRun, watchRun } from "labelmill";
import { verifyResults } from "../../src/results/verify.js";
import { isCode } from "../../src/shared/errors.js";
import { startMortalRedis } from "../chaos/processes.js";
import { type RunningCli, runCli, startCli } from "../support/cli.js";
import { resnet50ForTests } from "../support/model.js";
import { projectRoot } from "../support/shared-data.js";
import { useTempDir } from "../support/temp-dir.js";

const items = 64;

describe("e2e/runs", function () {
  this.timeout(300_000);
  const tempDir = useTempDir();
  const stateHome = process.env.XDG_STATE_HOME;
  before(() => resnet50ForTests());
  // Private runs of this machine's user are not of interest, and not to be shown.
  beforeEach(() => {
    process.env.XDG_STATE_HOME = join(tempDir(), "state");
  });
  afterEach(() => {
    if (stateHome === undefined) delete process.env.XDG_STATE_HOME;
    else process.env.XDG_STATE_HOME = stateHome;
  });

  /** A source of `items` photos, and the arguments of a run of it. */
  async function prepare(): Promise<{ source: string; out: string; args: string[] }> {
    const source = join(tempDir(), "many");
    await mkdir(source);
    for (let i = 0; i < items; i += 1)
      await copyFile(join(projectRoot, "examples/photos/rocket.jpg"), join(source, `${i + 100}.jpg`));
    const out = join(tempDir(), "out");
    return { source, out, args: [source, "--out", out, "--chunk-size", "4"] };
  }

  const partsOf = async (out: string) =>
    (await readdir(join(out, "parts")).catch(() => [])).filter((name) => name.startsWith("part-"));
  const timesOf = (out: string, names: readonly string[]) =>
    Promise.all(names.map(async (name) => (await stat(join(out, "parts", name))).mtimeMs));
  const kill = async (...running: readonly RunningCli[]) => {
    for (const { process } of running) process.kill("SIGKILL");
    for (const { result } of running) await result;
  };

  /** Resolves once a part is there; a command that ends before is an error, where it would be waited for without end. */
  async function firstPart(out: string, { process: child, stderr }: RunningCli): Promise<void> {
    while ((await partsOf(out)).length === 0) {
      if (child.exitCode !== null)
        assert.fail(`the command ended with ${child.exitCode} before its first part: ${stderr()}`);
      await sleep(20);
    }
  }

  /** The run that `command` makes in `out`, paused once a part is there and nothing is in hand any more. */
  async function pauseMidway(out: string, command: RunningCli, redisUrl?: string): Promise<string> {
    await firstPart(out, command);
    const [found] = await listRuns({ redisUrl });
    const runId = found?.runId ?? "";
    assert.equal((await pauseRun(runId, { redisUrl })).changed, true);
    while ((await showRun(runId, { redisUrl })).chunks.inHand > 0) await sleep(20);
    return runId;
  }

  /** A server that is asked while it ends is an error, and gone soon. */
  async function serverIsGone(runId: string): Promise<void> {
    const redisOf = () => showRun(runId).then(({ redis }) => redis);
    const orEnding = (error: unknown) => {
      if (!isCode(error, "REDIS_SERVER_FAILED")) throw error;
    };
    while ((await redisOf().catch(orEnding)) !== null) await sleep(50);
  }

  async function assertWhole(out: string): Promise<void> {
    const { complete, rows, problems } = await verifyResults(out);
    assert.deepEqual({ complete, rows, problems }, { complete: true, rows: items, problems: [] });
  }

  it("keeps a run paused, and loses nothing, where everything is killed with -9 and started again", async () => {
    const { source, out, args } = await prepare();
    const server = await startMortalRedis(tempDir());
    const redisUrl = server.url;
    try {
      const start = () => [
        startCli(["run", ...args, "--redis-url", redisUrl]),
        startCli(["work", "--redis-url", redisUrl, "--allow-root", source]),
      ];
      const first = start();
      assert.ok(first[0] !== undefined);
      const runId = await pauseMidway(out, first[0], redisUrl);
      await kill(...first);
      await server.bounce(100);
      const kept = await partsOf(out);
      const written = await timesOf(out, kept);
      const [again, worker] = start();
      assert.ok(again !== undefined && worker !== undefined);
      await again.said(new RegExp(`paused; labelmill runs resume ${runId}`));
      await worker.said(/worker ready/);
      // Two looks of the workers at what there is to do.
      await sleep(2_200);
      const { state, ok, chunks } = await showRun(runId, { redisUrl });
      assert.deepEqual(
        [state, ok, chunks.inHand, chunks.done + chunks.waiting],
        ["paused", kept.length * 4, 0, items / 4],
      );
      assert.deepEqual(await partsOf(out), kept);
      assert.equal((await resumeRun(runId, { redisUrl })).from, "paused");
      const { code, stderr } = await again.result;
      assert.equal(code, 0, stderr);
      worker.process.kill("SIGTERM");
      assert.equal((await worker.result).code, 0, worker.stderr());
      await assertWhole(out);
      assert.deepEqual(await timesOf(out, kept), written, "finished parts are not redone");
    } finally {
      await server.close();
    }
  });

  it("keeps a run with a private Redis paused as well, and tells of it while nothing runs", async () => {
    const { out, args } = await prepare();
    const first = startCli(["run", ...args]);
    const runId = await pauseMidway(out, first);
    await kill(first);
    await serverIsGone(runId);
    const left = await showRun(runId);
    assert.deepEqual([left.state, left.items, left.chunks.done], ["interrupted", items, (await partsOf(out)).length]);
    assert.match(left.note ?? "", /repeat the command that started it to go on; it is paused still/);
    await assert.rejects(resumeRun(runId), { code: "RUN_STATE", message: /interrupted: no process has it in hand/ });
    const again = startCli(["run", ...args]);
    await again.said(/paused; labelmill runs resume/);
    assert.equal((await showRun(runId)).state, "paused");
    await resumeRun(runId.slice(0, -1));
    assert.equal((await again.result).code, 0, again.stderr());
    await assertWhole(out);
    assert.deepEqual(await listRuns(), [], "the private server is gone with all that it kept");
  });

  it("cancels a run under its command, which says so, and takes it up again with the same command", async () => {
    const { out, args } = await prepare();
    const running = startCli(["run", ...args]);
    await firstPart(out, running);
    const [found] = await listRuns();
    const watching = watchRun(found?.runId ?? "", { everyMs: 100 });
    await cancelRun(found?.runId ?? "");
    const { code, stderr } = await running.result;
    assert.equal(code, 1, stderr);
    assert.match(stderr, /was cancelled; repeat the same command to take it up again.*\[RUN_CANCELLED\]\n$/);
    assert.equal((await watching).state, "cancelled");
    const { complete, problems } = await verifyResults(out);
    assert.deepEqual({ complete, problems }, { complete: false, problems: [] });
    const { stdout } = await runCli(["runs", "list", "--json"]);
    const [listed] = JSON.parse(stdout).runs;
    assert.deepEqual([listed.runId, listed.state, listed.redis], [found?.runId, "cancelled", null]);
    const again = await runCli(["run", ...args]);
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stderr, /the run was cancelled; it is taken up again where it was/);
    await assertWhole(out);
  });

  it("tells what a finished run came to, until its record is removed, which leaves the dataset", async () => {
    const source = join(projectRoot, "examples/photos");
    const server = await startMortalRedis(tempDir());
    const redisUrl = server.url;
    try {
      const [a, b] = [join(tempDir(), "a"), join(tempDir(), "b")];
      const done = await run(source, { out: a, redisUrl, priority: 3, keep: "1h" });
      await run(source, { out: b, redisUrl, chunkSize: 1 });
      const { runId } = done.summary;
      const shown = await runCli(["runs", "show", runId, "--redis-url", redisUrl, "--json"]);
      const report = JSON.parse(shown.stdout);
      assert.deepEqual([report.state, report.ok, report.priority, report.out], ["completed", 4, 3, a]);
      assert.ok(report.stageSeconds.inference > 0 && report.boundBy !== null && report.imagesPerSecond > 0);
      assert.deepEqual({ ...(await showRun(runId, { redisUrl })), workers: report.workers }, report);
      const watched = await runCli(["runs", "watch", runId, "--redis-url", redisUrl]);
      assert.equal(watched.code, 0, watched.stderr);
      assert.match(watched.stdout, /state +completed\n/);
      const ambiguous = await runCli(["runs", "rm", runId.slice(0, 2), "--redis-url", redisUrl]);
      assert.equal(ambiguous.code, 2);
      assert.match(ambiguous.stderr, new RegExp(`may be any of the runs .*${runId}.*give more of the id`));
      const unknown = await runCli(["runs", "show", `${runId.slice(0, -1)}z`, "--redis-url", redisUrl]);
      assert.equal(unknown.code, 2);
      assert.match(unknown.stderr, new RegExp(`Unknown run .*z\`; there are ${runId}, `), "the nearest first");
      const removed = await runCli(["runs", "rm", runId, "--redis-url", redisUrl]);
      assert.equal(removed.code, 0, removed.stderr);
      assert.match(removed.stdout, /Forgotten; its dataset stays/);
      assert.deepEqual((await verifyResults(a)).problems, []);
      await assert.rejects(removeRun(runId, { redisUrl }), { code: "RUN_UNKNOWN" });
      assert.equal((await listRuns({ redisUrl })).length, 1);
      const refused = await runCli([
        "runs",
        "pause",
        (await listRuns({ redisUrl }))[0]?.runId ?? "",
        "--redis-url",
        redisUrl,
      ]);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /Cannot pause run .*, which is completed: there is nothing left to do/);
    } finally {
      await server.close();
    }
  });

  it("shows in its help what to type", async () => {
    for (const command of ["list", "show", "watch", "pause", "resume", "cancel", "rm"]) {
      const { code, stdout } = await runCli(["runs", command, "--help"]);
      assert.equal(code, 0);
      assert.match(stdout, new RegExp(`Example:\\n {2}labelmill runs ${command}`));
    }
  });
});
