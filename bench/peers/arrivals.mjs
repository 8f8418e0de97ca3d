// Waiting for what a peer delivers by itself, without asking. Owns who waits, of whom there is one. Used by the peers
// whose clients push: rabbitmq.mjs and redis.mjs.

/** With nothing delivered the load looks again whether its time is over. */
const lookAgainMs = 500;

export class Arrivals {
  #wake = () => {};

  /** Something was delivered. */
  came() {
    this.#wake();
  }

  /** Resolves when something is delivered, or when it is time to look. */
  next() {
    return new Promise((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, lookAgainMs).unref();
    });
  }
}
