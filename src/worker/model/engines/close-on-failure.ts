import type { Engine } from "./engine.js";

/** What `use` makes of an engine that was just opened; the engine is closed where that throws, and stays open otherwise. */
export async function closeOnFailure<T>(engine: Engine, use: (engine: Engine) => Promise<T>): Promise<T> {
  try {
    return await use(engine);
  } catch (error) {
    await engine.close();
    throw error;
  }
}
