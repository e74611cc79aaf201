// Chromium, and a person at it: who goes by the menu, types into fields by their labels and presses buttons by their
// words. Watches for what nobody would see: errors on the console, refused scripts, answers of 500.

import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { limits, until } from "./limits.mjs";

// Installed by xtask, outside the source tree.
export const installed = createRequire(join(process.env.STEELYARD_BROWSER_MODULES, "package.json"));

export function launch() {
  return installed("playwright-core").chromium.launch({
    executablePath: process.env.STEELYARD_CHROMIUM ?? "/usr/bin/chromium",
    timeout: limits.start,
    // No sandbox: it runs as root, in a network namespace that reaches the unit alone.
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync",
    ],
  });
}

export const wide = { width: 1280, height: 900 };
export const phone = { width: 390, height: 844 };

// Not a complaint: refused input, as the browser puts every page that is not 2xx on the console; and the end of the live
// view's stream when one leaves its page, which htmx logs as a bare event.
const ON_PURPOSE = /^Failed to load resource: the server responded with a status of (401|409|422) |^\[object Event\]$/;

export class Person {
  static async at(browser, unit, options = {}) {
    const person = new Person();
    person.scripts = options.javaScriptEnabled !== false;
    person.unit = unit;
    person.context = await browser.newContext({ viewport: wide, reducedMotion: "reduce", ignoreHTTPSErrors: true, ...options });
    person.context.setDefaultTimeout(limits.element);
    person.context.setDefaultNavigationTimeout(limits.page);
    person.page = await person.context.newPage();
    person.complaints = [];
    person.watch(person.page);
    return person;
  }

  watch(page) {
    const complain = (text) => this.complaints.push(`${page.url()}: ${text}`);
    page.on("console", (message) => {
      if (message.type() === "error" && !ON_PURPOSE.test(message.text())) complain(message.text());
    });
    page.on("pageerror", (error) => complain(`uncaught ${error.message}`));
    page.on("crash", () => complain("the page crashed"));
    page.on("response", (answer) => {
      if (answer.status() >= 500) complain(`${answer.url()} answered ${answer.status()}`);
      const policy = answer.headers()["content-security-policy"];
      if (answer.request().isNavigationRequest() && answer.status() < 300 && !policy) complain("no content security policy");
    });
    page.on("requestfailed", (request) => {
      // A stream ends when one leaves the page.
      const reason = request.failure()?.errorText;
      if (reason !== "net::ERR_ABORTED") complain(`${request.url()} failed: ${reason}`);
    });
  }

  // Fails if anything was complained of since the last time.
  content() {
    if (this.complaints.length) throw new Error(`complaints of the browser:\n  ${this.complaints.splice(0).join("\n  ")}`);
  }

  // ---- what one does ----

  async open(path = "") {
    const answer = await this.page.goto(this.unit.url + path);
    return answer.status();
  }

  // By the menu, as the guide names the place; `under` is the heading within the group, where two have such an entry.
  async menu(group, entry, under) {
    const menu = this.page.getByRole("navigation", { name: "Menu" });
    const whole = menu.locator("details", { has: this.page.locator("summary", { hasText: group }) });
    const part = under ? whole.locator("li", { has: this.page.locator("span", { hasText: under }) }) : whole;
    const link = part.getByRole("link", { name: entry, exact: true }).first();
    if (!(await link.isVisible())) await menu.locator("summary", { hasText: group }).click();
    await link.click();
    await this.sees(this.page.getByRole("heading", { level: 1 }));
  }

  field(label) {
    return this.page.getByRole("main").getByLabel(label, { exact: true });
  }

  async fill(values) {
    for (const [label, value] of Object.entries(values)) {
      const field = this.field(label);
      if ((await field.evaluate((element) => element.tagName)) === "SELECT") await field.selectOption({ label: value });
      else await field.fill(value);
    }
  }

  async press(name, within = this.page) {
    await within.getByRole("button", { name, exact: true }).click();
  }

  async follow(name, within = this.page.getByRole("main")) {
    await within.getByRole("link", { name, exact: true }).click();
  }

  async reload() {
    await this.page.reload();
  }

  // ---- what one sees ----

  row(label) {
    return this.page.getByRole("row").filter({ has: this.page.getByRole("rowheader", { name: new RegExp(`(^| )${label}$`) }) });
  }

  // The cell of this row under that heading, as text.
  async cell(label, heading) {
    const headings = await this.page.getByRole("columnheader").allInnerTexts();
    const at = headings.map((text) => text.trim().toUpperCase()).indexOf(heading.toUpperCase());
    if (at < 0) throw new Error(`no column ${heading} among ${headings.join(", ")}`);
    return (await this.row(label).locator("th, td").nth(at).innerText()).trim();
  }

  async sees(what, limit = limits.element) {
    const target = typeof what === "string" || what instanceof RegExp ? this.page.getByText(what).first() : what;
    await target.waitFor({ state: "visible", timeout: limit });
  }

  async misses(what) {
    const target = typeof what === "string" || what instanceof RegExp ? this.page.getByText(what) : what;
    await until(`the page without ${what}`, limits.element, async () => (await target.count()) === 0);
  }

  get bar() {
    return this.page.getByRole("region", { name: "Pending changes" });
  }

  // A value that comes by itself: with scripts the page stays, without them one loads it again.
  async becomes(what, look) {
    await until(what, limits.live, async () => {
      if (await look()) return true;
      if (!this.scripts) await this.reload();
      return false;
    });
  }

  async applies() {
    await this.press("Apply configuration", this.bar);
    await this.sees(/Applied as revision \d+/);
    await this.misses(this.bar);
  }

  async text() {
    return (await this.page.locator("body").innerText()).replace(/\n{2,}/g, "\n");
  }

  async close() {
    await this.context.close();
  }
}

export function picture(name) {
  const folder = join(process.env.STEELYARD_BROWSER_MODULES, "screenshots");
  const file = join(folder, `${name.replace(/[^a-z0-9.-]+/gi, "-")}.png`);
  mkdirSync(folder, { recursive: true });
  return file;
}
