// What the browser talks to: a factory unit (lbd with a kernel in memory and made-up clients, lbadmin before it) and the
// guide's two web servers, real listeners of this process at the guide's addresses. All of it lives in the network
// namespace that the suite was started in.

import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Door } from "./door.mjs";
import { limits, until } from "./limits.mjs";

const ip = (...words) => execFileSync("ip", words, { stdio: ["ignore", "ignore", "pipe"] });

// Loopback, which has the real servers' addresses as well. Refuses to touch the network of the machine itself.
export function network() {
  const links = JSON.parse(execFileSync("ip", ["-json", "link"], { encoding: "utf8" }));
  if (links.some((link) => link.ifname !== "lo" && link.operstate === "UP")) {
    throw new Error("this is not a network namespace of its own: start the suite by `cargo xtask test browser`");
  }
  ip("link", "set", "lo", "up");
  for (const host of [50, 51]) ip("address", "add", `192.168.2.${host}/32`, "dev", "lo");
}

// A web server at `address`:80 that can be broken and mended.
export class RealServer {
  constructor(address) {
    this.address = address;
  }

  async start() {
    this.http = createServer((_, answer) => answer.end(`I am ${this.address}\n`));
    await new Promise((done, failed) => this.http.once("error", failed).listen(80, this.address, done));
  }

  async stop() {
    this.http.closeAllConnections();
    await new Promise((done) => this.http.close(done));
  }
}

export class Unit {
  // `name` is for the logs; `host` a loopback address, so that the cookies of several units do not mix.
  constructor(name, host, programs) {
    Object.assign(this, { name, host, programs, daemons: [] });
    this.dir = mkdtempSync(join(tmpdir(), "steelyard-"));
    this.url = `http://${host}:9080/lbadmin/`;
    this.https = `https://${host}:9443/lbadmin/`;
  }

  async start() {
    const socket = join(this.dir, "lbd.sock");
    // Somebody else may stand before lbd.
    const front = this.socket ?? socket;
    this.door = new Door(join(this.dir, "updates.sock"), join(this.dir, "web", "update.lbu"));
    await this.door.open();
    for (const folder of ["run", "etc"]) mkdirSync(join(this.dir, folder));
    this.spawn("lbd", [
      "--fake-kernel", "--fake-traffic", "--reconcile-every", "1",
      "--state", join(this.dir, "store"), "--run", join(this.dir, "run"), "--etc", join(this.dir, "etc"),
      "--socket", socket,
    ]);
    this.spawn("lbadmin", [
      "--state", join(this.dir, "web"), "--socket", front, "--updates", this.door.socket, "--unconfined",
      "--http", `${this.host}:9080`, "--https", `${this.host}:9443`,
    ]);
    await until(`${this.name} at ${this.url}`, limits.start, async () => {
      const page = await fetch(this.url, { redirect: "follow" });
      return page.ok && (await page.text()).includes("Unit <strong>");
    }).catch((error) => {
      throw new Error(`${error.message}\n${this.logs()}`);
    });
  }

  spawn(program, words) {
    const log = openSync(join(this.dir, `${program}.log`), "a");
    const child = spawn(join(this.programs, program), words, { stdio: ["ignore", log, log] });
    child.on("error", (error) => console.error(`${program}: ${error.message}`));
    this.daemons.push(child);
  }

  // The last lines of both daemons.
  logs() {
    const tail = (program) => {
      const lines = readFileSync(join(this.dir, `${program}.log`), "utf8").trimEnd().split("\n");
      return `---- ${program} of ${this.name}\n${lines.slice(-40).join("\n")}`;
    };
    return ["lbd", "lbadmin"].map(tail).join("\n");
  }

  async stop() {
    this.door?.close();
    for (const child of this.daemons.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), limits.stop);
      await ended;
      clearTimeout(late);
    }
    rmSync(this.dir, { recursive: true, force: true });
  }
}
