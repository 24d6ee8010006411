import assert from "node:assert/strict";
import fc from "fast-check";
import { failure } from "../../src/shared/errors.js";
import type { Prediction } from "../../src/worker/compute/protocol.js";
import { failedWith, type Outcome, succeeded } from "../../src/worker/outcome.js";
import { createPredictionWindow, type ModelTurn, type WantedImage } from "../../src/worker/prediction-window.js";
import { Slots } from "../../src/worker/slots.js";
import { somePrediction } from "../support/run-harness.js";

const image = (sha256: string, item: string, over: Partial<WantedImage> = {}): WantedImage => ({
  item,
  sha256,
  topK: 2,
  wantsEmbedding: true,
  ...over,
});
/** For an item that has all the places of the model to itself. */
const turnOf = (predict: ModelTurn["predict"]): ModelTurn => ({ predict, leave: () => {}, comeBack: async () => {} });

describe("worker/prediction-window", () => {
  /** A window, and how often the model was asked. */
  function open(mostBytes?: number) {
    const window = createPredictionWindow(mostBytes);
    let asked = 0;
    const answer = async (wanted: WantedImage, outcome: Outcome<Prediction> = succeeded(somePrediction)) => {
      const before = asked;
      const { prediction, isDuplicate } = await window.answer(
        wanted,
        turnOf(async () => {
          asked += 1;
          return outcome;
        }),
      );
      return { prediction, isDuplicate, isAsked: asked > before };
    };
    return { window, answer };
  }

  it("asks once for the same bytes, classes and form, and again where one of them differs", async () => {
    const { answer } = open();
    const askedFor = async (wanted: WantedImage) => (await answer(wanted)).isAsked;
    assert.equal(await askedFor(image("a", "r/0")), true);
    assert.equal(await askedFor(image("a", "r/1")), false);
    assert.equal(await askedFor(image("b", "r/2")), true);
    assert.equal(await askedFor(image("a", "r/3", { topK: 3 })), true);
    assert.equal(await askedFor(image("a", "r/4", { wantsEmbedding: false })), true);
    assert.equal(await askedFor(image("a", "r/5", { wantsEmbedding: false })), false);
  });

  it("calls no item a duplicate of itself: a chunk that is done again has its own images in the window", async () => {
    const { answer } = open();
    await answer(image("a", "r/0"));
    const again = await answer(image("a", "r/0"));
    assert.deepEqual([again.isAsked, again.isDuplicate], [false, false]);
    assert.equal((await answer(image("a", "other/0"))).isDuplicate, true);
  });

  it("shares what the decoder says of the bytes, and no failure of a moment", async () => {
    for (const code of ["DECODE_CORRUPT", "DECODE_TRUNCATED", "DECODE_UNSUPPORTED", "LIMIT_PIXELS"] as const) {
      const { answer } = open();
      const first = await answer(image("a", "r/0"), failedWith(failure(code, { reason: "a test" })));
      const second = await answer(image("a", "r/1"));
      assert.deepEqual([second.isAsked, second.prediction], [false, first.prediction], code);
    }
    for (const code of ["WORKER_CRASH", "LIMIT_TIME", "ENGINE_OOM"] as const) {
      const { answer } = open();
      await answer(image("a", "r/0"), failedWith(failure(code, { reason: "a test" })));
      assert.deepEqual((await answer(image("a", "r/1"))).prediction, succeeded(somePrediction), code);
    }
  });

  it("keeps an embedding, and not the message that it came in", async () => {
    const { answer } = open();
    const message = new Float32Array(1024).fill(0.25);
    const ofBatch = succeeded({ ...somePrediction, embedding: message.subarray(4, 8) });
    const bufferOf = async (wanted: WantedImage) => {
      const { prediction } = await answer(wanted, ofBatch);
      assert.ok(prediction.ok);
      return prediction.value.embedding.buffer.byteLength;
    };
    assert.equal(await bufferOf(image("a", "r/0")), 16);
    assert.equal(await bufferOf(image("a", "r/1")), 16);
    assert.equal(await bufferOf(image("a", "r/2", { wantsEmbedding: false })), 0);
  });

  it("holds so many bytes, and lets go of what was used longest ago", async () => {
    const wide = succeeded({ ...somePrediction, embedding: new Float32Array(2048) });
    // One is 8,192 bytes of floats, and less than a tenth of that besides.
    const { answer } = open(2.2 * 8192);
    const isAsked = async (name: string, n: number) => (await answer(image(name, `r/${n}`), wide)).isAsked;
    assert.deepEqual([await isAsked("a", 0), await isAsked("b", 1), await isAsked("a", 2)], [true, true, false]);
    assert.equal(await isAsked("c", 3), true);
    assert.deepEqual([await isAsked("a", 4), await isAsked("c", 5), await isAsked("b", 6)], [false, false, true]);
    const narrow = open(8192);
    for (let n = 0; n < 100; n += 1) await narrow.answer(image(`${n}`, `r/${n}`));
    assert.equal((await narrow.answer(image("99", "r/100"))).isAsked, false);
    assert.equal((await narrow.answer(image("50", "r/101"))).isAsked, true);
  });

  it("gives whoever waits what its own try comes to, where the other's rejects or is no longer wanted", async () => {
    const { window, answer } = open();
    let fail = (_: Error) => {};
    const pending = new Promise<never>((_, reject) => {
      fail = reject;
    });
    const broken = window.answer(
      image("a", "r/0"),
      turnOf(() => pending),
    );
    const waiting = answer(image("a", "r/1"));
    const unwanted = window.answer(image("a", "r/2"), {
      ...turnOf(async () => assert.fail("it is asked for")),
      comeBack: () => Promise.reject(new Error("given back")),
    });
    fail(new Error("no engine"));
    await assert.rejects(broken, /no engine/);
    await assert.rejects(unwanted, /given back/);
    assert.deepEqual((await waiting).prediction, succeeded(somePrediction));
  });

  it("gives each item its outcome once, in any order of requests and answers, and never asks twice at a time", async () => {
    const request = fc.record({
      sha256: fc.constantFrom("a", "b", "corrupt"),
      fate: fc.constantFrom("fact", "fact", "crash", "error"),
    });
    const requests = fc.array(request, { minLength: 1, maxLength: 14 });
    const property = fc.asyncProperty(fc.scheduler(), requests, fc.boolean(), async (scheduler, wanted, remembers) => {
      const worker = simulate(scheduler, remembers ? undefined : 0);
      const answers = Promise.allSettled(wanted.map(worker.ask));
      await scheduler.waitFor(answers);
      for (const [n, answer] of (await answers).entries()) {
        const { sha256, fate } = wanted[n] as Request;
        const isDuplicate = !worker.triedBy.includes(n);
        const own = isDuplicate ? "fact" : fate;
        if (own === "error") assert.ok(answer.status === "rejected" && answer.reason.message === `of ${n}`);
        else
          assert.deepEqual(answer, {
            status: "fulfilled",
            value: { prediction: outcomes[own]?.(sha256, n), isDuplicate },
          });
      }
      if (remembers) assert.equal(new Set(worker.factsMade).size, worker.factsMade.length);
      assert.ok(worker.slots.isIdle);
    });
    await fc.assert(property, { numRuns: 300 });
  });
});

interface Request {
  readonly sha256: string;
  /** What befalls the item's own try, where it has one. */
  readonly fate: string;
}

const facts: Readonly<Record<string, Outcome<Prediction>>> = {
  a: succeeded(somePrediction),
  b: succeeded({ ...somePrediction, width: 5 }),
  corrupt: failedWith(failure("DECODE_CORRUPT", { reason: "a test" })),
};
const outcomes: Readonly<Record<string, (sha256: string, n: number) => Outcome<Prediction>>> = {
  fact: (sha256) => facts[sha256] as Outcome<Prediction>,
  crash: (_, n) => failedWith(failure("WORKER_CRASH", { reason: `of ${n}` })),
};

/** Items that come to a model with two places, when `scheduler` lets them, and are answered when it does. */
function simulate(scheduler: fc.Scheduler, mostBytes: number | undefined) {
  const window = createPredictionWindow(mostBytes);
  const slots = new Slots(2);
  const atModel = new Set<string>();
  const triedBy: number[] = [];
  const factsMade: string[] = [];
  const predict = async ({ sha256, fate }: Request, n: number): Promise<Outcome<Prediction>> => {
    assert.ok(!atModel.has(sha256), "asked twice at a time");
    assert.ok(!triedBy.includes(n), "tried twice");
    atModel.add(sha256);
    assert.ok(atModel.size <= 2, "more at the model than it has places");
    triedBy.push(n);
    await scheduler.schedule(Promise.resolve());
    atModel.delete(sha256);
    const outcome = outcomes[fate];
    if (outcome === undefined) throw new Error(`of ${n}`);
    if (fate === "fact") factsMade.push(sha256);
    return outcome(sha256, n);
  };
  const ask = async (request: Request, n: number) => {
    await scheduler.schedule(Promise.resolve());
    let leave = await slots.acquire(0);
    const turn: ModelTurn = {
      predict: () => predict(request, n),
      leave: () => leave(),
      async comeBack() {
        leave = await slots.acquire(0);
      },
    };
    return window.answer(image(request.sha256, `r/${n}`), turn).finally(() => leave());
  };
  return { ask, slots, triedBy, factsMade };
}
