// The pages of a pair. Between lbadmin and lbd stands a proxy that answers for the pair what each step wants; the rest
// is the real lbd's.

import assert from "node:assert/strict";
import { request, createServer } from "node:http";
import { join } from "node:path";
import { Person } from "./browser.mjs";
import { look } from "./pages.mjs";
import { PASSWORD, logIn } from "./story.mjs";
import { Unit } from "./unit.mjs";

const NOW = Math.floor(Date.now() / 1000);

const path = (name, serial) => ({ name, serial, up: true, loss_percent: 0, latency_us: serial ? 9100 : 310 });

const ACTIVE = {
  role: "active", unit: "one", since: NOW - 4000, edits: true, hot: true, unfit: [], alarms: [],
  why: "Nobody else served when this unit started.",
  floating: [
    { address: "10.0.0.100", interface: "eth0", vip: true, here: true },
    { address: "192.168.2.20", interface: "eth1", vip: false, here: true },
  ],
  paths: [path("ttyS1", true), path("10.0.0.22", false), path("192.168.2.22", false)],
  peer: {
    hostname: "lbslave", role: "standby", heard: true, fit: true, hot: true, web: "https://10.0.0.22:9443",
    fingerprint: Array.from({ length: 32 }, (_, n) => n.toString(16).padStart(2, "0").toUpperCase()).join(":"),
  },
  replication: { state: "in-sync", last: NOW - 60, detail: "Both units have revision 7." },
};

const STANDBY = {
  ...ACTIVE, role: "standby", unit: "two", edits: false, hot: false,
  why: "The other unit served when this unit started.",
  floating: ACTIVE.floating.map((f) => ({ ...f, here: false })),
  peer: { ...ACTIVE.peer, hostname: "lbmaster", role: "active", web: "https://10.0.0.21:9443" },
};

// One path is gone, this unit is unfit, and both were changed apart.
const TROUBLE = {
  ...STANDBY,
  unfit: ["eth1 has no cable"],
  alarms: ["The heartbeat path 192.168.2.22 is down: eth1 has no cable."],
  paths: [...ACTIVE.paths.slice(0, 2), { name: "192.168.2.22", serial: false, up: false, loss_percent: 100, error: "eth1 has no cable" }],
  replication: { state: "diverged", last: NOW - 9000, detail: "This unit is at revision 7, the other one at 9; 5 is in both." },
};

const SINGLE = { role: "single", why: "", edits: true, floating: [], paths: [], unfit: [], hot: false, alarms: [] };

export class OneOfAPair extends Unit {
  ha = SINGLE;
  pairing = { state: "idle" };
  asked = [];

  async start() {
    this.front = join(this.dir, "pair.sock");
    this.proxy = createServer((asked, answer) => this.answer(asked, answer));
    await new Promise((done) => this.proxy.listen(this.front, done));
    await super.start();
  }

  get socket() {
    return this.front;
  }

  answer(asked, answer) {
    const json = (value) => answer.setHeader("content-type", "application/json").end(JSON.stringify(value));
    if (asked.url === "/v1/ha") return json(this.ha);
    if (asked.url.startsWith("/v1/ha/")) {
      if (asked.method === "POST") this.asked.push(asked.url.replace("/v1/ha/", ""));
      asked.resume();
      return json(asked.url.endsWith("/pairing") ? this.pairing : { message: "It is done." });
    }
    const { method, headers, url } = asked;
    const on = request({ socketPath: join(this.dir, "lbd.sock"), method, headers, path: url }, (got) => {
      answer.writeHead(got.statusCode, got.headers);
      got.pipe(answer);
    });
    on.on("error", () => answer.destroy());
    asked.pipe(on);
  }

  async stop() {
    await super.stop();
    this.proxy.closeAllConnections();
    await new Promise((done) => this.proxy.close(done));
  }
}

export function pair(browser, unit) {
  const people = [];
  const wrong = [];
  let anna;
  // What lbadmin keeps of the pair is at most 1.5 s old.
  const becomes = async (ha, pairing = { state: "idle" }) => {
    Object.assign(unit, { ha, pairing });
    await new Promise((done) => setTimeout(done, 1600));
  };
  const looks = async (name, paths) => {
    for (const path of paths) wrong.push(...(await look(anna, path, `pair-${name}-${path}`)));
    if (wrong.length) throw new Error(`${wrong.length} findings:\n  ${wrong.join("\n  ")}`);
  };
  const waiting = { state: "waiting", code: "12345678", until: NOW + 600, serial_error: "/dev/ttyS1: no such device" };
  const done = { state: "done", unit: "one", hostname: "lbslave", addresses: ["192.168.2.22/24"], fingerprint: "AB:CD" };
  const steps = [
    {
      name: "a single unit, and pairing",
      work: async () => {
        anna = await Person.at(browser, unit);
        people.push(anna);
        await logIn(anna, "loadbalancer");
        await anna.page.getByLabel("Old password").fill("loadbalancer");
        await anna.page.getByLabel(/^New password (?!again)/).fill(PASSWORD);
        await anna.page.getByLabel("New password again").fill(PASSWORD);
        await anna.press("Update");
        await looks("single", ["ha", "maintenance/pairing", "edit/heartbeat", "edit/floating-ips"]);
        await becomes(SINGLE, waiting);
        await looks("waiting", ["maintenance/pairing"]);
        // The page finds out by itself.
        await anna.sees(anna.page.getByText("12345678"));
        unit.pairing = { state: "failed", reason: "The code was wrong.", hint: "Type the code that the other unit shows." };
        await anna.sees(anna.page.getByText("The code was wrong."));
        await becomes(SINGLE, done);
        await looks("done", ["maintenance/pairing", "edit/heartbeat"]);
      },
    },
    {
      name: "the unit that serves",
      work: async () => {
        await becomes(ACTIVE);
        await looks("active", ["", "ha", "ha/do/stand-by", "maintenance/pairing", "maintenance/unpair", "edit/floating-ips/new"]);
        await anna.open("ha");
        await anna.page.getByRole("button", { name: "Stand by…" }).click();
        await anna.press("Stand by");
        await anna.sees(anna.page.getByText("It is done."));
        assert.deepEqual(unit.asked.splice(0), ["standby"]);
      },
    },
    {
      name: "the unit that stands by, live, and in trouble",
      work: async () => {
        await becomes(STANDBY);
        await looks("standby", ["ha", "ha/do/take-over", "edit/globals"]);
        await anna.open("ha");
        unit.ha = { ...STANDBY, role: "taking" };
        await anna.sees(anna.page.locator("#ha-role").getByText("taking over"));
        await becomes(TROUBLE);
        await looks("trouble", ["ha", "ha/resolve", "ha/do/take-over"]);
        await becomes({ ...TROUBLE, edits: true });
        await looks("diverged", ["ha/resolve"]);
      },
    },
  ];
  return { steps, people };
}
