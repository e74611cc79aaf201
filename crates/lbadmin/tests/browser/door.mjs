// What stands behind the pages of software update and factory settings: answers as `lbupdate serve` does, one line of
// JSON each way, and does nothing. An installation takes some seconds here; while it is `held`, it does not end.

import { readFileSync } from "node:fs";
import { createServer } from "node:net";

const STEPS = ["checking", "writing", "reading"];
const STEP = 1500;

export class Door {
  // `bundle` is where lbadmin keeps an upload.
  constructor(socket, bundle) {
    Object.assign(this, { socket, bundle, asked: [], begun: 0, last: null, held: false });
  }

  async open() {
    this.server = createServer((connection) => {
      let line = "";
      connection.setEncoding("utf8").on("error", () => {}).on("data", (text) => {
        line += text;
        if (line.includes("\n")) connection.end(JSON.stringify(this.answer(JSON.parse(line))) + "\n");
      });
    });
    await new Promise((done, failed) => this.server.once("error", failed).listen(this.socket, done));
  }

  close() {
    this.server?.close();
  }

  answer(order) {
    if (order.act === "status") return { unit: this.view() };
    if (order.act === "check") return this.check();
    this.asked.push(order.act);
    if (order.act === "install") {
      this.last = null;
      this.begun = Date.now();
    }
    return "done";
  }

  check() {
    const text = readFileSync(this.bundle, "latin1");
    if (!text.startsWith("steelyard-update 1")) {
      return { refused: { message: "this is no update bundle", hint: 'its name ends in .lbu, and its first line is "steelyard-update 1"' } };
    }
    return { bundle: { version: "0.2.0", key: "development", size: text.length, older: false } };
  }

  view() {
    const now = (Date.now() - this.begun) / STEP;
    const at = this.held ? Math.min(now, STEPS.length - 0.5) : now;
    let work = null;
    if (this.begun && at < STEPS.length) work = { step: STEPS[Math.floor(at)], done: Math.floor((at % 1) * 1e6), of: 1e6 };
    else if (this.begun && !this.last) this.last = this.record("installed", null);
    const installed = this.last?.stage === "installed";
    return {
      running: { slot: "A", version: "0.1.0", startable: true, next: !installed },
      other: { slot: "B", version: this.last ? "0.2.0" : null, startable: installed, next: installed },
      room: 5_000_000, probation: false, last: this.last, work, failed: null,
    };
  }

  record(stage, reason) {
    return { version: "0.2.0", from: "0.1.0", slot: "B", by: "loadbalancer:127.0.0.1", time: 1_800_000_000, stage, reason, acknowledged: false };
  }

  // As after a restart that did not work.
  cameBack() {
    this.begun = 0;
    this.last = this.record("returned", "lbd does not answer (No such file or directory), 180 s after it began");
  }
}
