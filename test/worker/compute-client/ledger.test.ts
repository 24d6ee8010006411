import assert from "node:assert/strict";
import { createLedger, type Ledger } from "../../../src/worker/compute-client/ledger.js";

interface Image {
  readonly name: string;
}

/** A ledger with images of those names, and what it sends until it stops. */
function ledgerOf(
  names: string,
  limit = 3,
): { ledger: Ledger<Image>; sendAll: () => string; ids: Map<string, number> } {
  const ledger = createLedger<Image>();
  for (const name of names) ledger.add({ name });
  const ids = new Map<string, number>();
  const sendAll = (): string => {
    let sent = "";
    for (let next = ledger.send(limit); next !== null; next = ledger.send(limit)) {
      ids.set(next.image.name, next.id);
      sent += next.image.name;
    }
    return sent;
  };
  return { ledger, sendAll, ids };
}

describe("worker/compute-client/ledger", () => {
  it("sends in order, up to its limit", () => {
    const { ledger, sendAll, ids } = ledgerOf("abcde");
    assert.equal(sendAll(), "abc");
    assert.equal(ledger.settle(ids.get("b") ?? 0)?.name, "b");
    assert.equal(sendAll(), "d");
    assert.equal(ledger.inFlight, 3);
  });

  it("sends suspects one at a time after a death, before anything else", () => {
    const { ledger, sendAll, ids } = ledgerOf("abcde");
    sendAll();
    assert.equal(ledger.bury(), null);
    for (const name of "abc") {
      assert.equal(sendAll(), name);
      ledger.settle(ids.get(name) ?? 0);
    }
    assert.equal(sendAll(), "de");
  });

  it("names the suspect that two children die over, and frees the others", () => {
    const { ledger, sendAll, ids } = ledgerOf("abcde");
    sendAll();
    ledger.bury();
    sendAll();
    ledger.settle(ids.get("a") ?? 0);
    assert.equal(sendAll(), "b");
    assert.equal(ledger.bury(), null);
    assert.equal(sendAll(), "b");
    assert.equal(ledger.bury()?.name, "b");
    assert.equal(sendAll(), "cde");
  });

  it("does not blame an image that was alone by chance, nor a suspect for one death that came from outside", () => {
    const { ledger, sendAll, ids } = ledgerOf("ab", 1);
    sendAll();
    assert.equal(ledger.bury(), null);
    assert.equal(sendAll(), "a");
    assert.equal(ledger.bury(), null);
    assert.equal(sendAll(), "a");
    ledger.settle(ids.get("a") ?? 0);
    assert.equal(sendAll(), "b");
  });

  it("names a suspect at its first death where nothing else can be the cause", () => {
    const { ledger, sendAll } = ledgerOf("ab");
    sendAll();
    ledger.bury();
    assert.equal(sendAll(), "a");
    assert.equal(ledger.bury(true)?.name, "a");
    assert.equal(sendAll(), "b");
  });

  it("convicts one image and queues the others again, unsuspected and first", () => {
    const { ledger, sendAll, ids } = ledgerOf("abcde");
    sendAll();
    assert.equal(ledger.convict(ids.get("b") ?? 0)?.name, "b");
    assert.equal(sendAll(), "acd");
  });

  it("keeps suspects suspected when the one on trial is convicted", () => {
    const { ledger, sendAll, ids } = ledgerOf("abc");
    sendAll();
    ledger.bury();
    sendAll();
    assert.equal(ledger.convict(ids.get("a") ?? 0)?.name, "a");
    assert.equal(sendAll(), "b");
  });

  it("knows nothing of answers that cross with a death", () => {
    const { ledger, sendAll, ids } = ledgerOf("ab");
    sendAll();
    ledger.bury();
    assert.equal(ledger.settle(ids.get("a") ?? 0), null);
  });

  it("drains everything, wherever it is", () => {
    const { ledger, sendAll } = ledgerOf("abcde");
    sendAll();
    ledger.bury();
    sendAll();
    assert.deepEqual(
      ledger
        .drain()
        .map(({ name }) => name)
        .toSorted(),
      ["a", "b", "c", "d", "e"],
    );
    assert.equal(ledger.inFlight, 0);
  });
});
