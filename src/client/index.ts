// Owns: the list of what the client package offers to those who import it; nothing else of src/client/ is public.
// Never holds code. Imported as `capstan/client`, by the command line, the benchmarks and the examples.

export { CapstanClient } from "./client.js";
export { CapstanError, type ErrorCodeName, type ErrorDetails } from "./errors.js";
export type * from "./types.js";
