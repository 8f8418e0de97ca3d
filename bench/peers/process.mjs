// Owns: a peer's server as a child process on a free port: waited for until it takes connections, ended by its own id.
// It never touches a server that was running before. Called by each peer's file.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

const startMsMax = 60_000;
const stopMsMax = 30_000;
const outputCharactersMax = 8192;

export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Resolves when `port` takes connections; rejects with what the program said when it ends before. */
export async function startProcess(command, words, { port, env = {}, startMs = startMsMax }) {
  const child = spawn(command, words, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output = `${output}${text}`.slice(-outputCharactersMax);
    });
  }
  const exited = once(child, "close");
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), stopMsMax);
    await exited;
    clearTimeout(late);
  };
  const deadlineMs = Date.now() + startMs;
  while (!(await takesConnections(port))) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`${command} ended with ${child.exitCode ?? child.signalCode}:\n${output}`);
    }
    if (Date.now() > deadlineMs) {
      await stop();
      throw new Error(`${command} took no connection within ${startMs / 1000} s:\n${output}`);
    }
    await pause(100);
  }
  return { stop };
}

async function takesConnections(port) {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
