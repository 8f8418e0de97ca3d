// A process that opens many connections and holds them: a client of its own for tests whose connections are more than one
// process may have files. Owns its sockets. Started by crowd.ts with an address, a count, and what each connection sends;
// it tells its parent what became of them, and ends when told to or when its parent is gone.

import { connect, type Socket } from "node:net";
import { bootstrapFrame } from "./raw_peer.js";

export interface HolderReport {
  readonly open: number;
  readonly answered: number;
  readonly closed: number;
  readonly failed: number;
}

const [address = "", count = "0", manner = "greet"] = process.argv.slice(2);
const [host = "", port = ""] = address.split(":");
/** Connections begun and not yet open: the backlog of the kernel is finite. */
const beginningMax = 256;

const sockets = new Set<Socket>();
let begun = 0;
let beginning = 0;
let open = 0;
let answered = 0;
let closed = 0;
let failed = 0;

function more(): void {
  while (begun < Number(count) && beginning < beginningMax) begin();
  report();
}

function begin(): void {
  begun++;
  beginning++;
  const socket = connect({ host, port: Number(port) });
  let isOpen = false;
  sockets.add(socket);
  socket.on("connect", () => {
    isOpen = true;
    beginning--;
    open++;
    socket.write(manner === "half" ? halfFrame() : bootstrapFrame(0));
    if (manner === "flood") socket.destroy();
    more();
  });
  socket.once("data", () => {
    answered++;
    report();
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    sockets.delete(socket);
    if (isOpen) closed++;
    else {
      beginning--;
      failed++;
    }
    more();
  });
}

/** A table of 512 segments, of which the last word is missing. */
function halfFrame(): Buffer {
  const table = Buffer.alloc(2048, 1);
  table.writeUInt32LE(511, 0);
  return table;
}

let isTold = true;
/** At most once a turn: ten thousand connections change together. */
function report(): void {
  if (!isTold) return;
  isTold = false;
  setImmediate(() => {
    isTold = true;
    const message: HolderReport = { open: open - closed, answered, closed, failed };
    if (process.connected) process.send?.(message);
  });
}

process.on("message", () => {
  for (const socket of sockets) socket.destroy();
  process.disconnect();
});
process.on("disconnect", () => process.exit(0));
more();
