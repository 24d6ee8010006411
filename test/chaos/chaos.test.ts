import { resnet50ForTests } from "../support/model.js";
import { projectRoot } from "../support/shared-data.js";
import { execute } from "./processes.js";
import type { Kind } from "./rounds.js";
import { runRound } from "./run-round.js";

/** A run of each kind that fits into minutes; `npm run chaos` does any number of them, with any seed. */
describe("chaos", function () {
  this.timeout(120_000);
  before(() => resnet50ForTests());

  const survives = (kind: Kind, what: string, seed: number, items = 64) =>
    it(`has one row for every item where ${what} (seed ${seed})`, () => runRound(kind, { seed, items }));

  survives("child", "the compute child is killed three times", 1);
  survives("consumer", "one of two workers is killed", 1);
  survives("consumer", "one of two workers is killed elsewhere on its way", 2);
  survives("stop", "one of two workers is halted for longer than its locks live", 1);
  survives("redis", "Redis is killed and comes back", 1);
  survives("wipe", "Redis loses all its data and the command is repeated", 1);
  survives("tree", "the whole run is killed and the command is repeated", 1);
  survives("tree", "the whole run is killed elsewhere on its way", 2);
  survives("poison", "some images crash the compute child", 1);
  survives("hang", "the decode of one image never ends", 1);

  it("has one row for every item where the disk is full for a while (seed 1)", async function () {
    const mayMount = process.getuid?.() === 0 && (await canMount());
    if (!mayMount) this.skip();
    await runRound("disk", { seed: 1, items: 64 });
  });
});

/** Whether this process may mount file systems: a container's root often may not. */
async function canMount(): Promise<boolean> {
  const isMounted = await execute("unshare", ["--mount", "mount", "-t", "tmpfs", "tmpfs", projectRoot]).catch(
    () => null,
  );
  return isMounted !== null;
}
