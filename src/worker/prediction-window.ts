/**
 * Images with the same bytes go through the model once. The window knows the images that are at the model, and those that
 * were there lately; an item whose bytes are the same gets their outcome, and its own row. It stands before the compute
 * client, in the process that holds the locks, and belongs to one model: a worker serves runs of its own model only. Called
 * by `stages`.
 *
 *     unknown ──asked for──> at the model ──a fact of the bytes──> known ──room is wanted──> unknown
 *                                 └──a fact of the moment, or an error──> unknown
 *
 * An item waits for the image that is at the model, never for the item that sent it there: it gets the outcome also where
 * that item's chunk was given back meanwhile. What is no fact of the bytes is not shared, as a row must not depend on what
 * befell another: whoever waited is tried alone.
 */
import type { ItemErrorCode } from "../shared/errors.js";
import type { Prediction } from "./compute/protocol.js";
import type { Outcome } from "./outcome.js";

/** An image, and what of it is wanted. */
export interface WantedImage {
  /** Names the item among all that the worker meets. */
  readonly item: string;
  /** Of its bytes, which with `topK` decide the outcome. */
  readonly sha256: string;
  readonly topK: number;
  /** Without, the prediction's embedding may be empty. */
  readonly wantsEmbedding: boolean;
}

/** How an item comes to the model. It has its turn there when it calls `answer`. */
export interface ModelTurn {
  /** Called at most once a turn, within it. */
  predict(): Promise<Outcome<Prediction>>;
  /** Ends the turn: another item's image is waited for. */
  leave(): void;
  /** Resolves when it is this item's turn again; rejects where the item is not wanted any more. */
  comeBack(): Promise<void>;
}

export interface Answer {
  readonly prediction: Outcome<Prediction>;
  /** It was made for another item. */
  readonly isDuplicate: boolean;
}

export interface PredictionWindow {
  /** Rejects as `turn` does, and only with what its own calls reject with. */
  answer(image: WantedImage, turn: ModelTurn): Promise<Answer>;
}

/**
 * For outcomes that are known, in bytes: 3,700 images with five classes and embeddings of 2,048 floats, or 39,000 without
 * embeddings, however many millions a run has. The least recently used go first.
 */
const windowBytes = 32 * 2 ** 20;
/** What an outcome takes besides its numbers, with its key and its place in the table; measured as 650, as V8 counts. */
const overheadBytes = 768;

/** What the image decoder says of any copy of the same bytes. All other failures are of a moment, or of a process. */
const factsOfBytes: ReadonlySet<ItemErrorCode> = new Set([
  "DECODE_UNSUPPORTED",
  "DECODE_CORRUPT",
  "DECODE_TRUNCATED",
  "LIMIT_PIXELS",
]);

/** An outcome, and the item that it was made for. */
interface Made {
  readonly item: string;
  readonly prediction: Outcome<Prediction>;
}

export function createPredictionWindow(mostBytes = windowBytes): PredictionWindow {
  const known = createRecent(mostBytes);
  /** Null where the outcome is not to be shared; never rejects. */
  const atModel = new Map<string, Promise<Made | null>>();

  const ask = async (key: string, { item, wantsEmbedding }: WantedImage, turn: ModelTurn): Promise<Answer> => {
    const making = turn.predict().then((prediction) => ({ item, prediction: detached(prediction, wantsEmbedding) }));
    const settle = (made: Made | null): Made | null => {
      atModel.delete(key);
      if (made === null || !isFactOfBytes(made.prediction)) return null;
      known.add(key, made);
      return made;
    };
    const settled = making.then(settle, () => settle(null));
    atModel.set(key, settled);
    return { prediction: (await making).prediction, isDuplicate: false };
  };

  return {
    async answer(image, turn) {
      const key = `${image.sha256} ${image.topK} ${image.wantsEmbedding}`;
      const shared = ({ item, prediction }: Made): Answer => ({ prediction, isDuplicate: item !== image.item });
      while (true) {
        const made = known.find(key);
        if (made !== null) return shared(made);
        const other = atModel.get(key);
        if (other === undefined) return ask(key, image, turn);
        turn.leave();
        const outcome = await other;
        if (outcome !== null) return shared(outcome);
        await turn.comeBack();
      }
    },
  };
}

function isFactOfBytes(prediction: Outcome<Prediction>): boolean {
  return prediction.ok || factsOfBytes.has(prediction.failure.code);
}

/** As it comes from the child, an embedding is a view of the whole message that it came in, which may hold a batch of them. */
function detached(prediction: Outcome<Prediction>, wantsEmbedding: boolean): Outcome<Prediction> {
  if (!prediction.ok) return prediction;
  const { embedding } = prediction.value;
  return {
    ok: true,
    value: { ...prediction.value, embedding: wantsEmbedding ? embedding.slice() : new Float32Array(0) },
  };
}

interface Recent {
  /** From then on the most recently used. */
  find(key: string): Made | null;
  add(key: string, made: Made): void;
}

/** What was used last, as much of it as `mostBytes` hold. */
function createRecent(mostBytes: number): Recent {
  /** Least recently used first, as a Map keeps the order of insertion. */
  const entries = new Map<string, Made>();
  let bytes = 0;
  const remove = (key: string): Made | null => {
    const made = entries.get(key);
    if (made === undefined) return null;
    entries.delete(key);
    bytes -= bytesOf(made);
    return made;
  };
  const add = (key: string, made: Made): void => {
    entries.set(key, made);
    bytes += bytesOf(made);
    for (const oldest of entries.keys()) {
      if (bytes <= mostBytes) return;
      remove(oldest);
    }
  };
  return {
    find(key) {
      const made = remove(key);
      if (made !== null) add(key, made);
      return made;
    },
    add,
  };
}

function bytesOf({ prediction }: Made): number {
  if (!prediction.ok) return overheadBytes + 2 * prediction.failure.message.length;
  const { topIndices, embedding } = prediction.value;
  // An index and a score, of eight bytes each.
  return overheadBytes + 16 * topIndices.length + embedding.byteLength;
}
