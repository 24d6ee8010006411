import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createRunHead, identityHash, readRunHead } from "../../src/dataset/run-head.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { inDirectory, sampleIdentity } from "./samples.js";

/** Writes `run.json` anew with `change` applied to it. */
async function tamper(directory: string, change: (head: Record<string, unknown>) => void): Promise<void> {
  const path = join(directory, "run.json");
  const head = JSON.parse(await readFile(path, "utf8"));
  change(head);
  await writeFile(path, JSON.stringify(head));
}

describe("dataset/run-head", () => {
  it("creates one run however many callers try, and finds it again", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(join(directory, "out"));
      const made = await Promise.all(Array.from({ length: 8 }, () => createRunHead(storage, sampleIdentity)));
      assert.equal(made.filter(({ created }) => created).length, 1);
      assert.equal(new Set(made.map(({ head }) => `${head.runId} ${head.epoch}`)).size, 1);
      const again = await createRunHead(storage, { ...sampleIdentity });
      assert.equal(again.created, false);
      assert.deepEqual(again.head, await readRunHead(storage));
      assert.match(again.head.runId, /^\d{8}-[0-9a-f]{8}$/);
      assert.deepEqual(again.head.identity, sampleIdentity);
    }));

  it("refuses another identity, naming each difference and nothing else", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      await createRunHead(storage, sampleIdentity);
      const asked = { ...sampleIdentity, topK: 5, sources: ["/other"] };
      await assert.rejects(createRunHead(storage, asked), (error: Error & { code: string; exitCode: number }) => {
        assert.equal(error.code, "RUN_IDENTITY");
        assert.equal(error.exitCode, 2);
        assert.match(error.message, /topK 2 vs 5/);
        assert.match(error.message, /sources \["\/photos"\] vs \["\/other"\]/);
        assert.doesNotMatch(error.message, /chunkSize|model|embedding/);
        return true;
      });
    }));

  it("hashes the identity whatever the order of its keys", () => {
    const reversed = Object.fromEntries(Object.entries(sampleIdentity).reverse()) as unknown as typeof sampleIdentity;
    assert.equal(identityHash(reversed), identityHash(sampleIdentity));
    assert.notEqual(identityHash({ ...sampleIdentity, limit: 1 }), identityHash(sampleIdentity));
  });

  it("writes nothing into a directory that holds other things", () =>
    inDirectory(async (directory) => {
      await writeFile(join(directory, "thesis.tex"), "");
      const attempt = createRunHead(openStorage(directory), sampleIdentity);
      await assert.rejects(attempt, { code: "RUN_NOT_A_DATASET", message: /thesis\.tex/ });
      await assert.rejects(readFile(join(directory, "run.json")), { code: "ENOENT" });
    }));

  it("takes a directory that holds hidden files only", () =>
    inDirectory(async (directory) => {
      await writeFile(join(directory, ".DS_Store"), "");
      await mkdir(join(directory, "lost+found"));
      assert.equal((await createRunHead(openStorage(directory), sampleIdentity)).created, true);
    }));

  it("tells an absent, foreign, newer and altered run.json apart", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      await assert.rejects(readRunHead(storage), { code: "RUN_NOT_A_DATASET" });
      await createRunHead(storage, sampleIdentity);
      await tamper(directory, (head) => Object.assign(head.identity as object, { topK: 9 }));
      await assert.rejects(readRunHead(storage), { code: "RUN_DATASET_CORRUPT" });
      await tamper(directory, (head) => Object.assign(head, { schemaVersion: 2 }));
      await assert.rejects(readRunHead(storage), { code: "RUN_SCHEMA" });
      await writeFile(join(directory, "run.json"), '{"name":"something else"}');
      await assert.rejects(readRunHead(storage), { code: "RUN_NOT_A_DATASET" });
      await writeFile(join(directory, "run.json"), "not json");
      await assert.rejects(createRunHead(storage, sampleIdentity), { code: "RUN_NOT_A_DATASET" });
    }));
});
