import type { Engine, EngineOutput } from "./engine.js";

/**
 * The engine for a graph that takes one image a call, of `bytes`; closing it closes `engine`. One shape is all that it ever runs, so
 * that filling a batch up would cost a call for each image of it.
 */
export function oneByOne(engine: Engine, bytes: number): Engine {
  const { embeddingWidth, classes } = engine;
  return {
    ...engine,
    isShapeBound: false,
    async infer(pixels, n): Promise<EngineOutput> {
      const embeddings = new Float32Array(n * embeddingWidth);
      const logits = new Float32Array(n * classes);
      for (let image = 0; image < n; image += 1) {
        const output = await engine.infer(pixels.subarray(image * bytes, (image + 1) * bytes), 1);
        embeddings.set(output.embeddings, image * embeddingWidth);
        logits.set(output.logits, image * classes);
      }
      return { embeddings, logits };
    },
  };
}
