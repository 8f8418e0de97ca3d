// Assertions about our own code: they stay on in production, and a failed one ends the process, since a state that we
// do not understand must not go on serving. Never used on what a client sent; that is validation and has a code.
// Called from everywhere in the server; imports nothing.

export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws when `condition` is false; `operands` are printed, so that the failure can be understood from the log. */
export function assert(
  condition: boolean,
  message: string,
  operands?: Readonly<Record<string, unknown>>,
): asserts condition {
  if (!condition) throw new AssertionError(describe(message, operands));
}

/** Marks what cannot happen: throws always. */
export function unreachable(message: string, operands?: Readonly<Record<string, unknown>>): never {
  throw new AssertionError(describe(message, operands));
}

function describe(message: string, operands?: Readonly<Record<string, unknown>>): string {
  if (operands === undefined) return message;
  const shown = Object.entries(operands).map(([name, value]) => `${name}=${String(value)}`);
  return `${message} (${shown.join(", ")})`;
}
