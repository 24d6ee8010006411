import assert from "node:assert/strict";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { findPlaces } from "../../src/library/places.js";

const names = ["XDG_CACHE_HOME", "XDG_STATE_HOME", "LABELMILL_CACHE_DIR", "VK_ICD_FILENAMES", "AWS_SECRET"] as const;

describe("library/places", () => {
  const saved = names.map((name) => [name, process.env[name]] as const);
  beforeEach(() => {
    for (const name of names) delete process.env[name];
  });
  after(() => {
    for (const [name, value] of saved) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });

  it("follows the base directories of the environment, else those of the home directory", () => {
    assert.equal(findPlaces().cacheDir, join(homedir(), ".cache/labelmill"));
    assert.equal(findPlaces().stateDir, join(homedir(), ".local/state/labelmill"));
    process.env.XDG_CACHE_HOME = "/cache";
    process.env.XDG_STATE_HOME = "/state";
    assert.deepEqual([findPlaces().cacheDir, findPlaces().stateDir], ["/cache/labelmill", "/state/labelmill"]);
  });

  it("prefers the caller's cache directory over the variable, and ignores an empty variable", () => {
    process.env.XDG_CACHE_HOME = "/cache";
    process.env.LABELMILL_CACHE_DIR = "/models";
    assert.equal(findPlaces().cacheDir, "/models");
    assert.equal(findPlaces("/mine").cacheDir, "/mine");
    process.env.LABELMILL_CACHE_DIR = "";
    assert.equal(findPlaces().cacheDir, "/cache/labelmill");
  });

  it("picks what GPU drivers read out of the environment, and nothing else", () => {
    process.env.VK_ICD_FILENAMES = "/driver.json";
    process.env.AWS_SECRET = "secret";
    const { driverEnv } = findPlaces();
    assert.equal(driverEnv.VK_ICD_FILENAMES, "/driver.json");
    assert.ok(!("AWS_SECRET" in driverEnv));
  });

  it("keeps sockets in a directory of this user, with a path short enough for one", () => {
    const { socketDir } = findPlaces();
    assert.equal(socketDir, join(tmpdir(), `labelmill-${process.getuid?.() ?? 0}`));
  });
});
