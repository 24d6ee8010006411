/**
 * A limit that holds for the whole process: at most `size` pieces of work at once, whichever chunks they belong to.
 * Waiters of the oldest chunk come first, so that chunks finish one after the other and the next one fills the gaps,
 * instead of all ending together and leaving the engine without work.
 */
export class Slots {
  readonly #size: number;
  #free: number;
  readonly #mayStart: () => boolean;
  readonly #waiting: { readonly order: number; readonly start: () => void }[] = [];

  /** `mayStart` can hold work back although a slot is free; call `wake` when its answer may have changed. */
  constructor(size: number, mayStart: () => boolean = () => true) {
    this.#size = size;
    this.#free = size;
    this.#mayStart = mayStart;
  }

  /** Nobody holds a slot, or waits for one. */
  get isIdle(): boolean {
    return this.#free === this.#size && !this.isFull;
  }

  /** Who asks now has to wait. */
  get isFull(): boolean {
    return this.#free === 0 || this.#waiting.length > 0;
  }

  /** Resolves with the function that gives the slot back. Lower `order` first, equals in the order of asking. */
  acquire(order: number): Promise<() => void> {
    return new Promise((resolve) => {
      const waiter = { order, start: () => resolve(this.#release()) };
      const behind = this.#waiting.findIndex((other) => other.order > order);
      this.#waiting.splice(behind < 0 ? this.#waiting.length : behind, 0, waiter);
      this.wake();
    });
  }

  /** Starts what may start now. */
  wake(): void {
    while (this.#free > 0 && this.#waiting.length > 0 && this.#mayStart()) {
      this.#free -= 1;
      this.#waiting.shift()?.start();
    }
  }

  #release(): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#free += 1;
      this.wake();
    };
  }
}
