import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openStorage } from "../../../src/dataset/storage/open-storage.js";
import { inDirectory } from "../samples.js";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (read: Uint8Array | null) => (read === null ? null : new TextDecoder().decode(read));

/** Runs `action` on a file system of 64 kB, or returns false where this user may not mount one. */
async function onTinyFileSystem(directory: string, action: () => Promise<void>): Promise<boolean> {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", directory], { stdio: "ignore" });
  } catch {
    return false;
  }
  try {
    await action();
  } finally {
    execFileSync("umount", [directory]);
  }
  return true;
}

describe("dataset/storage/local", () => {
  it("creates a file once: the first of many wins and the others learn of it", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(join(directory, "not/yet/there"));
      await assert.rejects(storage.createOnce("parts/a", bytes("a")), { code: "STORAGE_FAILED" });
      await storage.prepare();
      const tries = Array.from({ length: 20 }, (_, i) => storage.createOnce("parts/a", bytes(`try ${i}`)));
      const outcomes = await Promise.all(tries);
      assert.equal(outcomes.filter((outcome) => outcome === "created").length, 1);
      assert.equal(text(await storage.read("parts/a")), `try ${outcomes.indexOf("created")}`);
      assert.deepEqual(await readdir(join(directory, "not/yet/there/parts")), ["a"]);
    }));

  it("reads whole files and ranges, and says null of what is absent", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      await storage.createOnce("a", bytes("0123456789"));
      assert.equal(await storage.size("a"), 10);
      assert.equal(text(await storage.readRange("a", 3, 6)), "345");
      await assert.rejects(storage.readRange("a", 8, 12), { code: "STORAGE_FAILED" });
      assert.equal(await storage.read("b"), null);
      assert.equal(await storage.size("b"), null);
      assert.equal(await storage.read("a/b"), null);
    }));

  it("lists one folder, sorted, without temporary files", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      for (const path of ["parts/b", "parts/a", "parts/c/d", "run.json"]) await storage.createOnce(path, bytes(""));
      await writeFile(join(directory, "parts/.labelmill-0123456789abcdef.tmp"), "");
      assert.deepEqual(await storage.list(""), ["parts/", "run.json"]);
      assert.deepEqual(await storage.list("parts/"), ["parts/a", "parts/b", "parts/c/"]);
      assert.deepEqual(await storage.list("none/"), []);
    }));

  it("sweeps temporary files of its own, and nothing else", () =>
    inDirectory(async (directory) => {
      for (const folder of ["parts", "other"]) await mkdir(join(directory, folder));
      await writeFile(join(directory, "other/.labelmill-0123456789abcdef.tmp"), "");
      const paths = ["parts/.labelmill-0123456789abcdef.tmp", "parts/other.tmp", "parts/part"];
      for (const path of [...paths, ".labelmill-fedcba9876543210.tmp"]) await writeFile(join(directory, path), "");
      assert.equal(await openStorage(directory).sweep(["", "parts/", "none/"]), 2);
      assert.deepEqual(await readdir(join(directory, "parts")), ["other.tmp", "part"]);
      assert.equal((await readdir(join(directory, "other"))).length, 1);
      assert.deepEqual(await readdir(directory), ["other", "parts"]);
    }));

  it("takes nothing from writers that are swept while they work: they come too late, or made the file", () =>
    inDirectory(async (directory) => {
      const storage = openStorage(directory);
      await storage.createOnce("parts/a", bytes("a"));
      const content = bytes("b".repeat(100_000));
      const sweeping = (async () => {
        for (let i = 0; i < 300; i += 1) await storage.sweep(["parts/"]);
      })();
      const outcomes = await Promise.all(Array.from({ length: 60 }, () => storage.createOnce("parts/a", content)));
      await sweeping;
      assert.deepEqual(new Set(outcomes), new Set(["exists"]));
      assert.equal(text(await storage.read("parts/a")), "a");
    }));

  it("reports a full disk, leaves nothing behind, and goes on when there is room", function () {
    return inDirectory(async (directory) => {
      const mounted = await onTinyFileSystem(directory, async () => {
        const storage = openStorage(directory);
        await assert.rejects(storage.createOnce("parts/a", new Uint8Array(200_000)), { code: "STORAGE_FULL" });
        assert.deepEqual(await readdir(join(directory, "parts")), []);
        assert.equal(await storage.createOnce("parts/a", bytes("small")), "created");
      });
      if (!mounted) this.skip();
    });
  });

  it("reports a directory that cannot be written", function () {
    return inDirectory(async (directory) => {
      const mounted = await onTinyFileSystem(directory, async () => {
        await openStorage(directory).createOnce("parts/a", bytes("a"));
        execFileSync("mount", ["-o", "remount,ro", directory]);
        const storage = openStorage(directory);
        await assert.rejects(storage.createOnce("parts/b", bytes("b")), { code: "STORAGE_READ_ONLY" });
        await assert.rejects(storage.createOnce("new/b", bytes("b")), { code: "STORAGE_READ_ONLY" });
        assert.equal(text(await storage.read("parts/a")), "a");
      });
      if (!mounted) this.skip();
    });
  });

  it("fails, retryably, where a file or a dangling link stands in the place of a folder", () =>
    inDirectory(async (directory) => {
      await writeFile(join(directory, "out"), "");
      await symlink("nowhere", join(directory, "dangling"));
      for (const out of ["out", "dangling"]) {
        const attempt = openStorage(join(directory, out, "deep")).prepare();
        await assert.rejects(attempt, { code: "STORAGE_FAILED", retryable: true });
      }
    }));
});

describe("dataset/storage/open-storage", () => {
  it("takes paths and file: uris, and refuses other schemes", () => {
    assert.equal(openStorage("/a/b/../c").location, "/a/c");
    assert.equal(openStorage("file:///a%20b").location, "/a b");
    assert.throws(() => openStorage("gs://bucket/prefix"), { code: "OPTION_INVALID" });
  });
});
